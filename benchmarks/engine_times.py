"""Times of the engine on this machine, from a real run of the profile `tiny`; run it on an idle machine.

    python -P -m benchmarks.engine_times [--candidates 16] [--workers 2]

Prints: first training step after the command, a training and a scoring alone on one core, a warm start, the whole run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.loop.confinement import sandbox_for
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile


def discovery(runs: Path, name: str, candidates: int, workers: int) -> dict[str, float]:
    """One headless run; seconds from the command to the first step and to the end, and medians over trials."""
    began = time.time()
    command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--runs-dir", str(runs), "--name", name]
    command += ["--candidates", str(candidates), "--workers", str(workers), "--seed", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.time() - began
    events = EventReader(RunFolder(runs / name).events).read()
    first = next(e.time for e in events if e.kind == "trial.metrics")
    costs = [e.data["cost"] for e in events if e.kind == "trial.updated" and "cost" in e.data]
    return {
        "first training step on record, s": first - began,
        "whole run, s": wall,
        "one training, median s": statistics.median(c["train_seconds"] for c in costs),
        "one scoring, median s": statistics.median(c["score_seconds"] for c in costs if c["score_seconds"]),
    }


async def warm_start() -> dict[str, float]:
    """Seconds the fork server imports, and from a spawn to the end of an empty job once it has."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = sandbox_for(load_profile("tiny").resolved(), "none", [Path(folder)], [Path(__file__).parent])
        launcher = Launcher(sandbox=sandbox, allow_calls=True)
        try:
            imports = await launcher.start()
            seconds = []
            for i in range(5):
                began = time.monotonic()
                job = {"id": f"j{i}", "kind": "call:benchmarks.engine_times:nothing", "folder": folder, "limits": {}}
                await (await launcher.spawn(job)).wait()
                seconds.append(time.monotonic() - began)
        finally:
            await launcher.close()
    median = statistics.median(seconds)
    return {"fork server imports, s": imports, "start to end of an empty job, median s": median}


def nothing(job: dict[str, object]) -> dict[str, object]:
    """An empty job."""
    return {}


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    a = parser.parse_args()
    load = psutil.getloadavg()[0]
    found: dict[str, object] = {"machine": f"{psutil.cpu_count()} cores, {platform.machine()}", "load before": load}
    found |= asyncio.run(warm_start())
    with tempfile.TemporaryDirectory(prefix="poise-bench-") as folder:
        alone = discovery(Path(folder), "alone", 1, 1)
        found |= {f"alone: {k}": v for k, v in alone.items() if not k.startswith("whole")}
        whole = discovery(Path(folder), "whole", a.candidates, a.workers)
        found |= {f"{a.candidates} candidates, {a.workers} workers: {k}": v for k, v in whole.items()}
    print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}, indent=2))


if __name__ == "__main__":
    main()
