"""What jobs of these tests try on whoever is beside them: the fork server, other jobs, the engine."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def meddle(job: Job) -> dict[str, str | None]:
    """Each attempt's error, None where it worked; nothing here does harm that lasts."""
    parent, sibling = os.getppid(), job["sibling"]
    own = Path(job["folder"], "metrics.jsonl")
    own.touch()
    file = os.open(own, os.O_RDONLY)
    reading, _ = os.pipe()
    return {
        "limits of the parent": _refusal(lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0))),
        "processors of the parent": _refusal(lambda: os.sched_setaffinity(parent, os.sched_getaffinity(0))),
        "niceness of the parent": _refusal(lambda: os.setpriority(os.PRIO_PROCESS, parent, 1)),
        "niceness of the user": _refusal(lambda: os.setpriority(os.PRIO_USER, 0, 1)),
        "scheduling of the parent": _refusal(lambda: os.sched_setscheduler(parent, os.SCHED_OTHER, os.sched_param(0))),
        "a lease on a file": _refusal(lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)),
        "signals by a file": _refusal(lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, parent)),
        "mode of a sibling": _refusal(lambda: os.chmod(sibling, 0o777)),
        "times of a sibling": _refusal(lambda: os.utime(sibling, (0, 0))),
        "attributes of a sibling": _refusal(lambda: os.setxattr(sibling, "user.x", b"x")),
        "watching a sibling": _refusal(lambda: _inotify(sibling)),
        "own limits": _refusal(lambda: resource.prlimit(0, resource.RLIMIT_CORE, (0, 0))),
        "own processors": _refusal(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))),
    }


def remember(job: Job) -> dict[str, Any]:
    """Has a secret in its job, and ends."""
    return {}


def recall(job: Job) -> dict[str, Any]:
    """How often words of other jobs, half of each given, are found whole in this process's memory."""
    wanted = job["half"].encode()
    found: set[str] = set()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in list(maps):
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or line.rstrip().endswith("[vvar]"):
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue
            at = data.find(wanted)
            while at >= 0:
                found.add(data[at : at + len(wanted) + 8].decode("latin1"))
                at = data.find(wanted, at + 1)
    return {"found": sorted(found)}


def hide_bytes(job: Job) -> dict[str, Any]:
    """Writes files of a megabyte that have no name any more, until it is stopped."""
    kept = []
    for number in range(120):
        path = Path(job["folder"], f"f{number}")
        kept.append(os.open(path, os.O_CREAT | os.O_WRONLY))
        path.unlink()
        os.write(kept[-1], b"x" * (1 << 20))
    time.sleep(600)
    return {}


def bury_bytes(job: Job) -> dict[str, Any]:
    """Writes files deeper than a path can name, until it is stopped."""
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    for number in range(60):
        Path(f"f{number}").write_bytes(b"x" * (1 << 20))
    time.sleep(600)
    return {}


def nest(job: Job) -> dict[str, Any]:
    """Leaves folders in folders, deeper than a recursion."""
    os.chdir("tmp")
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    return {}


def many_threads(job: Job) -> dict[str, Any]:
    """Starts threads until it may not, at most 3000."""
    import threading

    threading.stack_size(1 << 16)
    stop = threading.Event()
    with suppress(RuntimeError, MemoryError):
        for _ in range(3000):
            threading.Thread(target=stop.wait, daemon=True).start()
    number = threading.active_count()
    time.sleep(job.get("stay", 0))
    return {"threads": number}


def _inotify(path: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(0)
    if handle < 0 or libc.inotify_add_watch(handle, path.encode(), 0xFFF) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    return 0


def _refusal(act: Callable[[], object]) -> str | None:
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return None
