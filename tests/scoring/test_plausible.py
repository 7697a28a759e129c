"""Scores that are hard to believe are flagged, by rules that see settled results and the trial's own files alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.scoring.plausible import Known, against, flags
from engine.search.curves import Curves, summarize

SCORE: dict[str, Any] = {
    "overall": 52.0,
    "standard_error": 1.0,
    "responses": {"length": 6.0, "truncated": 0.02, "invalid": 0.1},
}
KNOWN = Known(best=51.0, parent=50.0, adapters={"a1": "c002"})


def curves(**ends: float) -> Curves:
    """Of a training in which reward and correct rose, unless said otherwise."""
    start = {"reward": 1.0, "correct": 0.3, "length": 9.0, "truncated": 0.1, "invalid": 0.3}
    end = {"reward": 2.0, "correct": 0.5, "length": 6.2, "truncated": 0.02, "invalid": 0.1, **ends}
    return summarize([{"step": i + 1, **(start if i < 4 else end)} for i in range(8)])


def test_an_ordinary_score_is_taken_as_it_is() -> None:
    assert flags(SCORE, curves(), "b7", KNOWN) == []
    assert flags({**SCORE, "overall": 10.0}, curves(reward=0.1, correct=0.1), "b7", KNOWN) == [], "a loss is no wonder"


@pytest.mark.parametrize(("overall", "jumps"), [(55.2, False), (55.3, True), (99.0, True)])
def test_three_standard_errors_of_the_difference_above_the_best_result_are_a_jump(overall: float, jumps: bool) -> None:
    found = flags({**SCORE, "overall": overall}, curves(), "b7", KNOWN)
    assert [f.partition(":")[0] for f in found] == (["jump"] if jumps else [])


def test_a_score_that_rose_while_training_gained_nothing_is_flagged() -> None:
    score, flat = {**SCORE, "overall": 53.5}, curves(reward=0.9, correct=0.3)
    (found,) = flags(score, flat, "b7", KNOWN)
    assert found.startswith("no gain in training") and "3.50" in found
    assert flags(score, None, "b7", KNOWN) == [found], "no metrics are no gain"
    assert flags(score, curves(reward=0.9, correct=0.31), "b7", KNOWN) == []


@pytest.mark.parametrize(
    ("responses", "says"),
    [({"truncated": 0.5}, "50% truncated"), ({"invalid": 0.9}, "90% invalid"), ({"length": 20.0}, "20.0 tokens"),
     ({"length": 2.0}, "2.0 tokens")],
)  # fmt: skip
def test_responses_unlike_those_of_the_training_are_flagged(responses: dict[str, float], says: str) -> None:
    (found,) = flags({**SCORE, "responses": {**SCORE["responses"], **responses}}, curves(), "b7", KNOWN)
    assert found.startswith("responses: ") and says in found


def test_the_adapter_of_another_candidate_is_flagged() -> None:
    (found,) = flags(SCORE, curves(), "a1", KNOWN)
    assert found == "copy: its adapter is that of c002, byte for byte"


def test_without_settled_results_nothing_is_a_jump() -> None:
    assert flags({**SCORE, "overall": 99.0}, curves(), "b7", Known(None, None, {})) == []
    assert flags({**SCORE, "overall": 53.5}, None, None, replace(KNOWN, parent=None)) == []


@pytest.mark.parametrize(("overall", "verdict"), [(30.0, "at"), (32.8, "at"), (32.9, "above"), (27.1, "below")])
def test_a_control_is_held_against_the_warm_start_at_two_standard_errors(overall: float, verdict: str) -> None:
    base = {"overall": 30.0, "standard_error": 1.0}
    assert against(base, {"overall": overall, "standard_error": 1.0})["verdict"] == verdict
