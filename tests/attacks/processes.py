"""Attacks on other processes, and by starting some."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.attacks.attack import Job, attack, first_of, leave, own, syscall

MOST = 60
"""Processes that the fork bomb makes if nobody stops it."""


@attack(14, "kill the engine", eperm="landlock")
def kill(job: Job) -> str:
    os.kill(job["engine"], signal.SIGKILL)
    return "killed"


@attack(16, f"a fork bomb (stops by itself at {MOST} processes)")
def fork_bomb(job: Job) -> str | None:
    made: list[int] = []
    with suppress(BlockingIOError):
        for _ in range(MOST):
            if (pid := os.fork()) == 0:
                time.sleep(10)
                leave()
            made.append(pid)
    for pid in made:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return f"{len(made)} processes" if len(made) > 10 else None


def _still_locked(world: Any, result: Mapping[str, Any]) -> str | None:
    """Whether a process holds the daemon's file after the job has ended."""
    path = Path(result["folder"], "daemon")
    if not path.exists():
        return None
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError, ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGKILL)
            return "a daemon lives on"
    return None


@attack(20, "leave a daemon behind (setsid, fork twice)", harm=_still_locked)
def daemon(job: Job) -> None:
    path = own(job, "daemon")
    path.touch()
    ready, done = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            file = path.open("r+")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(str(os.getpid()))
            file.flush()
            os.write(done, b"x")
            os.close(done)
            time.sleep(20)
        leave()
    os.close(done)
    os.read(ready, 1)


@attack(25, "type into a terminal (TIOCSTI)")
def type_into(job: Job) -> str:
    terminal = os.open(job["tty"], os.O_RDWR)
    for letter in job["word"] + "\n":
        fcntl.ioctl(terminal, termios.TIOCSTI, letter.encode())
    return "typed"


def _patched(job: Job) -> str | None:
    import json

    return "the next job's json is patched" if getattr(json.dumps, "patched", False) else None


@attack(59, "patch functions that live on in the next child", follow=_patched, nothing="engine")
def patch(job: Job) -> None:
    import json

    def dumps(*arguments: Any, **more: Any) -> str:
        return "{}"

    dumps.patched = True  # type: ignore[attr-defined]
    json.dumps = dumps
    os.environ["ATTACKED"] = "1"


def _planted(job: Job) -> str | None:
    """Whether the next process that starts here imports what was planted."""
    import json

    if "planted" in str(json.__file__) or os.environ.get("LD_PRELOAD"):
        return "the next process runs it"
    if own(job, "json.py").exists() and job.get("trusting"):
        import subprocess

        done = subprocess.run(
            [sys.executable, "-c", "import json"], cwd=job["folder"], capture_output=True, check=False
        )
        return "the next process runs it" if b"planted" in done.stdout else None
    return None


@attack(60, "leave modules where the next process starts", follow=_planted, nothing="engine")
def plant_modules(job: Job) -> None:
    for name in ("json.py", "sitecustomize.py", "usercustomize.py"):
        own(job, name).write_text("print('planted')")
    os.environ["LD_PRELOAD"] = str(own(job, "evil.so"))


@attack(61, "threads that run on after the job's end", harm=lambda world, result: world.touched_later(result))
def threads(job: Job) -> None:
    def later() -> None:
        time.sleep(0.5)
        own(job, "later").write_text(job["word"])

    threading.Thread(target=later).start()
    if job.get("trusting"):  # whose job ends when its last thread does
        time.sleep(0.8)


@attack(62, "take the processor: niceness -20, real-time scheduling", eperm="limits")
def priority(job: Job) -> str:
    def nice() -> str:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "niceness -20"

    def realtime() -> str:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return "real time"

    return str(first_of(nice, realtime))


@attack(63, "not be the first to go when memory runs out (oom_score_adj)")
def last_to_go(job: Job) -> str:
    path = Path("/proc/self/oom_score_adj")
    path.write_text("0")
    return f"now {path.read_text().strip()}"


@attack(64, "leave a core dump: its memory, beyond the limits", harm=lambda world, result: world.core_in(result))
def core(job: Job) -> None:
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (64 << 20, 64 << 20))
    if resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
        raise PermissionError(1, "no core dumps")
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    os.abort()


@attack(65, "limit, slow down or signal the fork server")
def fork_server(job: Job) -> str:
    parent = os.getppid()

    def signalled() -> str:
        os.kill(parent, 0)
        return "signalled"

    def limited() -> str:
        resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0))
        return "limited"

    def slowed() -> str:
        os.sched_setaffinity(parent, os.sched_getaffinity(0))
        return "bound to processors"

    return str(first_of(signalled, limited, slowed))


@attack(66, "take hold of the engine by a pidfd")
def pidfd(job: Job) -> str:
    handle = syscall(job, "pidfd_open", job["engine"], 0)
    syscall(job, "pidfd_send_signal", handle, int(signal.SIGCONT), 0, 0)
    return "a handle"
