"""Every call that changes a file is a moment to crash in; this writes down what each crash would leave.

Killed: what the kernel has is there. Power cut: what was not fsynced may be gone, be zeros, or be half there, and names
that were not fsynced with their folder may be the old ones or the new ones.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

Files = dict[str, bytes]


@dataclass(frozen=True)
class Crash:
    """What a crash leaves, and what had been acknowledged before."""

    where: str
    files: tuple[tuple[str, bytes], ...]
    acknowledged: int

    def put(self, folder: Path) -> Path:
        """Make a folder as the crash leaves it."""
        folder.mkdir()
        for name, data in self.files:
            (folder / name).write_bytes(data)
        return folder


class Recorder:
    """Stands between the archive and the kernel; calls on other folders pass through."""

    WATCHED = ("open", "pwrite", "ftruncate", "fsync", "fdatasync", "rename", "link", "unlink")

    def __init__(self, folder: Path, *, fail: tuple[str, int, int] | None = None) -> None:
        """
        Args:
            fail: name of a call ("sync" for both), which one of its calls (from 0 on) fails, with which errno.
        """
        self.folder = folder
        self.acknowledged = 0
        self.crashes: dict[tuple[Any, ...], Crash] = {}
        self.now: list[Crash] = []
        """What a crash at the last call would have left."""
        self.calls: dict[str, int] = {}
        self.failed = False
        self._fail = fail
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in self.WATCHED}
        self._lock = threading.RLock()
        self._held: dict[int, int] = {}
        self._synced: dict[int, bytes] = {}
        self._names: dict[str, int] = {}

    @contextmanager
    def watching(self) -> Iterator["Recorder"]:
        with mock.patch.multiple(os, **{name: self._wrap(name) for name in self.WATCHED}):
            yield self
            for thread in threading.enumerate():  # one that an error left behind goes on changing the folder
                if thread.name == "compaction":
                    thread.join()
        self._note("at the end", None)
        for handle in self._held.values():
            os.close(handle)

    def _wrap(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            path = self._path(name, args)
            if path is None or path.name == "archive.lock":
                return self._real[name](*args, **options)
            with self._lock:
                self._note(f"before {name} of {path.name}", args if name == "pwrite" else None)
                self._maybe_fail(name)
                result = self._real[name](*args, **options)
                if name in ("fsync", "fdatasync"):
                    self._sync(args[0])
                self._note(f"after {name} of {path.name}", None)
                return result

        return call

    def _path(self, name: str, args: tuple[Any, ...]) -> Path | None:
        """The file meant, if the call may change something in our folder."""
        first = args[0]
        if name == "open" and not args[1] & os.O_CREAT:
            return None
        try:
            path = Path(os.readlink(f"/proc/self/fd/{first}")) if isinstance(first, int) else Path(os.fspath(first))
        except OSError:
            return None
        return path if path == self.folder or path.parent == self.folder else None

    def _maybe_fail(self, name: str) -> None:
        kind = "sync" if name in ("fsync", "fdatasync") else name
        number = self.calls.get(kind, 0)
        self.calls[kind] = number + 1
        if self._fail is not None and self._fail[:2] == (kind, number):
            self.failed = True
            raise OSError(self._fail[2], os.strerror(self._fail[2]))

    def _sync(self, handle: int) -> None:
        status = os.fstat(handle)
        if Path(os.readlink(f"/proc/self/fd/{handle}")) == self.folder:
            self._names = {name: inode for name, inode, _ in self._now()}
        else:
            data = [data for _, inode, data in self._now() if inode == status.st_ino]
            self._synced |= {status.st_ino: data[0]} if data else {}

    def _now(self) -> list[tuple[str, int, bytes]]:
        found = []
        for entry in os.scandir(self.folder):
            if entry.name == "archive.lock":
                continue
            if entry.inode() not in self._held:  # held open, so that its number is never given to another file
                self._held[entry.inode()] = self._real["open"](entry.path, os.O_RDONLY)
            found.append((entry.name, entry.inode(), Path(entry.path).read_bytes()))
        return found

    def _note(self, where: str, writing: tuple[Any, ...] | None) -> None:
        now = self._now()
        contents = {inode: data for _, inode, data in now}
        kept = self._synced
        states: dict[str, Files] = {"killed": {name: data for name, _, data in now}}
        states["power cut, all that is not synced gone"] = {
            name: kept.get(inode, b"") for name, inode in self._names.items()
        }
        states["power cut, names kept"] = {name: kept.get(inode, b"") for name, inode, _ in now}
        states["power cut, renames undone"] = {
            name: kept.get(self._names.get(name, inode), b"") for name, inode, _ in now
        }
        states["power cut, zeros"] = {
            name: kept.get(inode, b"").ljust(len(contents[inode]), b"\0") for name, inode, _ in now
        }
        states["power cut, half"] = {
            name: data[: (len(data) + len(kept.get(inode, b""))) // 2] for name, inode, data in now
        }
        if writing is not None:
            handle, data, at = writing
            name, inode = Path(os.readlink(f"/proc/self/fd/{handle}")).name, os.fstat(handle).st_ino
            half = contents[inode][:at].ljust(at, b"\0") + bytes(data[: len(data) // 2])
            states["killed in the middle of a write"] = states["killed"] | {name: half}
        self.now = [Crash(f"{how}, {where}", tuple(sorted(f.items())), self.acknowledged) for how, f in states.items()]
        for crash in self.now:
            self.crashes.setdefault((crash.files, crash.acknowledged), crash)
