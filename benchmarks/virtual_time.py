"""An event loop whose clock jumps to the next thing that is due: days of waiting pass in no time."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time` stands still while anything is at work, threads included, and then jumps.

    From `install` on, `time.monotonic` and `time.time` tell the virtual time in the whole process.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._at_work = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Virtual seconds since it was made."""
        return self._now

    def jump(self, seconds: float | None) -> bool:
        """Let time pass, unless something is at work; whether it did."""
        if seconds is None or self._at_work:
            return False
        self._now += seconds
        return True

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """As ever, and counted."""
        future = super().run_in_executor(executor, func, *args)
        self._at_work += 1
        future.add_done_callback(self._done)
        return future

    def install(self) -> None:
        """Let the process live in virtual time; there is no way back."""
        began = time.time()
        time.monotonic = lambda: self._now
        time.time = lambda: began + self._now

    def _done(self, _: asyncio.Future[Any]) -> None:
        self._at_work -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; else time jumps by the timeout. Threads are waited for in real time."""
        if (ready := super().select(0)) or timeout == 0:
            return ready
        return [] if self._loop.jump(timeout) else super().select(1.0)
