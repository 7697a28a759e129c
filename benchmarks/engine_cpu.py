"""How much of a core the engine itself uses while its trainers work; with --profile, on what.

python -P -m benchmarks.engine_cpu --seconds 60
python -P -m benchmarks.engine_cpu --seconds 60 --profile
"""

from __future__ import annotations

import argparse
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder

LINES = 45
"""Functions that a profile shows."""


def main() -> None:
    """Start a run of its own, and watch its engine from the first score on: its libraries are imported then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--profile", action="store_true", help="show its main thread's CPU time by function")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="poise-cpu-") as runs:
        options = ["run", "--headless", "--name", "cpu", "--runs-dir", runs, "--candidates", "40"]
        command = [sys.executable, "-P", "-c", "from poise_tui.cli import main; main()", *options]
        profile = Path(runs) / "profile" if given.profile else None
        environment = dict(os.environ)
        if profile is not None:
            shim = str(Path(__file__).with_name("shim"))
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [shim, os.environ.get("PYTHONPATH")]))
            environment["POISE_PROFILE"] = str(profile)
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        try:
            measure(RunFolder(Path(runs) / "cpu"), given.seconds, profile)
        finally:
            run.terminate()
            run.wait()


def measure(folder: RunFolder, seconds: float, profile: Path | None) -> None:
    """Print the engine's share of one core over some seconds of trainings, and what a profile of them shows."""
    events = EventReader(folder.events)
    while not any(event.kind == "trial.updated" and event.data.get("overall") for event in events.read()):
        time.sleep(0.2)
    holder = folder.engine()
    assert holder is not None
    engine = psutil.Process(holder.identity.pid)
    if profile is not None:
        engine.send_signal(signal.SIGUSR1)
    before, began, threads = engine.cpu_times(), time.monotonic(), by_thread(engine)
    time.sleep(seconds)
    after, took = engine.cpu_times(), time.monotonic() - began
    user, system = after.user - before.user, after.system - before.system
    told = [event.kind for event in events.read()]
    print(f"engine: {100 * (user + system) / took:.2f} % of a core over {took:.0f} s ", end="")
    print(f"({user:.2f} s user, {system:.2f} s system; ", end="")
    print(
        f"{', '.join(f'{name} {used - threads.get(name, 0):.2f}' for name, used in by_thread(engine).items())}), ",
        end="",
    )
    print(f"{len(told)} events, {told.count('decision')} decisions, ", end="")
    print(f"{engine.memory_info().rss >> 20} MiB; load {psutil.getloadavg()[0]:.1f}")
    if profile is not None:
        engine.send_signal(signal.SIGUSR1)
        while not profile.exists():
            time.sleep(0.1)
        time.sleep(1.0)
        pstats.Stats(str(profile)).sort_stats("cumulative").print_stats(LINES).sort_stats("tottime").print_stats(LINES)


def by_thread(engine: psutil.Process) -> dict[str, float]:
    """CPU seconds of the main thread and of all others."""
    times = {thread.id: thread.user_time + thread.system_time for thread in engine.threads()}
    main = times.pop(engine.pid)
    return {"main thread": main, "others": sum(times.values())}


if __name__ == "__main__":
    main()
