"""Seconds from the start of `poise attach` and `poise run` to the first frame in a real terminal, and memory.

python -P -m benchmarks.dashboard_first_frame [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import psutil

from tests.dashboard import recorded


def once(runs: Path) -> tuple[float, float, float]:
    """Seconds to the first frame and to the whole tree, and MB of memory then."""
    began = time.monotonic()
    command = ["-P", "-m", "poise_tui", "attach", "recorded", "--runs-dir", str(runs)]
    child = pexpect.spawn(sys.executable, command, dimensions=(50, 200), timeout=30)
    child.expect("candidates")
    frame = time.monotonic() - began
    child.expect("c004")
    tree = time.monotonic() - began
    memory = psutil.Process(child.pid).memory_info().rss / 1e6
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    return frame, tree, memory


def new_run(runs: Path) -> tuple[float, float]:
    """Seconds from `poise run` to the first frame and to the first curve; the run is stopped then."""
    began = time.monotonic()
    command = ["-P", "-m", "poise_tui", "run", "--candidates", "1", "--name", "new", "--runs-dir", str(runs)]
    child = pexpect.spawn(sys.executable, command, dimensions=(24, 80), timeout=60)
    child.expect("candidates")
    frame = time.monotonic() - began
    child.expect("updates")  # the x axis: there is a first point
    curve = time.monotonic() - began
    child.send("q")
    child.expect("leave it running")
    child.send("s")
    child.expect(pexpect.EOF)
    child.close()
    return frame, curve


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    with tempfile.TemporaryDirectory(prefix="poise-bench-") as folder:
        recorded.write(Path(folder))
        found = [once(Path(folder)) for _ in range(parser.parse_args().runs)]
        frame, curve = new_run(Path(folder))
    names = ("first frame, median s", "whole tree, median s", "memory, median MB")
    figures: dict[str, float] = {
        n: round(statistics.median(x), 3) for n, x in zip(names, zip(*found, strict=True), strict=True)
    }
    figures |= {"poise run: first frame, s": round(frame, 3), "poise run: first curve, s": round(curve, 3)}
    print(json.dumps({"load": round(psutil.getloadavg()[0], 2), **figures}, indent=2))


if __name__ == "__main__":
    main()
