"""How long a verification takes once torch is imported: every published algorithm, and every mechanism alone.

python -P -m benchmarks.verify_times
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch

from engine.algorithms.catalogue import catalogue
from engine.algorithms.recipes import recipes
from engine.algorithms.render import render
from engine.verify.verify import verify


def main() -> None:
    """Verify each twice in this process, one thread, and print the second time."""
    torch.set_num_threads(1)
    sources = {name: recipe.file() for name, recipe in recipes().items()}
    sources |= {name: render("X-GRPO", "alone", [entry.choice()]) for name, entry in catalogue().items()}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "algorithm.py"
        for name, source in sources.items():
            path.write_text(source)
            for _ in range(2):
                started = time.perf_counter()
                report = verify(path)
                seconds[name] = time.perf_counter() - started
            if not report["passed"]:
                print(f"{name} does not pass: {report['cause']}")
    slowest = max(seconds, key=lambda name: seconds[name])
    print(f"{len(seconds)} verifications: median {statistics.median(seconds.values()):.2f} s, ", end="")
    print(f"slowest {slowest} {seconds[slowest]:.2f} s (wanted: 3 s)")


if __name__ == "__main__":
    main()
