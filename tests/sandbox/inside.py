"""What jobs of these tests do inside the sandbox."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.archive.files import write_json

Job = dict[str, Any]


def look(job: Job) -> dict[str, Any]:
    """Where it is, and what it can do there."""
    folder = Path(job["folder"])
    return {
        "pid": os.getpid(),
        "here": os.getcwd(),
        "capabilities": _status("CapEff") + _status("CapBnd"),
        "no_new_privileges": _status("NoNewPrivs"),
        "filtered": _status("Seccomp"),
        "reads": {path: _refusal(lambda path=path: Path(path).read_bytes()) for path in job["read"]},  # type: ignore[misc]
        "writes": {path: _refusal(lambda path=path: Path(path).write_text("x")) for path in job["write"]},  # type: ignore[misc]
        "own": _refusal(lambda: (folder / "mine").write_text("x")),
        "threads": _refusal(_thread),
        "fork": _refusal(os.fork),
        "program": _refusal(lambda: subprocess.run(["/bin/true"], check=True)),
        "socket": _refusal(socket.socket),
        "myself": _refusal(lambda: os.kill(os.getpid(), 0)),
        "parent": _refusal(lambda: os.kill(os.getppid(), 0)),
    }


def fill_with_files(job: Job) -> dict[str, Any]:
    """Makes files until it is stopped."""
    number = 0
    while True:
        Path(job["folder"], f"f{number}").touch()
        number += 1
        if number % 100 == 0:
            time.sleep(0.01)


def fill_with_bytes(job: Job) -> dict[str, Any]:
    """Writes files of a megabyte until it is stopped."""
    number = 0
    while True:
        Path(job["folder"], f"f{number}").write_bytes(b"x" * (1 << 20))
        number += 1
        time.sleep(0.01)


def leave_a_daemon(job: Job) -> dict[str, Any]:
    """Starts a process that leaves its session and outlives it, and tells its pid to whoever looks."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(3600)"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    write_json(Path(job["folder"], "ready.json"), {}, durable=False)
    signal.pause()
    return {}


def _status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{field}:"))


def _refusal(act: Callable[[], object]) -> str | None:
    """The error's name, or None if it worked."""
    try:
        if act() == 0 and act is os.fork:  # the child that should not be
            os._exit(0)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return None


def _thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
