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
from engine.loop.closing import confirmation_seconds, time_to_confirm
from engine.loop.decisions import decide_all
from engine.loop.finalists import search_over
from engine.profiles.schema import load_profile
from tests.run.test_language_model import GOOD, REFLECTION
from tests.run.test_studies import SEARCH, Made, good
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


async def test_a_search_by_the_hour_makes_its_last_decision_while_there_is_time_for_its_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(tmp_path)
    for trial in made.book.trials:
        made.book.update_trial(trial, cost={"train_seconds": 60.0, "score_seconds": 0.0, "gpu_seconds": 0.0})
    made.book.set_run(budget={"candidates": 500, "hours": 2.0})
    needed = confirmation_seconds(made.config.profile, list(made.book.trials.values()), made.config.workers)
    assert needed is not None and 0 < needed < 3600
    assert time_to_confirm(made.engine, 7200 - needed - 1) is None
    monkeypatch.setattr(made.engine, "wall", lambda: 7200 - needed + 1)
    await decide_all(made.engine)  # it ends without asking for a proposal
    assert made.book.run["closed"]["candidates"] == len(SEARCH)
    assert "for the confirmation of the best" in made.book.run["closed"]["reason"]
    assert search_over(made.engine)
    await made.studies(good)
    assert made.book.candidates["c001"]["confirmed"] is not None


def test_at_most_half_of_the_hours_are_kept(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for trial in made.book.trials:
        made.book.update_trial(trial, cost={"train_seconds": 3600.0, "score_seconds": 0.0, "gpu_seconds": 0.0})
    made.book.set_run(budget={"candidates": 500, "hours": 2.0})
    assert time_to_confirm(made.engine, 3599.0) is None and time_to_confirm(made.engine, 3601.0) is not None


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
