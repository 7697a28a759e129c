"""How much of a core the engine itself uses while its trainers work.

    python -P -m benchmarks.engine_cpu --seconds 60
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder


def main() -> None:
    """Start a run of its own, and watch its engine from the first score on: its libraries are imported then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="poise-cpu-") as runs:
        options = ["run", "--headless", "--name", "cpu", "--runs-dir", runs, "--candidates", "40"]
        command = [sys.executable, "-P", "-c", "from poise_tui.cli import main; main()", *options]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            measure(RunFolder(Path(runs) / "cpu"), seconds)
        finally:
            run.terminate()
            run.wait()


def measure(folder: RunFolder, seconds: float) -> None:
    """Print the engine's share of one core over some seconds of trainings."""
    events = EventReader(folder.events)
    while not any(event.kind == "trial.updated" and event.data.get("overall") for event in events.read()):
        time.sleep(0.2)
    holder = folder.engine()
    assert holder is not None
    engine = psutil.Process(holder.identity.pid)

    def used() -> float:
        times = engine.cpu_times()
        return float(times.user + times.system)

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    took, spent = time.monotonic() - began, used() - before
    told = sum(1 for _ in events.read())
    print(f"engine: {100 * spent / took:.2f} % of a core over {took:.0f} s, {told} events, ", end="")
    print(f"{engine.memory_info().rss >> 20} MiB; load {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
