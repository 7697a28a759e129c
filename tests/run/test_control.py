"""Rewards that hold no information: `poise control` trains on them for real and must not find a gain."""

from __future__ import annotations

import json

import pytest

from tests.run.world import World, profile


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
