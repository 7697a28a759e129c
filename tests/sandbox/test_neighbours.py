"""What candidate code cannot do to those beside it: the fork server, other jobs, the engine that watches them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.archive.remove import remove_tree
from engine.process import executor as executors
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.sandbox.layers import LAYERS, Sandbox
from engine.sandbox.probe import available
from tests.sandbox.conftest import TESTS, needs

Run = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def together(tmp_path: Path) -> AsyncIterator[Run]:
    """Run functions of tests/sandbox/neighbours.py one after the other below one fork server."""
    trials = tmp_path / "trials"
    (trials / "sibling").mkdir(parents=True)
    launchers: dict[frozenset[str], Launcher] = {}

    async def run(function: str, layers: frozenset[str] = available(), **fields: Any) -> dict[str, Any]:
        if layers not in launchers:
            launchers[layers] = Launcher(["json"], sandbox=Sandbox(layers, (trials,), (TESTS,)), allow_calls=True)
        kind = f"call:tests.sandbox.neighbours:{function}"
        limits = {"wall_seconds": 60, "files": 256, "file_mb": 256, **fields.pop("limits", {})}
        job = {"id": "j", "kind": kind, "folder": str(trials / function), "limits": limits}
        job["sibling"] = str(trials / "sibling")
        return await LocalExecutor(launchers[layers], grace=0.2).run(job | fields)

    yield run
    for launcher in launchers.values():
        await launcher.close()


@needs("seccomp")
@pytest.mark.parametrize("missing", [None, "namespaces", "landlock"])
async def test_a_child_changes_nothing_of_the_fork_server_or_a_sibling(together: Run, missing: str | None) -> None:
    data: dict[str, str | None] = (await together("meddle", available() - {missing}))["data"]
    assert (data.pop("own limits"), data.pop("own processors")) == (None, None)
    assert set(data.values()) == {"EPERM"}, data


async def test_without_the_filter_it_could(together: Run) -> None:
    """So that the test above shows something; Landlock knows none of these."""
    data = (await together("meddle", frozenset(LAYERS) & available() - {"seccomp"}))["data"]
    assert [name for name, error in data.items() if error is None], data


async def test_a_child_finds_no_word_of_an_earlier_job_in_the_memory_it_was_born_with(together: Run) -> None:
    """Such as the evaluation seed of a job that scored."""
    await together("remember", layers=frozenset(), secret="zqxjkvbpWM12345678")
    found: list[str] = (await together("recall", layers=frozenset(), half="zqxjkvbpWM"))["data"]["found"]
    assert found, "its own half is there"
    assert not any("12345678" in word for word in found)


@pytest.mark.parametrize("function", ["hide_bytes", "bury_bytes"])
async def test_files_without_a_name_or_too_deep_for_one_count_too(together: Run, function: str) -> None:
    result = await together(function, limits={"folder_mb": 20})
    assert result["status"] == "killed"
    assert "its folder came to hold more than 20 MB" in result["cause"]


async def test_a_job_that_starts_threads_without_end_is_killed(together: Run) -> None:
    result = await together("many_threads", stay=600, limits={"folder_mb": 100})
    assert result["cause"] == f"it started more than {executors.MOST_THREADS} threads"


async def test_folders_deeper_than_a_recursion_are_removed_with_their_job(together: Run, tmp_path: Path) -> None:
    assert (await together("nest"))["status"] == "done"
    assert not (tmp_path / "trials" / "nest" / "tmp").exists()


def test_removing_follows_no_link_and_minds_no_mode(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "x").touch()
    os.symlink(kept, folder / "a" / "link")
    (folder / "a" / "b").chmod(0)
    remove_tree(folder)
    assert not folder.exists()
    assert (kept / "file").exists()
    remove_tree(folder)
