"""Attacks that change what is not theirs: the archive, packages, caches, siblings, the machine."""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.attacks.attack import Job, attack, first_of, own, syscall


def _append(path: str, word: str, flags: int = 0) -> str:
    """To a file that is there: inside a name space a new one would prove nothing."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | flags)
    os.write(handle, word.encode())
    os.close(handle)
    return path


@attack(8, "append to the archive")
def append(job: Job) -> str:
    return _append(f"{job['run']}/archive.json", job["word"])


@attack(9, "rename the archive away")
def rename(job: Job) -> str:
    os.rename(f"{job['run']}/archive.json", f"{job['run']}/archive.old")
    return "renamed"


@attack(22, "plant a .pth file in site-packages")
def plant_pth(job: Job) -> str:
    return _append(f"{job['packages']}/planted.pth", "import os", os.O_CREAT)


def _left_in_shared_memory(job: Job) -> str | None:
    """What a job before this one has left for it."""
    return str(first_of(*(lambda p=p: Path(p, "attacked-left").read_text() for p in ("/dev/shm", "/tmp"))))


@attack(26, "use the machine's /dev/shm and /tmp, to read and to leave a message", follow=_left_in_shared_memory)
def shared_memory(job: Job) -> str:
    return str(
        first_of(
            lambda: Path(job["shm"]).read_text(), lambda: _append("/dev/shm/attacked-left", job["word"], os.O_CREAT)
        )
    )


def _is_setuid(world: Any, result: Mapping[str, Any]) -> str | None:
    found = Path(result["folder"], "shell")
    if found.exists() and found.stat().st_mode & stat.S_ISUID:
        return f"a program that runs as user {found.stat().st_uid}"
    return None


@attack(28, "make a set-user-id program", harm=_is_setuid)
def setuid(job: Job) -> str:
    path = own(job, "shell")
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o4755)
    return "made"


@attack(38, "poison caches: the model's weights, compiled Python, the hub's cache")
def poison(job: Job) -> str:
    return str(
        first_of(
            lambda: _append(f"{job['model']}/model.safetensors", job["word"]),
            lambda: _append(f"{job['packages']}/module.py", job["word"]),
            lambda: _append(f"{job['home']}/.cache/huggingface/token", job["word"]),
        )
    )


@attack(50, "write forged scores into a sibling's folder", nothing="landlock")
def siblings_scores(job: Job) -> str:
    return _append(f"{job['other']}/scores.json", job["word"])


@attack(51, "change its own file after it was verified", nothing="landlock")
def own_file(job: Job) -> str:
    return _append(job["algorithm"], "\n# anything else\n")


@attack(52, "link a sibling's adapter into its own folder (hard link)", nothing="landlock")
def hard_link(job: Job) -> str:
    own(job, "adapter").mkdir()
    os.link(f"{job['other']}/adapter/adapter_model.safetensors", own(job, "adapter", "adapter_model.safetensors"))
    return own(job, "adapter", "adapter_model.safetensors").read_text()


@attack(53, "watch and change a sibling's folder past Landlock (inotify, chmod, times, attributes)")
def past_landlock(job: Job) -> str:
    libc = ctypes.CDLL(None, use_errno=True)

    def watch() -> str:
        handle = libc.inotify_init1(0)
        if handle < 0 or libc.inotify_add_watch(handle, job["other"].encode(), 0xFFF) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        return "watched"

    def attribute() -> str:
        os.setxattr(job["other"], "user.attacked", b"x")
        return "set an attribute"

    def mode() -> str:
        os.chmod(job["other"], stat.S_IMODE(os.stat(job["other"]).st_mode))
        return "changed the mode"

    def times() -> str:
        os.utime(job["other"])
        return "changed the times"

    return str(first_of(watch, attribute, mode, times))


@attack(70, "make who opens its files wait (a lease on metrics.jsonl)")
def lease(job: Job) -> str:
    path = own(job, "metrics.jsonl")
    path.touch()
    fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
    return "a lease"


@attack(54, "set the machine's clock", eperm="seccomp")
def clock(job: Job) -> str:
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    return "set"


@attack(55, "write the kernel's settings (/proc/sys, /proc/sysrq-trigger)")
def kernel_settings(job: Job) -> str:
    path = Path("/proc/sys/kernel/core_pattern")

    def setting() -> str:
        path.write_text(path.read_text())  # what is there already: harmless
        return "written"

    return str(first_of(setting, lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY) and "could restart the machine"))


@attack(56, "make a device file and read from it (of /dev/zero: harmless)")
def device(job: Job) -> str:
    path = own(job, "device")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    with path.open("rb") as opened:
        return f"{len(opened.read(16))} bytes"


@attack(57, "mount something over its folder")
def mount(job: Job) -> str:
    # In a name space of its own where it can be had: the machine's stays as it is even if this works.
    syscall(job, "unshare", 0x00020000)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(None, b"/", None, 0x4000 | 0x40000, None)
    if libc.mount(b"tmpfs", os.fsencode(job["folder"]), b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return "mounted"
