"""Two real updates before the real training: only for code that nobody has trained yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.render import render
from engine.loop.seeds import train_seed
from engine.loop.smoke import smoke
from engine.process.executor import LocalExecutor
from engine.process.launch import TRAINER_IMPORTS, Launcher
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderProcess
from tests.search.samples import choice

PROFILE: dict[str, Any] = load_profile("tiny").resolved()
OWN = '''\
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Invented(Mechanism):
    """Somebody's own."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        made = 0.9 * inner(value)
        BODY
        return made


algorithm = Algorithm(name="Invented-GRPO", mechanisms=(Invented(),))
'''
BROKEN = OWN.replace("BODY", "assert r.step > 5, 'not before update 5'")
SOUND = OWN.replace("BODY", "")


class NoExecutor:
    """Fails the test that runs a job."""

    async def run(self, job: Any, on_start: Any = None) -> Any:
        """Never to be called."""
        raise AssertionError(job["id"])


async def test_mechanisms_of_the_library_are_not_trained_again(tmp_path: Path) -> None:
    code = render("Known-GRPO", "h", [choice("NoStd")])
    options = {"node": "c001", "algorithm": tmp_path / "a.py", "folder": tmp_path / "smoke"}
    assert await smoke(NoExecutor(), code=code, profile=PROFILE, seed=1, **options) is None  # type: ignore[arg-type]


@pytest.fixture
async def executor(tmp_path: Path) -> AsyncIterator[LocalExecutor]:
    tasks = PROFILE["tasks"]
    with GraderProcess() as grader:
        launcher = Launcher(TRAINER_IMPORTS, sandbox=None)
        try:
            yield LocalExecutor(
                launcher, lambda _: grader.connect(tasks["name"], tasks["options"], train_seed(1, "pool", 0))
            )
        finally:
            await launcher.close()


async def test_code_of_its_own_is_trained_two_updates_and_what_breaks_there_is_told(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    path, folder = tmp_path / "algorithm.py", tmp_path / "smoke"
    told = {}
    for name, code in (("sound", SOUND), ("broken", BROKEN)):
        path.write_text(code)
        told[name] = await smoke(
            executor, node="c001", code=code, algorithm=path, folder=folder, profile=PROFILE, seed=1
        )
        assert not folder.exists()
    assert told["sound"] is None
    assert told["broken"] is not None and "smoke training of 2 updates" in told["broken"]
    assert "not before update 5" in told["broken"] and "\n" not in told["broken"]
