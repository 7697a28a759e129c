"""Budgets of real runs, killed in the middle: what was used counts, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.loop.budget import SLICE_SECONDS
from engine.loop.guard import TICK_SECONDS
from tests.run.test_language_model import GOOD, REFLECTION
from tests.run.world import Events, World, engine_process, profile, wait_for
from tests.search.model_server import SILENT, serving


@pytest.fixture
def world() -> Iterator[World]:
    """A machine of one test's own; its path is short, for its sockets."""
    path = Path(tempfile.mkdtemp(prefix="poise-run-"))
    yield World(path)
    shutil.rmtree(path, ignore_errors=True)


def kill(folder: RunFolder) -> None:
    """`kill -9` the run's engine, and see it gone."""
    process = engine_process(folder)
    process.kill()
    wait_for(lambda: folder.engine() is None, "the engine is dead")


def resume(world: World, run: str) -> None:
    done = world.poise("resume", run)
    assert done.returncode == 0, done.stderr


def start(world: World, *arguments: str, name: str = "r", **changes: str) -> tuple[RunFolder, Events]:
    quick = profile(world.path, baseline_seeds="1", **changes)
    world.start("--profile", str(quick), "--name", name, "--workers", "1", *arguments)
    folder = world.folder(name)
    wait_for(folder.engine, "an engine holds the lock")
    return folder, Events(folder)


def test_hours_of_an_engine_that_was_killed_count_and_the_budget_still_ends_the_run(world: World) -> None:
    hours = 27 / 3600
    folder, events = start(world, "--candidates", "50", "--hours", str(hours))
    began = events.wait("run.created").time
    events.wait("trial.metrics")
    really = really_before = time.time() - began
    kill(folder)
    resume(world, "r")
    again = time.time()
    ended = events.wait("run.status", status="finished")
    assert ended.data["reason"].startswith("budget of 0.0075 h used")
    wait_for(lambda: folder.engine() is None, "the engine has ended")
    really += ended.time - again
    exported = world.export("r")
    spent = exported["run"]["spent"]["wall_seconds"]
    assert really - 0.5 <= spent <= really + SLICE_SECONDS + 5, "all of it counts; of a crash, one slice more at most"
    trainings = [
        event.time
        for event in EventReader(folder.events).read()
        if event.kind == "trial.updated" and event.data.get("status") == "training"
    ]
    used = [t - began if t < again else really_before + t - again for t in trainings]
    assert used and max(used) <= hours * 3600 + TICK_SECONDS + 3, "nothing begins once the budget is used"
    trained = sum(t["cost"]["train_seconds"] for t in exported["trials"])
    assert trained > 0, "the killed training's time is on its trial's record"


async def test_a_call_under_way_when_the_engine_dies_is_charged_and_the_budget_is_never_passed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(SILENT) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-test-test-test")
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        arguments = ("--candidates", "2", "--llm", "openai/test", "--usd", "2")
        folder, events = await asyncio.to_thread(start, world, *arguments)
        await server.asked.wait()
        await asyncio.to_thread(kill, folder)
        await asyncio.to_thread(resume, world, "r")
        ended = await asyncio.to_thread(events.wait, "run.status", None, 0, status="finished")
    assert "allows no further call" in ended.data["reason"]
    assert len(server.requests) == 1
    assert 1.6 < (await asyncio.to_thread(world.export, "r"))["run"]["spent"]["llm_usd"] <= 2.0


@pytest.mark.slow
async def test_an_answer_that_came_just_before_the_engine_died_is_used_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The root trains for long enough that its reflection is not the first question.
    arguments = ("--candidates", "1", "--llm", "openai/test")
    for attempt in range(10):
        async with serving(GOOD, REFLECTION) as server:
            monkeypatch.setenv("OPENAI_API_KEY", "sk-test-test-test-test")
            monkeypatch.setenv("OPENAI_API_BASE", server.url)
            name = f"r{attempt}"
            folder, events = await asyncio.to_thread(start, world, *arguments, name=name, updates="60", population="1")
            await asyncio.to_thread(events.wait, "llm.call", purpose="propose")
            await asyncio.to_thread(kill, folder)
            if any(e.kind == "candidate.created" and e.node == "c001" for e in events.update()):
                continue  # too late: the engine had already used the answer
            await asyncio.to_thread(resume, world, name)
            await asyncio.to_thread(events.wait, "run.status", None, 0, status="finished")
            break
    else:
        pytest.fail("no kill came between an answer and its use")
    prompts = [json.dumps(r["messages"]) for r in server.requests]
    assert len(prompts) == len(set(prompts)) == 4, "a proposal, its reading and two reflections, none asked twice"
    exported: dict[str, Any] = await asyncio.to_thread(world.export, name)
    calls = [json.loads(line) for line in folder.llm.read_text().splitlines()]
    assert exported["run"]["spent"]["llm_usd"] == pytest.approx(sum(c["usd"] for c in calls))
    assert exported["candidates"][1]["name"] == "Gentle-GRPO"
    costs = [c["cost"]["llm_usd"] for c in exported["candidates"]]
    assert min(costs) > 0 and sum(costs) == pytest.approx(exported["run"]["spent"]["llm_usd"]), "nothing counts twice"
