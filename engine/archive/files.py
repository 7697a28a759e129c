"""Files either old or new, never half: atomic writes, and reads that a hostile writer cannot abuse."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import orjson


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data`: a reader sees the whole old file or the whole new one, also after a crash.

    Args:
        path: the file; its folder must exist. A symbolic link there is replaced, not followed.
        data: the whole content.
        durable: wait until file and folder are on disk. Leave it out only for what a restart rewrites anyway.

    Raises:
        OSError: nothing was changed.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            write_all(handle, data, 0)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """`write_atomic` of one JSON value, indented for people; NaN and infinities become null."""
    write_atomic(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n", durable=durable)


def write_all(handle: int, data: bytes, at: int) -> None:
    """Write all of `data` at an offset, in as many calls as the kernel wants. Raises OSError."""
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.pwrite(handle, view[written:], at + written)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries (a rename, a new file) are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(folder: Path) -> None:
    """Wait until all files right in a folder, and their names, are on disk."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)


def open_regular(path: Path) -> int:
    """Open a file for reading that another process may have planted.

    Returns:
        a file descriptor, to be closed by the caller.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is a link, a pipe, a device or a folder: opening those could block or lead elsewhere.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return handle


def read_limited(path: Path, limit: int) -> bytes:
    """Read a file that an untrusted process wrote.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is no regular file, or holds more than `limit` bytes.
    """
    handle = open_regular(path)
    with open(handle, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"{path} holds more than {limit} bytes")
    return data


def folder_sha256(folder: Path) -> str:
    """One sha256 of all regular files in a folder, names included; of nothing, where there is no folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
