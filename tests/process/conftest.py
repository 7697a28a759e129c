"""Launchers that preload next to nothing, so that these tests are quick."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher

MakeJob = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def never_hang() -> Iterator[None]:
    """A promise that is broken by waiting for ever fails instead."""

    def fail(*_: object) -> None:
        raise TimeoutError("the test took more than 60 s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
async def launcher() -> AsyncIterator[Launcher]:
    launcher = Launcher(["json"], allow_calls=True)
    yield launcher
    await launcher.close()


@pytest.fixture
def executor(launcher: Launcher) -> LocalExecutor:
    return LocalExecutor(launcher, grace=0.2)


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    def make(function: str, id: str = "c001-search-0", **fields: Any) -> dict[str, Any]:
        kind = f"call:tests.process.jobs:{function}"
        folder = str(tmp_path / "trials" / id)
        return {"id": id, "kind": kind, "folder": folder, "limits": {"wall_seconds": 30}} | fields

    return make


def wait_gone(pids: list[int], timeout: float = 10.0) -> None:
    """Return when none of the processes runs any more (a zombie does not run); fail after `timeout` s."""
    processes = [process for process in psutil.process_iter() if process.pid in pids]
    left = [
        process
        for process in psutil.wait_procs(processes, timeout=timeout)[1]
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
    assert not left, f"still running: {left}"


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))
