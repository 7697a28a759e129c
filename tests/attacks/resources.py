"""Attacks that use up what others need. All are bounded here, in case nobody bounds them there."""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.attacks.attack import Job, attack, own

GIB = 1 << 30
STAY = 3.0
"""Seconds that an attacker waits to be stopped before it counts as having succeeded."""


@attack(17, "allocate 6 GB (and touch 64 MB of them)")
def memory(job: Job) -> str:
    block = mmap.mmap(-1, 6 * GIB)
    for at in range(0, 64 << 20, 4096):
        block[at] = 1
    return "6 GB"


@attack(18, "write a huge file (a hole of 1 TB, or 64 MB of bytes)")
def huge_file(job: Job) -> str:
    path = own(job, "huge")
    try:
        with suppress(OSError), path.open("wb") as file:
            os.ftruncate(file.fileno(), 1 << 40)
            return "1 TB"
        with path.open("wb", buffering=0) as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
        return "64 MB"
    finally:
        os.truncate(path, 0)


@attack(19, "write many small files (stops by itself at 3,000)")
def many_files(job: Job) -> str:
    for number in range(3000):
        own(job, f"f{number}").touch()
    time.sleep(STAY)
    return "3000 files"


@attack(30, "hang, deaf to requests", limits={"wall_seconds": 1})
def hang(job: Job) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(STAY)
    return "was let be"


def _long_log(world: Any, result: Mapping[str, Any]) -> str | None:
    longest = max((path.stat().st_size for path in Path(result["folder"]).glob("*.log")), default=0)
    return f"a log of {longest >> 20} MB" if longest > 32 << 20 else None


@attack(35, "print without end (stops by itself at 48 MB)", harm=_long_log)
def endless(job: Job) -> None:
    for _ in range(48):
        os.write(1, b"x" * (1 << 20))


@attack(37, "take all memory of the GPU", alone="there is no GPU here: not tried", nothing="nobody")
def gpu_memory(job: Job) -> None:
    return None


@attack(67, "start threads without end (stops by itself at 1,500)")
def many_threads(job: Job) -> str | None:
    threading.stack_size(1 << 16)
    stop = threading.Event()
    for _ in range(1500):
        with suppress(RuntimeError):
            threading.Thread(target=stop.wait, daemon=True).start()
    if threading.active_count() > 1000:
        stop.wait(STAY)
        return f"{threading.active_count()} threads"
    raise MemoryError


@attack(68, "fill the disk with files that have no name (96 MB)")
def nameless(job: Job) -> str:
    kept = []
    for number in range(12):
        path = own(job, f"n{number}")
        kept.append(os.open(path, os.O_CREAT | os.O_WRONLY))
        path.unlink()
        os.write(kept[-1], bytes(8 << 20))
    time.sleep(STAY)
    return "96 MB"


def _tried_again(world: Any, result: Mapping[str, Any]) -> str | None:
    """What is killed from outside is tried again: what used up its time is not."""
    return "it is tried again" if result["status"] == "killed" and result["reason"] == "killed" else None


@attack(
    69,
    "burn the processor beyond its time, deaf to the kernel's warning",
    harm=_tried_again,
    limits={"cpu_seconds": 1},
)
def burn(job: Job) -> str:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    begun = time.process_time()
    while time.process_time() - begun < 2.5:
        pass
    return "went on"


@attack(95, "leave memory behind that outlives it (System V, 1 MB)", follow=lambda job: _found(job))
def system_v(job: Job) -> None:
    from tests.attacks.attack import libc_call

    libc_call("shmget", job["key"], 1 << 20, 0o1600)


def _found(job: Job) -> str:
    from tests.attacks.attack import libc_call

    segment = libc_call("shmget", job["key"], 0, 0)
    libc_call("shmctl", segment, 0, None)
    return "still there"
