"""Launchers that preload next to nothing, so that these tests are quick."""

import asyncio
import json
import os
import select
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

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
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
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
    """Return when none of the processes runs any more; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        # A process's descriptor becomes readable when it ends.
        ended, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)
        assert ended, f"process {pid} still runs"


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def read_when_written(path: Path) -> Any:
    """The JSON of a file that another process is about to write (atomically)."""
    while not path.exists():  # noqa: ASYNC110 - files ring no bell
        await asyncio.sleep(0.005)
    return json.loads(path.read_bytes())
