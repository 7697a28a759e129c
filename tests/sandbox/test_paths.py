"""Files and folders as users name them: by way of links, upwards, and tasks in a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.loop.confinement import sandbox_for
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from tests.sandbox.conftest import TESTS, needs


async def run(job: dict[str, Any], root: Path, preload: tuple[str, ...] = ("json",)) -> dict[str, Any]:
    """A job in the sandbox that a command line would make for it."""
    launcher = Launcher(preload, sandbox=sandbox_for(job["profile"], "none", [root], [TESTS]), allow_calls=True)
    try:
        return await LocalExecutor(launcher).run({"id": "j", "limits": {"wall_seconds": 120}, **job})
    finally:
        await launcher.close()


@pytest.mark.parametrize("way", ["link/out", "real/../real/out", "real/link/out"])
async def test_a_folder_is_reached_by_the_name_it_is_given(tmp_path: Path, way: str) -> None:
    (tmp_path / "real" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "link").symlink_to(tmp_path / "real" / "deeper")
    job = {
        "kind": "call:tests.sandbox.inside:look",
        "read": [],
        "write": [],
        "profile": load_profile("tiny").resolved(),
    }
    result = await run(job | {"folder": str(tmp_path / way)}, tmp_path / way)
    assert result["status"] == "done", result["cause"]
    assert result["data"]["own"] is None
    assert (tmp_path / way / "mine").read_text() == "x"


@needs()
async def test_tasks_in_a_file_are_read_by_who_scores_and_by_nobody_else(tmp_path: Path) -> None:
    tasks = tmp_path / "mine.py"
    tasks.write_text("from engine.tasks.tiny import taskset\n")
    profile = load_profile("tiny").resolved()
    profile["tasks"]["name"] = str(tasks)
    profile["score"] |= {"problems": 2, "samples": 4}
    score = {"kind": "score", "adapter": None, "split": "development", "score_seed": 1, "base_sha256": None}
    folder = tmp_path / "trials" / "score"
    result = await run({**score, "folder": str(folder), "profile": profile}, tmp_path / "trials", ("torch",))
    assert result["status"] == "done", (result["cause"], (folder / "score.log").read_text())

    look = {"kind": "call:tests.sandbox.inside:look", "read": [str(tasks)], "write": [], "profile": profile}
    data = (await run({**look, "folder": str(tmp_path / "trials" / "train")}, tmp_path / "trials"))["data"]
    assert data["reads"] == {str(tasks): "EACCES"}
