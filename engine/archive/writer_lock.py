"""One writer an archive: a lock held for life, in a file that names the holder."""

import fcntl
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import read_limited
from engine.errors import Exit, PoiseError
from engine.process.identity import Identity


def take_lock(path: Path) -> int:
    """Become the only writer. The lock ends with the process, however that ends.

    Returns:
        the descriptor that holds the lock.

    Raises:
        PoiseError: refused (4), with the holder's name, or because the folder cannot be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise PoiseError(f"cannot write {path}: {error.strerror}", Exit.REFUSED) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise PoiseError(f"{path.parent} is being written by {holder(path)}", Exit.REFUSED) from None
        raise PoiseError(f"cannot lock {path}: {error.strerror}", Exit.REFUSED) from None
    name = orjson.dumps(asdict(Identity.mine())) + b"\n"
    try:  # in place: the lock belongs to this inode
        os.pwrite(handle, name, 0)
        os.ftruncate(handle, len(name))
    except OSError:
        pass  # a full disk: the lock holds without a name
    return handle


def release_lock(handle: int) -> None:
    """Give the lock back and forget the holder."""
    try:
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def read_writer(path: Path) -> Identity | None:
    """Who has an archive open for writing, or died with it open; None if nobody."""
    try:
        value: dict[str, Any] = orjson.loads(read_limited(path, 4096))
        return Identity(int(value["pid"]), int(value["start_time"]), str(value["boot_id"]), str(value["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def holder(path: Path) -> str:
    """Who holds an archive, in words."""
    writer = read_writer(path)
    return "another process" if writer is None else f"process {writer.pid} on {writer.host}"
