"""Every test gets a user's world of its own, and no network."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The marker that tests/faults.py counts."""
    config.addinivalue_line(
        "markers", "fault(*numbers, times=1): does these faults of docs/reliability.md, so often in one test"
    )


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Runs, registry and sockets of one test alone; the path is short: a socket's may have 107 bytes."""
    world = Path(tempfile.mkdtemp(prefix="poise-test-"))
    for name in ("runtime", "data"):
        (world / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(world / "runtime"))
    monkeypatch.setenv("XDG_DATA_HOME", str(world / "data"))
    monkeypatch.setenv("POISE_RUNS", str(world / "runs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    yield world
    shutil.rmtree(world, ignore_errors=True)
