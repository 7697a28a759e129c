"""Capabilities given up, and with them every way to gain new ones (capabilities(7))."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NO_NEW_PRIVS, _DROP_BOUNDING, _AMBIENT, _AMBIENT_CLEAR = 38, 24, 47, 4
_DUMPABLE = 4
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop() -> None:
    """Give up all capabilities of this process, for good.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    _check(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    libc.prctl(_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
    for capability in range(last + 1):
        libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)  # refused to those who have none to drop
    nothing = (_Sets * 2)()
    header = _Header(_VERSION_3, 0)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
