"""A user's mistake, or a candidate's, is one clear line; nothing is left half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from tests.run.world import World, profile

HEAD = """import torch
from torch import Tensor
from engine.contract import Algorithm, Inner, Mechanism, Rollouts, StepStats, State
"""
LATE_NAN = (
    HEAD
    + """
class Late(Mechanism):
    def initial_state(self) -> State:
        return {"n": 0.0}
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * (float("nan") if r.number("n") >= 3 else 1.0)
    def on_optimizer_step(self, s: StepStats) -> None:
        s.state["n"] = s.number("n") + 1

algorithm = Algorithm(name="Late", mechanisms=(Late(),))
"""
)
GOOD = (
    HEAD
    + """
class Doubled(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return 2 * inner(value)

algorithm = Algorithm(name="Doubled", mechanisms=(Doubled(),))
"""
)


TINY = load_profile("tiny").resolved()


def write(folder: Path, text: str) -> str:
    path = folder / "a.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (HEAD + "def broken(:\n", "a.py: syntax error in line 4"),
        ("import socket\n" + GOOD, "a.py: line 1: import of socket is not allowed"),
        (GOOD.replace("2 * inner(value)", "inner(value)[:2]"), "in the regime 'mixed groups': expected shape (32,)"),
        (GOOD.replace("2 * inner(value)", "inner(value) / 0"), "expected finite numbers, found"),
    ],
)
def test_verify_says_what_is_wrong_in_one_line(world: World, text: str, cause: str) -> None:
    done = world.poise("verify", write(world.path, text))
    assert done.returncode == 1
    assert cause in done.stderr and "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


def test_verify_passes_a_good_file(world: World) -> None:
    done = world.poise("verify", write(world.path, GOOD))
    assert done.returncode == 0 and "Doubled" in done.stdout


async def test_an_endless_loop_ends_by_its_deadline(tmp_path: Path) -> None:
    file = write(tmp_path, "while True:\n    pass\nalgorithm = None\n")
    launcher = Launcher(("torch",), sandbox=None)
    try:
        job = {"id": "v", "kind": "verify", "folder": str(tmp_path / "v"), "algorithm": file, "profile": TINY}
        result = await LocalExecutor(launcher, grace=0.5).run({**job, "limits": {"wall_seconds": 2.0}})
    finally:
        await launcher.close()
    assert (result["status"], result["cause"]) == ("timeout", "ran longer than 2 s")


def test_a_training_that_diverges_fails_with_the_update_it_happened_at(world: World) -> None:
    quick, out = str(profile(world.path)), str(world.path / "out")
    done = world.poise("train", write(world.path, LATE_NAN), "--profile", quick, "--out", out)
    assert done.returncode == 1
    assert "diverged: loss is nan at update" in done.stderr


def test_train_and_score_work_on_a_file_alone(world: World) -> None:
    quick, out = str(profile(world.path)), str(world.path / "out")
    trained = world.poise("train", write(world.path, GOOD), "--profile", quick, "--out", out, "--seed", "3")
    assert trained.returncode == 0, trained.stderr
    again = world.poise("train", write(world.path, GOOD), "--profile", quick, "--out", out, "--seed", "3")
    assert again.returncode == 4 and "finished training" in again.stderr
    scored = world.poise("score", out)
    assert scored.returncode == 0, scored.stderr
    assert "Overall" in scored.stdout and "hop" in scored.stdout
    missing = world.poise("score", str(world.path))
    assert missing.returncode == 2 and "no adapter in" in missing.stderr


def test_a_model_that_is_not_there_is_said_before_a_folder_is_made(world: World) -> None:
    bad = profile(world.path, **{"model.name": '"./nowhere"'})
    done = world.poise("run", "--headless", "--profile", str(bad), "--name", "r")
    assert done.returncode == 3 and "no model" in done.stderr
    assert not (world.path / "runs" / "r").exists()


@pytest.mark.slow
def test_a_root_of_ones_own_is_verified_and_its_mechanisms_are_known(world: World) -> None:
    quick = str(profile(world.path, baseline_seeds="1"))
    arguments = ("run", "--headless", "--profile", quick, "--candidates", "1", "--workers", "2", "--seed", "1")
    done = world.poise(*arguments, "--name", "good", "--root", write(world.path, GOOD))
    assert done.returncode == 0, done.stdout + done.stderr
    root, child = world.export("good")["candidates"]
    assert root["name"] == "Doubled" and root["proposal"]["mechanisms"] == [{"name": "Doubled", "params": {}}]
    assert child["status"] == "scored"
    bad = GOOD.replace("2 * inner(value)", "inner(value) / 0")
    done = world.poise(*arguments, "--name", "bad", "--root", write(world.path, bad))
    assert "the root cannot train" in done.stdout
    export = world.export("bad")
    assert [c["status"] for c in export["candidates"]] == ["infeasible"] and export["run"]["status"] == "stopped"
