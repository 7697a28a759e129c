"""Namespaces by bubblewrap: a process sees Python, this package, the model and the jobs' folders, and nothing else.

It has users, processes, network (a loopback that leads nowhere), System V memory and host name of its own, and ends
with the process that started it, whatever it has left behind.
"""

from __future__ import annotations

import os
import shutil
import site
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.sandbox.layers import Sandbox

SCRATCH_BYTES = 256 << 20
"""Of each of /tmp and /dev/shm, in memory."""
ENGINE = Path(__file__).resolve().parents[1]
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/sys/devices/system",
)
"""Single things that torch and Python look at."""
USER = 1000
"""The uid inside; its files belong to the user who runs the engine."""


def find() -> str | None:
    """The program, or None."""
    return shutil.which("bwrap")


def command(program: str, sandbox: Sandbox) -> list[str]:
    """What to put before a command so that it runs inside.

    Args:
        program: bwrap.
        sandbox: what is writable, readable and passed through.
    """
    return [
        program,
        *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
        *("--uid", str(USER), "--gid", str(USER), "--hostname", "poise"),
        *("--die-with-parent", "--new-session"),
        *_tree(sandbox),
        *("--chdir", "/", "--"),
    ]


def python_folders() -> list[Path]:
    """Where this Python and its packages lie, without the folders of source trees that happen to be importable."""
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, *site.getsitepackages()]
    named += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    found = (Path(path) for path in dict.fromkeys(named))
    return [path for path in found if path.is_dir() and not path.is_relative_to("/usr")]


def _tree(sandbox: Sandbox) -> Iterator[str]:
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    # Over everything else, since a job may lie under /tmp.
    yield from ("--proc", "/proc", "--dev", "/dev")
    # Inside, root's files are this user's own where root runs the engine: the kernel's settings too.
    for settings in ("/proc/sys", "/proc/irq", "/proc/bus"):
        yield from ("--ro-bind-try", settings, settings)
    for scratch in ("/dev/shm", "/tmp"):
        yield from ("--size", str(SCRATCH_BYTES), "--tmpfs", scratch)
    for name in FILES:
        yield from ("--ro-bind-try", name, name)
    for path in (*python_folders(), ENGINE, *sandbox.readable, *sandbox.answers):
        yield from ("--ro-bind-try", str(path), str(path))
    for path in sandbox.devices:
        yield from ("--dev-bind-try", str(path), str(path))
    for path in sandbox.writable:
        yield from ("--bind", str(path), str(path))
