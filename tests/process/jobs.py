"""What the children of these tests run: functions job -> data, as candidate code might be."""

import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.archive.files import write_json
from engine.errors import PoiseError
from engine.process.child import Paused, Stopped, control_word

Data = dict[str, Any]


def report(job: dict[str, Any]) -> Data:
    """What a job sees of the machine."""
    return {
        "pid": os.getpid(),
        "name": Path("/proc/self/comm").read_text().strip(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "environment": dict(os.environ),
        "exec_environment": Path("/proc/self/environ").read_bytes().decode(errors="replace"),
        "folder": os.getcwd(),
        "descriptors": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(10) if is_open(fd)],
        "threads": len(os.listdir("/proc/self/task")),
        "modules": sorted(sys.modules),
        "entered": time.monotonic(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "safe_path": sys.flags.safe_path,
    }


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def loop(job: dict[str, Any]) -> Data:
    while True:
        pass


def ignore_termination(job: dict[str, Any]) -> Data:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def wait_for_control(job: dict[str, Any]) -> Data:
    steps = 0
    while (word := control_word(Path(job["folder"]))) is None:
        steps += 1
        time.sleep(0.002)
    if word == "pause":
        raise Paused({"steps": steps})
    raise Stopped("asked to stop", {"steps": steps})


def allocate(job: dict[str, Any]) -> Data:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 24))


def torch_allocate(job: dict[str, Any]) -> Data:
    import torch

    return {"sum": torch.ones(1 << 30).sum().item()}


def huge_result(job: dict[str, Any]) -> Data:
    return {"text": "x" * (2 << 20)}


def write_garbage_result(job: dict[str, Any]) -> Data:
    Path(job["folder"], "result.json").write_bytes(job["garbage"].encode("latin-1"))
    os._exit(0)


def link_result(job: dict[str, Any]) -> Data:
    Path(job["folder"], "result.json").symlink_to(job["target"])
    os._exit(0)


def pipe_result(job: dict[str, Any]) -> Data:
    os.mkfifo(Path(job["folder"], "result.json"))
    os._exit(0)


def not_json(job: dict[str, Any]) -> Data:
    return {"it": object()}


def print_garbage(job: dict[str, Any]) -> Data:
    os.write(1, b"\x1b[31m\xff\x00" * 1000)
    print("[bold red]markup[/]")
    raise RuntimeError("line one\nlast \x1b[31mline\x07 of it")


def print_for_ever(job: dict[str, Any]) -> Data:
    while True:
        os.write(1, b"x" * (1 << 16))


def leave_silently(job: dict[str, Any]) -> Data:
    os._exit(7)


def call_exit(job: dict[str, Any]) -> Data:
    sys.exit("enough")


def refuse(job: dict[str, Any]) -> Data:
    raise PoiseError("the profile has no tasks")


def abort(job: dict[str, Any]) -> Data:
    os.abort()


def start_daemons(job: dict[str, Any]) -> Data:
    """Two processes that outlive the job if nobody minds: one in its group, one that has left it."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    inside = subprocess.Popen(sleeper)
    outside = subprocess.Popen(sleeper, start_new_session=True)
    write_json(Path(job["folder"], "daemons.json"), [inside.pid, outside.pid])
    if job.get("stay"):
        loop(job)
    return {}


def ask_grader(job: dict[str, Any]) -> Data:
    with socket.socket(fileno=job["grader_fd"]) as connection:
        connection.sendall(b"hello\n")
        return {"answer": connection.recv(100).decode(), "fd": job["grader_fd"]}


def other_sockets(job: dict[str, Any]) -> Data:
    """Sockets reachable by walking the heap, other than the grader's."""
    found = [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)]
    alive = 0
    for connection in found:
        try:
            connection.send(b'{"event": "exited", "spawn": 1}\n')
            alive += 1
        except OSError:
            pass
    return {"alive": alive}


def steps(job: dict[str, Any]) -> Data:
    """Some steps, each told; then, if asked to, nothing more for ever, with a child that does not mind SIGTERM."""
    for step in range(job.get("steps", 3)):
        with Path(job["folder"], "metrics.jsonl").open("a") as file:
            file.write(f'{{"step": {step}}}\n')
        time.sleep(job.get("pace", 0.0))
    if job.get("hang"):
        deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        write_json(Path(job["folder"], "child.json"), child.pid)
        time.sleep(600)
    return {"steps": job.get("steps", 3)}


def fail_with(job: dict[str, Any]) -> Data:
    """Raise an error as a library would."""
    if job["error"] == "OSError":
        raise OSError(28, "No space left on device")
    raise RuntimeError(job["says"])
