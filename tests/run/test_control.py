"""Rewards that hold no information: `poise control` trains on them for real and must not find a gain."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.run.test_language_model import CODE
from tests.run.world import World, profile, wait_for


def test_a_control_trains_scores_and_says_how_it_stands_to_the_warm_start(world: World) -> None:
    done = world.poise("control", "random-reward", "--profile", str(profile(world.path)), "--seed", "3", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == (found["verdict"] in ("at", "below")), done.stderr
    assert found["difference"] == found["overall"] - found["warm_start"]
    assert found["warm_start"] > 0 < found["standard_error"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random-reward", "shuffled-answers"])
def test_nothing_is_gained_on_the_tiny_profile_at_full_length(world: World, kind: str) -> None:
    done = world.poise("control", kind, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "at the warm start" in done.stdout or "below the warm start" in done.stdout


def test_an_unknown_control_is_wrong_usage(world: World) -> None:
    done = world.poise("control", "nonsense")
    assert done.returncode == 2 and "random-reward" in done.stderr


@pytest.mark.slow
def test_a_training_by_hand_is_not_told_the_seed_that_its_score_is_drawn_from(world: World) -> None:
    file, out = world.path / "mine.py", world.path / "out"
    file.write_text(CODE)
    command = [sys.executable, "-P", "-m", "poise_tui", "train", str(file), "--seed", "77", "--out", str(out)]
    with subprocess.Popen(
        [*command, "--profile", str(profile(world.path, updates="200"))], env=world.environment, cwd=world.path
    ) as training:
        wait_for((out / "metrics.jsonl").exists, "the training has begun")
        during = json.loads((out / "job.json").read_text())
        training.send_signal(signal.SIGTERM)
    assert training.returncode == 1, "it ended at a checkpoint"
    assert "run_seed" not in during and 77 not in during.values()
    short = profile(world.path, "short")
    done = world.poise("train", str(file), "--seed", "77", "--out", "whole", "--profile", str(short))
    assert done.returncode == 0, done.stderr
    assert json.loads((world.path / "whole" / "job.json").read_text())["run_seed"] == 77
    assert world.poise("score", "whole").returncode == 0
