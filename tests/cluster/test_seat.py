"""A seat does on its node what the engine does on its own machine; no Ray is needed for that."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.cluster.mirror import Piece
from engine.cluster.seat import Seat, Terms, own_folder
from engine.profiles.schema import load_profile

HERE = Path(__file__).parents[1]


def terms() -> Terms:
    profile = load_profile("tiny").resolved()
    return Terms(profile, "standard", None, ("call:tests.process.jobs:ask_grader",), ("json",), True, (HERE,))


def job(function: str, **more: Any) -> dict[str, Any]:
    kind = f"call:tests.process.jobs:{function}"
    return {"id": "j", "kind": kind, "folder": "/elsewhere/j", "limits": {"wall_seconds": 60}, **more}


@pytest.fixture
async def seat() -> AsyncIterator[Seat]:
    seat = Seat(terms())
    assert (await seat.open())["unfit"] is None
    yield seat
    await seat.close()


async def finish(seat: Seat, asked: dict[str, Any], *pieces: Piece) -> list[tuple[str, Any]]:
    """Everything that is told of a job, to its end."""
    await seat.begin(asked)
    await seat.put(asked["id"], pieces)
    await seat.start(asked["id"])
    told: list[tuple[str, Any]] = []
    while not told or told[-1][0] not in ("ended", "refused"):
        told += await seat.told(asked["id"])
    return told


async def test_a_job_runs_in_the_sandbox_of_the_node_and_its_files_come_before_its_result(seat: Seat) -> None:
    told = await finish(seat, job("report"))
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "started" and kinds[-1] == "ended" and "files" in kinds
    data = told[-1][1]["data"]
    assert data["folder"].startswith(str(seat._folder)), "a node's own folder, whatever the engine's is called"
    assert data["environment"]["USER"] == "poise"
    files = {piece.path for kind, pieces in told if kind == "files" for piece in pieces}
    assert {"call.log", "result.json"} <= files and "job.json" not in files


async def test_what_a_training_goes_on_from_is_there_and_only_what_is_new_comes_back(seat: Seat) -> None:
    told = await finish(seat, job("steps"), Piece("folder/metrics.jsonl", 0, b'{"step": -1}\n'))
    [metrics] = [p for kind, pieces in told if kind == "files" for p in pieces if p.path == "metrics.jsonl"]
    assert (metrics.offset, metrics.data) == (13, b'{"step": 0}\n{"step": 1}\n{"step": 2}\n')


async def test_a_control_word_reaches_the_job(seat: Seat) -> None:
    asked = job("wait_for_control")
    await seat.begin(asked)
    await seat.start("j")
    told = await seat.told("j")
    assert told[0][0] == "started"
    await seat.control("j", "pause")
    while told[-1][0] != "ended":
        told += await seat.told("j")
    assert told[-1][1]["status"] == "paused"


async def test_the_grader_is_asked_through_the_seat(seat: Seat) -> None:
    asked = job("ask_grader")
    await seat.begin(asked)
    await seat.start("j")
    told: list[tuple[str, Any]] = []
    while ("grader", b"hello\n") not in told:
        told += await seat.told("j")
    await seat.heard("j", b"well")
    while told[-1][0] != "ended":
        told += await seat.told("j")
    assert told[-1][1]["data"]["answer"] == "well"


async def test_a_job_that_cannot_be_run_is_refused_not_waited_for(seat: Seat) -> None:
    assert (await finish(seat, job("report", limits={"no_such": 1})))[-1][0] == "refused"


async def test_a_node_whose_scores_would_not_compare_is_not_used() -> None:
    other = Seat(replace(terms(), protocol="0123456789abcdef"))
    assert "the run's is 0123456789abcdef" in (await other.open())["unfit"]
    await other.close()


async def test_a_seat_leaves_nothing_on_its_node_and_clears_up_after_a_dead_one() -> None:
    dead, lock = own_folder()
    live, other = own_folder()
    assert dead.is_dir()
    os.close(lock)  # as the death of its process does
    fresh, third = own_folder()
    assert not dead.exists() and live.is_dir() and fresh.is_dir()
    for handle in (other, third):
        os.close(handle)
    last, fourth = own_folder()
    assert not live.exists() and not fresh.exists()
    os.close(fourth)
    shutil.rmtree(last)
