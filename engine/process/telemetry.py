"""Telemetry: what the machine and the run's processes use, sampled every two seconds into a bounded file."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import psutil

from engine.archive.files import write_atomic

Sample = dict[str, Any]
INTERVAL = 2.0
SIZE_LIMIT = 2 << 20
"""Bytes of telemetry.jsonl: about two hours of a small machine. When it is full, the older half goes."""
MIB = 1 << 20


class Sampler:
    """Reads the machine's counters. The percentages are of the time since the last sample."""

    def __init__(self, processes: Callable[[], Mapping[int, str]]) -> None:
        """
        Args:
            processes: pids of the run's children and the ids of their jobs; called from the sampling thread.
        """
        self._processes = processes
        self._known: dict[int, psutil.Process] = {}
        self._engine = psutil.Process()
        self._gpus = _Gpus()
        psutil.cpu_percent(percpu=True)

    def sample(self) -> Sample:
        """One sample as in docs/architecture.md; memory in MiB, power in watts, temperature in Celsius."""
        memory = psutil.virtual_memory()
        return {
            "time": time.time(),
            "cpu": psutil.cpu_percent(percpu=True),
            "memory_used": (memory.total - memory.available) // MIB,
            "memory_total": memory.total // MIB,
            "engine_rss": self._engine.memory_info().rss // MIB,
            "gpus": self._gpus.sample(),
            "processes": self._sample_processes(),
        }

    def _sample_processes(self) -> list[Sample]:
        wanted = self._processes()
        self._known = {pid: process for pid, process in self._known.items() if pid in wanted}
        samples = []
        for pid, trial in wanted.items():
            with suppress(psutil.Error):  # it ended meanwhile
                process = self._known.setdefault(pid, psutil.Process(pid))
                with process.oneshot():
                    usage = {"cpu": process.cpu_percent(), "rss": process.memory_info().rss // MIB}
                samples.append({"pid": pid, "trial": trial, **usage})
        return samples


class _Gpus:
    """The NVIDIA GPUs of this machine; none if there is no driver."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except Exception as error:
            # No driver is the usual case; anything else must not stop the run either.
            logging.getLogger(__name__).info("no GPU telemetry: %s", error)

    def sample(self) -> list[Sample]:
        return [self._one(index, handle) for index, handle in enumerate(self._handles)]

    def _one(self, index: int, handle: Any) -> Sample:
        nvml = self._nvml

        def read(query: Callable[[], Any]) -> Any:
            """What a GPU does not support (power on laptops, memory on unified ones) is null."""
            try:
                return query()
            except nvml.NVMLError:
                return None

        memory = read(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power = read(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return {
            "index": index,
            "name": read(lambda: nvml.nvmlDeviceGetName(handle)),
            "util": read(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            "mem_used": memory and memory.used // MIB,
            "mem_total": memory and memory.total // MIB,
            "power": power and power / 1000,
            "temp": read(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        }


class Telemetry:
    """Samples in a thread of its own, from `start` to `stop`, into a file that stays bounded."""

    def __init__(
        self,
        path: Path,
        processes: Callable[[], Mapping[int, str]],
        *,
        interval: float = INTERVAL,
        size_limit: int = SIZE_LIMIT,
    ) -> None:
        """
        Args:
            path: telemetry.jsonl.
            processes: see `Sampler`; `Launcher.running` fits.
            interval: seconds between samples.
            size_limit: bytes the file may have.
        """
        self._path = path
        self._processes = processes
        self._interval = interval
        self._size_limit = size_limit
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the sample in progress."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        sampler = Sampler(self._processes)
        due = time.monotonic()
        while not self._stopping.is_set():
            try:
                append_bounded(self._path, orjson.dumps(sampler.sample()) + b"\n", self._size_limit)
            except (OSError, psutil.Error) as error:
                # Telemetry is the first thing to go without when the disk is full.
                logging.getLogger(__name__).warning("no telemetry: %s", error)
            due = max(due + self._interval, time.monotonic())
            self._stopping.wait(due - time.monotonic())


def append_bounded(path: Path, line: bytes, limit: int) -> None:
    """Append a line; when the file would exceed `limit` bytes, keep only the newer half of it.

    A reader sees the file replaced, never half written.
    """
    size = path.stat().st_size if path.exists() else 0
    if size + len(line) <= limit:
        with path.open("ab") as file:
            file.write(line)
        return
    with path.open("rb") as file:
        file.seek(max(0, size - limit // 2))
        file.readline()  # the rest of a line cut in two
        kept = file.read()
    write_atomic(path, kept + line, durable=False)
