"""The dashboard on a large live run in a real terminal: idle cost, key to paint, bytes a second, memory.

2,000 candidates, 8 trainings with 10,000 updates each; while live every training reports one update a second.

    python -P -m benchmarks.dashboard_load
"""

from __future__ import annotations

import json
import math
import os
import select
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import psutil

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.process.lock import RunLock
from tests.dashboard import recorded

NODES, TRAININGS, POINTS = 2000, 8, 10_000
SIZES = ((24, 80), (50, 200))


def history() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind, node, data) of the large run, after the recorded one."""
    for i in range(5, NODES):
        node, parent = f"c{i:03d}", f"c{i // 3:03d}" if i > 20 else "c000"
        yield "candidate.created", node, recorded.candidate(node, f"Mechanism{i}-GRPO", parent, "queued")
        yield "candidate.updated", node, {"overall": 40.0 + i % 40, "benchmarks": recorded.benchmarks(50.0)}
        yield "candidate.status", node, {"status": "scored", "cause": None}
    for i in range(NODES - TRAININGS, NODES):
        node = f"c{i:03d}"
        trial = {"id": f"{node}-search-0", "candidate": node, "purpose": "search", "status": "training"}
        yield "trial.created", node, {**trial, "seed": 1, "off": [], "rung": 1.0, "steps": 12_000}
        for first in range(1, POINTS, 50):
            yield "trial.metrics", node, metrics(node, range(first, first + 50))


def metrics(node: str, steps: range) -> dict[str, Any]:
    """Noisy curves, the worst case for a terminal."""
    points = [{"step": k, "reward": math.sin(k / 300) + math.sin(k * 12.9898) / 5, "kl": 0.1} for k in steps]
    return {"trial": f"{node}-search-0", "points": points}


class Viewer:
    """`poise attach` in a terminal that swallows everything."""

    def __init__(self, runs: Path, rows: int, columns: int) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = ["-P", "-m", "poise_tui", "attach", "recorded", "--runs-dir", str(runs)]
        size = (rows, columns)
        self.child = pexpect.spawn(sys.executable, command, env=environment, dimensions=size, timeout=10)
        self.child.delaybeforesend = None
        self.process = psutil.Process(self.child.pid)

    def read(self, quiet: float, limit: float) -> tuple[int, list[float]]:
        """Read until nothing came for so long; the bytes, and when they came, in seconds from now."""
        count, times, began = 0, [], time.monotonic()
        while time.monotonic() - began < limit and select.select([self.child.child_fd], [], [], quiet)[0]:
            count += len(os.read(self.child.child_fd, 1 << 16))
            times.append(time.monotonic() - began)
        return count, times

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(self.process.cpu_times()[:2])

    def rates(self, seconds: float) -> tuple[float, float]:
        """KiB/s written and percent of a core used for a while."""
        began, cpu, count = time.monotonic(), self.cpu(), 0
        while (passed := time.monotonic() - began) < seconds:
            count += self.read(0.2, seconds - passed)[0]
        return count / 1024 / passed, 100 * (self.cpu() - cpu) / passed

    def key(self, key: str) -> tuple[float, float] | None:
        """Milliseconds from a key to the first and the last of what it paints; None if it paints nothing."""
        self.read(0.15, 2)
        self.child.send(key)
        times = self.read(0.1, 2)[1]
        return (1000 * times[0], 1000 * times[-1]) if times else None


def measure(folder: RunFolder, rows: int, columns: int) -> dict[str, float]:
    """All figures at one size of the terminal."""
    viewer = Viewer(folder.path.parent, rows, columns)
    began = time.monotonic()
    while viewer.read(1.5, 3)[0] > 2000:
        pass
    found = {"settled within s": time.monotonic() - began - 1.5}
    found["idle KiB/s"], found["idle CPU %"] = viewer.rates(5)  # a dead run: nothing moves
    keys = [viewer.key(key) for key in "jjjjjjkkkkkkGgmmmm3456773456jjjjkkkk" * 2]
    for name, times in zip(("first", "all"), zip(*filter(None, keys), strict=True), strict=True):
        found[f"key to {name} paint ms, median"] = statistics.median(times)
        found[f"key to {name} paint ms, p95"] = sorted(times)[int(0.95 * len(times))]
    found["memory MB"] = viewer.process.memory_info().rss / 1e6
    lock = RunLock.acquire(folder.lock, "nobody listens")
    viewer.rates(2)
    began, cpu, count, seq = time.monotonic(), viewer.cpu(), 0, int(time.time() * 1000)
    size = folder.events.stat().st_size
    for second in range(10):
        with folder.events.open("ab") as file:
            for i in range(NODES - TRAININGS, NODES):
                seq, step = seq + 1, POINTS + 1 + second
                data = metrics(f"c{i}", range(step, step + 1))
                file.write(Event("trial.metrics", f"c{i}", data, seq, time.time()).line())
        while time.monotonic() - began < second + 1:
            count += viewer.read(0.05, 0.1)[0]
    passed = time.monotonic() - began
    found["live KiB/s"], found["live CPU %"] = count / 1024 / passed, 100 * (viewer.cpu() - cpu) / passed
    lock.release()
    os.truncate(folder.events, size)
    viewer.child.close(force=True)
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    """Print the figures of both sizes."""
    with tempfile.TemporaryDirectory(prefix="poise-bench-") as runs:
        folder = recorded.write(Path(runs), status="running")
        with folder.events.open("ab") as file:
            for seq, (kind, node, data) in enumerate(history(), start=1000):
                file.write(Event(kind, node, data, seq, recorded.START + 60).line())
        figures = {f"{columns}x{rows}": measure(folder, rows, columns) for rows, columns in SIZES}
    print(json.dumps({"load": round(psutil.getloadavg()[0], 2), **figures}, indent=2))


if __name__ == "__main__":
    main()
