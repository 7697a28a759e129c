"""One finished run, shared by all tests that only look."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.archive.folder import RunFolder
from tests.run.world import World, profile


@pytest.fixture(scope="session")
def shared_world() -> Iterator[World]:
    """A machine that several tests share; its path is short, for its sockets."""
    path = Path(tempfile.mkdtemp(prefix="poise-run-"))
    yield World(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def world() -> Iterator[World]:
    """A machine of one test's own."""
    path = Path(tempfile.mkdtemp(prefix="poise-run-"))
    yield World(path)
    shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and what `poise export` says of it."""

    world: World
    folder: RunFolder
    output: str
    export: dict[str, Any]


def finish(world: World, name: str, workers: int, candidates: int) -> Finished:
    arguments = ("--name", name, "--workers", str(workers), "--candidates", str(candidates), "--seed", "1")
    done = world.poise("run", "--profile", str(profile(world.path)), *arguments, "--headless")
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished(world, world.folder(name), done.stdout, world.export(name))


@pytest.fixture(scope="session")
def finished(shared_world: World) -> Finished:
    """Four candidates by the keyless proposer, trained for real, two side by side."""
    return finish(shared_world, "shared", workers=2, candidates=4)
