"""What this machine has: GPUs, through nvidia-ml-py, without importing torch."""

from __future__ import annotations

from functools import cache


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


def device_name() -> str:
    """`cpu`, or the first GPU's name: what trainings run on."""
    return next(iter(gpu_names()), "cpu")
