"""`poise status` tells what is left to do, what it will cost and when it ends."""

import json
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.store import Archive, Change
from tests.cli.conftest import Poise, write_run

TRIAL = {
    "id": "c000-search-0", "candidate": "c000", "purpose": "search", "seed": 1, "off": [], "rung": 1.0,
    "split": "development", "overall": 30.0, "benchmarks": {}, "protocol": "p", "status": "scored",
    "cost": {"train_seconds": 50.0, "score_seconds": 10.0, "gpu_seconds": 60.0},
}  # fmt: skip


def unfinished(runs: Path, **budget: float) -> None:
    """Two of six candidates are there, one training has ended in a minute on one GPU."""
    archive = Archive.open(write_run(runs, "mine", status="stopped") / "archive.json")
    fields = {"budget": {"candidates": 6, "hours": None, "gpu_hours": None, "usd": None, **budget}}
    archive.commit([Change("run", "mine", fields)], [Event("run.updated", None, fields)])
    archive.commit([Change("trials", TRIAL["id"], TRIAL)], [Event("trial.created", "c000", TRIAL)])
    archive.close()


def test_it_says_what_is_left_and_when_it_will_have_ended(poise: Poise, runs: Path) -> None:
    unfinished(runs)
    lines = poise("status", "mine").stdout.splitlines()
    assert "  to go       4 candidates, about 4 trainings, 4:00 GPU time" in lines
    assert "  ends        about 2:30 after it is resumed, when its candidates are done" in lines


def test_it_says_which_budget_ends_the_run(poise: Poise, runs: Path) -> None:
    unfinished(runs, gpu_hours=1 / 60)
    lines = poise("status", "mine").stdout.splitlines()
    assert "  ends        about 0:37 after it is resumed, when its budget of gpu hours is used" in lines
    estimate = json.loads(poise("status", "mine", "--json").stdout)["estimate"]
    assert estimate["ends_by"] == "gpu_hours"
    assert estimate["eta_seconds"] == pytest.approx(37.5)
    assert estimate["to_go"] == {
        "candidates": 4, "trials": 4.0, "wall_seconds": 150.0, "gpu_seconds": 240.0, "llm_usd": 0.0
    }  # fmt: skip


def test_a_finished_run_has_nothing_to_go(poise: Poise, runs: Path) -> None:
    write_run(runs, "done")
    assert "to go" not in poise("status", "done").stdout
