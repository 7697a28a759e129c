"""What this machine has: memory and GPUs, the latter through nvidia-ml-py, without importing torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.profiles.forecast import Machine


@cache
def gpu_names() -> tuple[str, ...]:
    """The names of the NVIDIA GPUs; empty without any."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return tuple(str(pynvml.nvmlDeviceGetName(h)) for h in handles)
    finally:
        pynvml.nvmlShutdown()


@cache
def this_machine() -> Machine:
    """What trainings have here: the smallest GPU's memory, or the machine's, as far as a control group lets us."""
    import psutil
    import pynvml

    if names := gpu_names():
        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(len(names))]
            return Machine(min(int(pynvml.nvmlDeviceGetMemoryInfo(h).total) for h in handles), names[0])
        finally:
            pynvml.nvmlShutdown()
    try:
        group = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        group = "max"
    total = int(psutil.virtual_memory().total)
    return Machine(min(total, int(group)) if group.isdecimal() else total)


def device_name() -> str:
    """`cpu`, or the first GPU's name: what trainings run on."""
    return next(iter(gpu_names()), "cpu")
