"""The engine's watch over itself: a heartbeat, the disk's reserve, records that wait for space, a broken archive."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.archive.store import ReadOnlyArchive

if TYPE_CHECKING:
    from engine.loop.engine import Engine

TICK_SECONDS = 1.0
"""How often the engine looks at its disk and its budgets."""
DISK = "disk"
"""Who pauses the run while there is no space."""
MIB = 1 << 20


def free_mb(path: Path) -> float | None:
    """Space that this user may still write to, in MiB; None if nobody can tell."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize / MIB


class Guard:
    """Pauses the run while the disk is nearly full, and lets it go on when it is not.

    Args:
        engine: what is watched.
        path: the run's folder.
        reserve_mb: less space than this pauses the run; it goes on at a tenth more.
        beat: shows that the engine is alive.
    """

    def __init__(self, engine: Engine, path: Path, reserve_mb: float, beat: Callable[[], None]) -> None:
        self.engine = engine
        self.path = path
        self.reserve_mb = reserve_mb
        self.beat = beat

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            self.beat()
            await self.look()
            await asyncio.sleep(TICK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        try:
            written = self.engine.book.flush()
        except ReadOnlyArchive as error:
            await self.engine.stop(f"the archive is read-only: {error}")
            return
        free = free_mb(self.path)
        if not written:
            await self.engine.pause(DISK, f"no space left on the disk of {self.path}: free some, the run then goes on")
        elif free is not None and free < self.reserve_mb:
            low = f"only {free:.0f} MB left on the disk of {self.path}, less than the reserve of {self.reserve_mb:g} MB"
            await self.engine.pause(DISK, f"{low}: free some, the run then goes on")
        elif free is None or free >= 1.1 * self.reserve_mb:
            await self.engine.resume(DISK, "there is space on the disk again")
