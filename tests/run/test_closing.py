"""A budget that ends a search does not end the run before its best are confirmed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.archive.store import read_archive
from engine.loop.closing import confirmation_seconds
from engine.profiles.schema import load_profile
from tests.run.test_language_model import GOOD, REFLECTION
from tests.run.world import Events, World, profile, wait_for
from tests.search.model_server import serving

CONFIRM = {"baseline_seeds": "1", "confirm.candidates": "1", "confirm.seeds": "2", "confirm.looks": "[]"}


@pytest.fixture
def world() -> Iterator[World]:
    """A machine of one test's own; its path is short, for its sockets."""
    path = Path(tempfile.mkdtemp(prefix="poise-run-"))
    yield World(path)
    shutil.rmtree(path, ignore_errors=True)


def start(world: World, *arguments: str) -> Events:
    world.start("--profile", str(profile(world.path, **CONFIRM)), "--name", "r", "--workers", "1", *arguments)
    folder = world.folder("r")
    wait_for(folder.engine, "an engine holds the lock")
    return Events(folder)


def test_a_search_by_the_hour_makes_its_last_decision_while_there_is_time_for_its_confirmation(world: World) -> None:
    seconds = 16.0
    events = start(world, "--candidates", "500", "--hours", str(seconds / 3600))
    events.wait("run.status", status="finished")
    run = read_archive(world.folder("r").archive).run()
    assert run["closed"]["candidates"] < 500
    assert "for the confirmation of the best" in run["closed"]["reason"]
    made = [e for e in events.update() if e.kind == "candidate.created" and e.node != "c000"]
    assert len(made) == run["closed"]["candidates"]


async def test_money_that_is_used_up_leaves_the_confirmation_which_needs_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(GOOD, REFLECTION) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-test-test-test")
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        arguments = ("--candidates", "9", "--llm", "openai/test", "--usd", "1.9")
        events = await asyncio.to_thread(start, world, *arguments)
        ended = await asyncio.to_thread(events.wait, "run.status", None, 0, status="finished")
    run = read_archive(world.folder("r").archive).run()
    assert "allows no further call" in ended.data["reason"]
    assert run["closed"]["candidates"] < 9
    assert run["confirmed_after"] == run["closed"]["candidates"]


@given(st.integers(1, 8), st.floats(1, 1e4))
def test_the_time_kept_is_for_every_training_of_the_confirmation(workers: int, seconds: float) -> None:
    tiny = load_profile("tiny").resolved()
    cost = {"train_seconds": seconds, "score_seconds": 0.0}
    whole = {"status": "scored", "rung": 1.0, "cost": cost}
    kept = confirmation_seconds(tiny, [whole], workers)
    confirm = tiny["confirm"]
    assert kept is not None and kept >= (confirm["candidates"] + 1) * confirm["seeds"] * seconds / workers
    assert confirmation_seconds(tiny, [{**whole, "rung": 0.25}], workers) is None, "nobody knows yet"
    taken_over = {**whole, "cost": {"train_seconds": 0.0, "score_seconds": 0.0}}
    assert confirmation_seconds(tiny, [whole, taken_over, taken_over], workers) == kept
    assert confirmation_seconds({**tiny, "confirm": {**confirm, "candidates": 0}}, [whole], workers) == 0.0
