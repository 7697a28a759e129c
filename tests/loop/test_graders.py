"""A trainer that asks too much of the grader: its job ends with that cause, and is not connected again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import PoiseError
from engine.loop.graders import Graders
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderClient

FLOOD = "call:tests.loop.flooding:flood"


async def test_a_flood_ends_the_trial_with_its_cause(tmp_path: Path) -> None:
    profile = load_profile("tiny").resolved()
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    with closing(Graders(profile, 1)) as graders:
        executor = LocalExecutor(launcher, graders.connect, graded=(FLOOD,))
        graders.on_flood = executor.kill
        result = await executor.run(
            {"id": "c001-search-0", "kind": FLOOD, "folder": str(tmp_path / "job"), "limits": {"wall_seconds": 60}}
        )
        assert (result["status"], result["reason"]) == ("killed", "asked")
        assert result["cause"] == "cut off by the grader: more than 112 requests to the grader"
        with pytest.raises(PoiseError, match="cut off by the grader"):
            await graders.connect({"id": "c001-search-0"})
        other = GraderClient((await graders.connect({"id": "c002-search-0"})).detach())
        assert other.prompts()[1] == {"correct": 1.0, "format": 0.1, "brevity": 2.0}
    await launcher.close()


async def test_a_grader_that_died_is_started_anew(tmp_path: Path) -> None:
    import os
    import signal

    with closing(Graders(load_profile("tiny").resolved(), 1)) as graders:
        os.kill(graders._process.pid, signal.SIGKILL)
        connected = GraderClient((await graders.connect({"id": "x"})).detach())
        assert connected.prompts()
