"""Landlock: file rules that a process puts on itself and cannot take off (landlock(7)).

What the kernel's version of it does not know is left out: file rules came with version 1 (Linux 5.13), truncation
with 3, TCP with 4, device ioctls with 5, signals and abstract sockets of other processes with 6 (Linux 6.12).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1 << 0
_PATH_BENEATH = 1
_EXECUTE, _WRITE, _READ, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ON_FILES = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15
"""Rights that a rule on a file may have: truncation and ioctls too."""
_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights of files a version knows."""
_SPECIAL = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12
"""Making devices, sockets, pipes and symbolic links: nobody needs to, and whoever reads the folder is spared them."""
_BIND, _CONNECT = 0b01, 0b10
_SCOPES = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none or it is switched off."""
    return max(int(_syscall(_CREATE, None, 0, _VERSION)), 0)


def restrict(read: Iterable[Path], write: Iterable[Path], listen: bool = False) -> None:
    """Let this process, and all it starts, reach only these from now on; paths that do not exist are left out.

    Args:
        read: files and folders to read and, for libraries, to map as code.
        write: files and folders to change as well.
        listen: may wait for TCP connections; it can make none in any case.

    Raises:
        OSError: the kernel refuses.
    """
    known = version()
    if known == 0:
        raise OSError("this kernel has no Landlock")
    files = (1 << _FILE_BITS.get(known, 16)) - 1
    tcp = _CONNECT if listen else _BIND | _CONNECT
    rules = _Ruleset(files, tcp if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = _checked(_syscall(_CREATE, ctypes.byref(rules), size, 0), "landlock_create_ruleset")
    try:
        for path in read:
            _allow(ruleset, path, (_READ | _READ_DIR | _EXECUTE) & files)
        for path in write:
            _allow(ruleset, path, files & ~_SPECIAL & ~_EXECUTE)
        _checked(_syscall(_RESTRICT, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                rights &= _ON_FILES
            rule = _Beneath(rights, handle)
            _checked(_syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
        finally:
            os.close(handle)


def _syscall(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result
