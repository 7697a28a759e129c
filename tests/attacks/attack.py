"""What an attack is, and the tools that attackers use. Runs in the attacked child: nothing heavy is imported."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

Job = dict[str, Any]
Run = Callable[[Job], Any]

ENGINE = "engine"
"""Stands among the layers for whoever reads what a child has left: no operating system is needed to stop that."""


@dataclass(frozen=True)
class Attack:
    """One attempt, as a function that runs in a child.

    Attributes:
        number: up to 40 those of the list that the project began with, then our own.
        title: what it tries, as the table has it.
        run: returns what it obtained, nothing if it failed; an OSError says what refused it.
        harm: run beside the engine afterwards, says what the attack did there (None: nothing). Always looked at as
            well: every canary of the world.
        follow: run in the next child, which may find what the first one left.
        eperm: the layer that answers EPERM, where seccomp is not the one.
        eacces: the layer that answers EACCES.
        nothing: who stopped it if it was refused nothing: by default whoever reads what it left, where `harm` looks at
            that, and the name spaces, where there was nothing to be found.
        limits: more of a job's limits.
        alone: whether it succeeds with no protection at all; why not, otherwise.
        fields: more of the job.
        candidate: a file of tests/attacks/candidates that is verified, in the place of `run`.
        graded: whether it gets a connection to a grader.
        succeeds: why this works in every sandbox, where it does.
    """

    number: int
    title: str
    run: Run
    harm: Callable[[Any, Mapping[str, Any]], str | None] | None = None
    follow: Run | None = None
    eperm: str = "seccomp"
    eacces: str = "landlock"
    nothing: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    alone: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    candidate: str = ""
    graded: bool = False
    succeeds: str = ""


ATTACKS: dict[int, Attack] = {}


def attack(number: int, title: str, **more: Any) -> Callable[[Run], Run]:
    """Put a function on the list."""

    def add(run: Run) -> Run:
        if number in ATTACKS:
            raise ValueError(f"two attacks have the number {number}")
        ATTACKS[number] = Attack(number, title, run, **more)
        return run

    return add


class Denied(Exception):
    """All ways were refused; by name of the error."""

    def __init__(self, errors: Iterable[str]) -> None:
        super().__init__(*dict.fromkeys(errors))


def first_of(*ways: Callable[[], Any]) -> Any:
    """What the first way obtains that obtains anything. Raises Denied if all were refused."""
    errors = []
    for way in ways:
        try:
            if found := way():
                return found
        except (OSError, MemoryError) as error:
            errors.append(named(error))
    if errors:
        raise Denied(errors)
    return None


def named(error: OSError | MemoryError) -> str:
    """The name of an error: EPERM, ENOENT, ..."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno or 0
    return errno.errorcode.get(number, type(error).__name__)


def syscall(job: Job, name: str, *arguments: object) -> int:
    """A system call by name; the numbers come with the job. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = job["numbers"][name]
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *values))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def libc_call(name: str, *arguments: object) -> int:
    """A function of the C library. Raises OSError."""
    result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def text(path: str | Path) -> str:
    """A file as text, whatever it holds."""
    return Path(path).read_bytes().decode("latin1")


def own(job: Job, *names: str) -> Path:
    """A path in the attacker's own folder."""
    return Path(job["folder"], *names)


def leave(code: int = 0) -> NoReturn:
    """End without a word: what was planted stays as it is."""
    os._exit(code)
