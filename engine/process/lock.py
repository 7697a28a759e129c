"""One engine a run: a lock held for life, which also says who holds it and where to reach it."""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import read_limited
from engine.errors import Exit, PoiseError
from engine.process.identity import Identity


@dataclass(frozen=True)
class Holder:
    """What a lock file says: the engine's identity and its control socket."""

    identity: Identity
    socket: str

    def __str__(self) -> str:
        return f"process {self.identity.pid} on {self.identity.host}"


def read_holder(path: Path) -> Holder | None:
    """Who wrote the lock file, dead or alive; None if nobody, or the file is unreadable."""
    try:
        value: dict[str, Any] = orjson.loads(read_limited(path, 4096))
        identity = Identity(int(value["pid"]), int(value["start_time"]), str(value["boot_id"]), str(value["host"]))
        return Holder(identity, str(value["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def live_holder(path: Path) -> Holder | None:
    """The engine that runs this run now, judged from its pid, start time and boot id; taking no lock.

    An engine on another host cannot be judged from here and counts as alive.
    """
    holder = read_holder(path)
    if holder is None or (holder.identity.here and not holder.identity.alive()):
        return None
    return holder


def heartbeat_age(path: Path) -> float | None:
    """Seconds since the holder of a lock last showed that it works; None if there is no such file.

    By the wall clock, since the holder may be on another host: where it looks old, ask the holder itself.
    """
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


class RunLock:
    """A held lock. It ends with the process, however the process ends."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def acquire(cls, path: Path, socket: str) -> "RunLock":
        """Take the lock, or take it over from a process that is gone.

        Args:
            path: `engine.lock` in the run's folder.
            socket: path of the control socket, for clients to find.

        Raises:
            PoiseError: refused (4): somebody holds it, or another host left it.
        """
        try:
            # Close-on-exec: a flock lives as long as any copy of its descriptor, so no child may inherit it.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PoiseError(f"cannot write {path}: {error.strerror}", Exit.REFUSED) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = read_holder(path)
            if holder is not None and not holder.identity.here:
                raise PoiseError(
                    f"run {path.parent.name} is locked by {holder}, another host: resume it there, "
                    f"or delete {path} if that engine is gone",
                    Exit.REFUSED,
                )
        except BlockingIOError:
            os.close(handle)
            who = read_holder(path) or "another process"
            raise PoiseError(f"run {path.parent.name} is locked: its engine is {who}", Exit.REFUSED) from None
        except BaseException:
            os.close(handle)
            raise
        lock = cls(handle)
        lock._write(orjson.dumps({**asdict(Identity.mine()), "socket": socket}) + b"\n")
        return lock

    def beat(self) -> None:
        """Show that the holder is not just alive but at work: touch the lock file."""
        with suppress(OSError):  # a folder that was taken away is met elsewhere
            os.utime(self._handle)

    def release(self) -> None:
        """Give the lock back and forget the holder, so that another host may take the run."""
        self._write(b"")
        os.close(self._handle)

    def _write(self, data: bytes) -> None:
        # In place, since the lock belongs to this inode.
        os.pwrite(self._handle, data, 0)
        os.ftruncate(self._handle, len(data))
