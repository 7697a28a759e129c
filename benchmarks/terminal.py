"""Any full-screen program in a real pseudo terminal: its screen, the bytes it writes, its processor time, and how
long a key takes to be painted. Shared by the benchmarks of the dashboard and of the programs it is compared with."""

from __future__ import annotations

import os
import select
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect
import psutil
import pyte

QUIET = 0.1
"""Seconds without a byte after which a key's painting is over."""


@dataclass(frozen=True)
class Painted:
    """What one key caused; times in milliseconds, processor time over all threads."""

    first: float
    last: float
    cpu: float
    bytes: int


class Terminal:
    """A program and the terminal it draws on."""

    def __init__(self, command: Sequence[str], rows: int, columns: int, **environment: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "TMUX", "STY")}
        env = {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **environment}
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0
        self.began = time.monotonic()
        self.child = pexpect.spawn(command[0], list(command[1:]), env=env, dimensions=(rows, columns), timeout=30)
        self.child.delaybeforesend = None
        self.process = psutil.Process(self.child.pid)

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return "\n".join(self.screen.display)

    def wait_for(self, true: Callable[[str], bool], limit: float = 120.0) -> float:
        """Draw until the screen's text is as wanted; the seconds since the program's start."""
        while not true(self.text):
            if time.monotonic() - self.began > limit:
                raise SystemExit(f"never on screen within {limit:g} s:\n{self.text}")
            self._stream.feed(self.read(0.05)[0])
        return time.monotonic() - self.began

    def read(self, wait: float) -> tuple[bytes, float]:
        """What comes within so many seconds, and when it came; empty bytes for nothing."""
        if not select.select([self.child.child_fd], [], [], wait)[0]:
            return b"", time.monotonic()
        data = os.read(self.child.child_fd, 1 << 16)
        self.bytes += len(data)
        return data, time.monotonic()

    def swallow(self, seconds: float) -> int:
        """Read for so long without looking; how many bytes came."""
        before, end = self.bytes, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)
        return self.bytes - before

    def settle(self, quiet: float = 1.0, limit: float = 20.0) -> None:
        """Read until nothing has come for a while."""
        end = time.monotonic() + limit
        while self.read(quiet)[0] and time.monotonic() < end:
            pass

    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads, to the nanosecond where the kernel tells."""
        try:
            tasks = Path(f"/proc/{self.child.pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except (OSError, IndexError):
            return sum(self.process.cpu_times()[:2])

    def memory(self) -> float:
        """Resident MB."""
        return self.process.memory_info().rss / 1e6

    def key(self, key: str) -> Painted | None:
        """Press a key and read what it paints; None if that is nothing."""
        self.settle(QUIET, 2)
        cpu, before, sent = self.cpu(), self.bytes, time.monotonic()
        self.child.send(key)
        times = []
        while time.monotonic() - sent < 3:
            data, now = self.read(QUIET if times else 1.0)
            if not data:
                break
            times.append(1000 * (now - sent))
        if not times:
            return None
        return Painted(times[0], times[-1], 1000 * (self.cpu() - cpu), self.bytes - before)

    def rates(self, seconds: float, each: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Bytes a second and percent of a core over a while, in which `each` is called once a second."""
        cpu, before, began = self.cpu(), self.bytes, time.monotonic()
        for second in range(round(seconds)):
            each()
            self.swallow(began + second + 1 - time.monotonic())
        passed = time.monotonic() - began
        return {"B/s": (self.bytes - before) / passed, "CPU %": 100 * (self.cpu() - cpu) / passed}

    def close(self) -> None:
        """End it, whatever it does."""
        self.child.close(force=True)


def summary(keys: Sequence[Painted | None]) -> dict[str, float]:
    """Medians and p95 of many keys; keys that painted nothing are left out and counted."""
    painted = [k for k in keys if k is not None]
    found: dict[str, float] = {"keys": len(painted), "painted nothing": len(keys) - len(painted)}
    if not painted:
        return found
    for name in ("first", "last", "cpu", "bytes"):
        values = sorted(getattr(k, name) for k in painted)
        found[f"{name}, median"] = statistics.median(values)
        found[f"{name}, p95"] = values[min(len(values) - 1, int(0.95 * len(values)))]
    return found
