"""`poise status` tells what is left to do, what it will cost and when it ends."""

import json
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.store import Archive, Change
from engine.stats.noise import expected_best
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


RUNG = {"rung": 0.25, "updates": 12, "seeds": [1], "overalls": [30.0]}
GAIN = {"rung": 1.0, "value": 11.25, "low": 4.0, "high": 18.5, "mark": "better", "seeds": 1, "root_seeds": 2}
STUDY = {
    "id": "confirm-1", "kind": "confirm", "nodes": ["c001"], "by": "user", "status": "running", "cause": None,
    "created": 1.0, "finished": None, "split": "confirmation", "arms": [{"candidate": "c000"}, {"candidate": "c001"}],
    "seeds": 10, "looks": [5, 7, 10], "look": 0, "alpha": {"c001": 0.025},
}  # fmt: skip


def with_rungs(runs: Path) -> None:
    """c001 went the whole way; c002 stopped at a quarter with the highest number of them all; a study has begun."""
    whole = {**RUNG, "rung": 1.0, "updates": 48}
    went, stopped = ({"rung": 0.25, "promoted": p, "probability": 0.5, "why": "w", "by": "rule"} for p in (True, False))
    fields = {
        "c001": {"rungs": [RUNG, whole], "gain": GAIN, "promotions": [went], "fidelity": 1.0},
        "c002": {"rungs": [RUNG], "promotions": [stopped], "fidelity": 0.25, "overall": 99.0, "status": "stopped"},
    }
    trials = [{**TRIAL, "id": f"c000-baseline-{i}", "overall": 30.0 + 2 * i} for i in range(2)]
    confirm = {**TRIAL, "id": "c001-confirm-101", "candidate": "c001", "purpose": "confirm", "study": "confirm-1"}
    archive = Archive.open(write_run(runs, "mine", status="stopped") / "archive.json")
    changes = [Change("candidates", node, changed) for node, changed in fields.items()]
    changes += [Change("trials", trial["id"], trial) for trial in [*trials, confirm]]
    archive.commit([*changes, Change("run", "mine", {"studies": [STUDY]})], [])
    archive.close()


def test_it_says_what_the_scores_are_worth(poise: Poise, runs: Path) -> None:
    with_rungs(runs)
    lines = poise("status", "mine").stdout.splitlines()
    alone = f"chance alone: best of 2 about {expected_best(2, 2**0.5):+.1f}"
    assert f"  root        31.0 ±1.4 (mean, standard deviation) over 2 seeds; {alone}" in lines
    best = next(line for line in lines if "c001" in line)
    assert best.endswith(", +11.2 (+4.0 to +18.5): better")
    assert "  @12         2 scored, 1 went on, 1 stopped" in lines
    assert "  confirm-1   running: look 1 of 3, 1/20 trainings of c001" in lines


def test_a_score_at_a_rung_is_never_among_the_best(poise: Poise, runs: Path) -> None:
    with_rungs(runs)
    found = json.loads(poise("status", "mine", "--json").stdout)
    assert [node["id"] for node in found["best"]] == ["c001", "c000"], "c002 has 99.0, at a quarter of a training"
    assert found["best"][0]["gain"] == GAIN
    assert found["baseline"]["overall_mean"] == 31.0
    assert found["rungs"][0] == {
        "rung": 0.25, "updates": 12, "scored": 2, "undecided": 0, "stopped": 1, "promoted": 1
    }  # fmt: skip
    assert found["studies"][0]["done"] == 1 and found["studies"][0]["trainings"] == 20
