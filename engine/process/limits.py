"""What a child may use: set in the child itself, after the fork and before any candidate code."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one job; None is no limit. Those of wall, step and folder are kept by the executor, the others
    by the kernel.

    Attributes:
        wall_seconds: time on the clock, start to end.
        step_seconds: time without progress, from the start on and from one step to the next.
        cpu_seconds: processor time.
        memory_mb: address space beyond what the fork server had mapped when it forked (on a GPU: None, since
            CUDA maps far more than it uses).
        file_mb: size of any one file it writes, its log included.
        folder_mb: size of all files in its folder together.
        folder_files: number of files and folders there.
        files: open files.
    """

    wall_seconds: float | None = None
    step_seconds: float | None = None
    cpu_seconds: float | None = None
    memory_mb: float | None = None
    file_mb: float | None = None
    folder_mb: float | None = None
    folder_files: int | None = None
    files: int | None = None

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> "Limits":
        """The limits a job names. Raises TypeError for an unknown one."""
        return cls(**job.get("limits", {}))


def apply(limits: Limits) -> None:
    """Limit the calling process, and with it all it starts; none of it can be taken back."""
    _set(resource.RLIMIT_CORE, 0)
    if limits.files is not None:
        _set(resource.RLIMIT_NOFILE, limits.files)
    if limits.file_mb is not None:
        _set(resource.RLIMIT_FSIZE, int(limits.file_mb * MIB))
    if limits.cpu_seconds is not None:
        # The soft limit's SIGXCPU names the cause; the hard one, a second later, cannot be ignored.
        seconds = max(1, round(limits.cpu_seconds))
        _set(resource.RLIMIT_CPU, seconds, seconds + 1)
    if limits.memory_mb is not None:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _set(resource.RLIMIT_AS, mapped + int(limits.memory_mb * MIB))
    # When the machine itself runs out of memory, a trainer goes before the engine.
    Path("/proc/self/oom_score_adj").write_text("500")


def _set(which: int, soft: int, hard: int | None = None) -> None:
    ceiling = resource.getrlimit(which)[1]
    if ceiling == resource.RLIM_INFINITY:
        resource.setrlimit(which, (soft, soft if hard is None else hard))
    else:
        resource.setrlimit(which, (min(soft, ceiling), min(soft if hard is None else hard, ceiling)))
