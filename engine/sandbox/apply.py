"""What a forked child does to itself before it looks at any candidate code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.sandbox import landlock, privileges, seccomp
from engine.sandbox.bubblewrap import ENGINE, FILES, SYSTEM, python_folders
from engine.sandbox.layers import Sandbox

OWN = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/proc/filesystems",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
GPU_FACTS = ("/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices", "/sys/module/nvidia")


def confine(sandbox: Sandbox, job: Mapping[str, Any], program: bytes | None) -> None:
    """Put the layers on that a process puts on itself; bubblewrap and the environment were there before it.

    Args:
        sandbox: which layers.
        job: its folder can be written, the files it names can be read.
        program: seccomp's filter.

    Raises:
        OSError: a layer that was found at the start cannot be put on now: the job must not run.
    """
    if "limits" in sandbox.layers:
        privileges.drop()
    if "landlock" in sandbox.layers:
        gpu = bool(sandbox.devices)
        landlock.restrict(
            read=[
                *map(Path, (*SYSTEM, *FILES, *OWN, *(GPU_FACTS if gpu else ()))),
                *_python(),
                *sandbox.readable,
                *(sandbox.answers if job["kind"] == "score" else ()),
                *_named(job),
            ],
            write=[Path(job["folder"]), *map(Path, DEVICES), *sandbox.devices],
            listen=sandbox.samples(job["kind"]),
        )
    if "seccomp" in sandbox.layers:
        assert program is not None
        seccomp.load(program)


def _python() -> Iterator[Path]:
    yield from python_folders()
    yield ENGINE


def _named(job: Mapping[str, Any]) -> Iterator[Path]:
    """The files and folders that a job names for reading."""
    for key in ("algorithm", "adapter"):
        if job.get(key):
            yield Path(job[key])
    model = str((job.get("profile") or {}).get("model", {}).get("name", ""))
    if Path(model).is_absolute():
        yield Path(model)
