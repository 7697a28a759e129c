"""A process under Landlock and seccomp as a job that holds vLLM has them: what it can do, as JSON. Run as a program."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from engine.sandbox import landlock, privileges, seccomp
from engine.sandbox.apply import DEVICES, OWN
from engine.sandbox.bubblewrap import FILES, SYSTEM, python_folders
from tests.sandbox.inside import _refusal

SOURCE = "int answer(void) { return 42; }\n"


def compiled(folder: Path) -> int:
    """What a function returns that a compiler has made here."""
    (folder / "a.c").write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "a.so", folder / "a.c"], check=True, stderr=sys.stderr)
    return int(ctypes.CDLL(str(folder / "a.so")).answer())


def listening() -> socket.socket:
    """Wait on a free port of the loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


def fast_open(port: int) -> int:
    """Connect by sending, which is no connect to the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        return made.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", port))


def main(folder: Path, landlocked: bool) -> None:
    """Put the layers on and try."""
    parent = os.getppid()
    os.environ["TMPDIR"] = str(folder)
    privileges.drop()
    if landlocked:
        read = [*map(Path, (*SYSTEM, *FILES, *OWN)), *python_folders()]
        landlock.restrict(read=read, write=[folder, *map(Path, DEVICES)], listen=True)
    seccomp.load(seccomp.build(samplers=True))
    with listening() as ours:
        port = ours.getsockname()[1]
        found = {
            "program": _refusal(lambda: subprocess.run(["/bin/true"], check=True)),
            "connect": _refusal(lambda: socket.create_connection(("127.0.0.1", port), timeout=1)),
            "fast open": _refusal(lambda: fast_open(port)),
            "datagram": _refusal(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "unix": _refusal(lambda: socket.socket(socket.AF_UNIX)),
            "netlink": _refusal(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
            "parent": _refusal(lambda: os.kill(parent, signal.SIGCONT)),
            "mode": _refusal(lambda: folder.chmod(0o777)),
            "own program": _refusal(lambda: subprocess.run([_program(folder)], check=True)) if landlocked else "EACCES",
        }
    print(json.dumps(found | {"answer": compiled(folder)}))


def _program(folder: Path) -> str:
    """A program of its own in the folder that it can write; executable by way of the mode it is made with."""
    path = folder / "mine"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(descriptor, b"#!/bin/sh\nexit 0\n")
    os.close(descriptor)
    return str(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "landlock")
