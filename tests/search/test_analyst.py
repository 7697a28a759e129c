"""The rule-based reflection says what the numbers say."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.catalogue import catalogue
from engine.search.analyst import LONGEST, Case, reflect, reflection_messages
from engine.search.contrast import overall_difference
from engine.search.curves import read_points, summarize
from engine.search.evidence import Evidence
from engine.search.sections import suggestion_of
from engine.search.symptoms import SYMPTOMS
from tests.search.samples import ROOT, choice, scored

CHILD = scored("c001", "c000", (choice("NoStd"),), 35.0)
FLAT = {
    "reward": 0.4,
    "correct": 0.3,
    "kl": 0.02,
    "entropy": 0.5,
    "length": 12.0,
    "invalid": 0.02,
    "truncated": 0.01,
    "clip_fraction": 0.02,
    "all_fail": 0.1,
    "mixed": 0.8,
    "all_pass": 0.1,
    "grad_norm": 1.0,
}


def training(**ends: float) -> list[dict[str, Any]]:
    """Twenty updates that go in a line from FLAT to the values given."""
    return [{"step": i + 1, **{k: v + (ends.get(k, v) - v) * i / 19 for k, v in FLAT.items()}} for i in range(20)]


def told(points: list[dict[str, Any]], candidate: Evidence = CHILD) -> str:
    return reflect(Case(candidate, ROOT, summarize(points), summarize(training())))


@pytest.mark.parametrize(
    ("ends", "symptom"),
    [
        ({"reward": 0.8}, "reward rises, correctness does not"),
        ({"all_fail": 0.9}, "many groups fail altogether"),
        ({"all_pass": 0.9}, "many groups pass altogether"),
        ({"entropy": 0.05}, "entropy collapses"),
        ({"kl": 2.0}, "far from the reference"),
        ({"length": 4.0}, "responses shrink"),
        ({"length": 30.0}, "responses grow"),
        ({"truncated": 0.4}, "many responses are cut"),
        ({"invalid": 0.4}, "answers stay unreadable"),
        ({"clip_fraction": 0.5}, "the clip is busy"),
        ({}, "little is learned"),
    ],
)
def test_each_symptom_is_seen_when_it_is_there_and_only_then(ends: dict[str, float], symptom: str) -> None:
    assert symptom in told(training(**ends))
    healthy = training(reward=0.7, correct=0.6)
    assert symptom not in told(healthy)


def test_a_gradient_spike_is_named_with_its_update() -> None:
    points = training(reward=0.7, correct=0.6)
    points[7]["grad_norm"] = 40.0
    assert "first at update 8" in told(points) and "gradient spikes" not in told(training(reward=0.7, correct=0.6))


def test_what_is_suggested_is_in_the_library_and_not_in_the_candidate() -> None:
    assert {r for s in SYMPTOMS for r in s.remedies} <= set(catalogue())
    text = suggestion_of(told(training(clip_fraction=0.5), replace(CHILD, mechanisms=(choice("ClippedWeight"),))))
    assert "SoftGate" in text and "ClippedWeight" not in text


@pytest.mark.parametrize(
    ("overall", "verdict"), [(36.0, "Better than"), (24.0, "Worse than"), (30.5, "Not told apart from")]
)
def test_the_verdict_goes_by_the_interval(overall: float, verdict: str) -> None:
    text = reflect(Case(scored("c001", "c000", overall=overall), ROOT, None))
    assert text.split("## Verdict\n")[1].startswith(verdict)
    assert "noise between seeds" in text


def test_the_difference_combines_the_tasks_errors_with_the_weights_of_overall() -> None:
    found = overall_difference(CHILD, ROOT)
    assert found is not None
    weights = [0.2] + [0.15] * 5
    error = math.sqrt(2 * sum((w / sum(weights)) ** 2 for w in weights)) * 2.0
    assert list(found) == pytest.approx([5.0, error], rel=1e-6)


@pytest.mark.parametrize(
    ("cause", "reading"),
    [
        ("diverged: loss is nan at update 3", "stopped being finite"),
        ("UnsolvedKl is inert: switching it off changes nothing", "takes away what it acts on"),
        ("the deadline of 60 s passed", "took too long"),
        ("something else", "was not tested"),
    ],
)
def test_a_failure_is_reflected_on_too(cause: str, reading: str) -> None:
    failed = Evidence("c001", "X-GRPO", "c000", "failed", (choice("NoStd"),), cause=cause)
    text = reflect(Case(failed, ROOT, None))
    assert f"Failed: {cause}" in text and reading in text
    assert "without NoStd" in suggestion_of(text)


def test_the_mechanisms_that_changed_are_named() -> None:
    parent = scored("c001", "c000", (choice("NoStd"), choice("AdvantageClip", limit=2.0)))
    child = scored("c002", "c001", (choice("AdvantageClip", limit=3.0), choice("TokenMean")))
    text = reflect(Case(child, parent, None))
    assert "new here: TokenMean() at aggregate" in text and "gone: NoStd()" in text
    assert "other constants: AdvantageClip(limit=3.0)" in text


def test_the_root_has_a_reflection() -> None:
    assert "The root scores 30.00" in reflect(Case(ROOT, None, summarize(training())))


def test_a_metrics_file_may_be_torn_missing_or_hostile(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_points(path, updates=1000) == []
    good = json.dumps({"step": 1, "reward": 0.5, "kl": None, "grad_norm": 1.0})
    path.write_bytes(
        good.encode()
        + b'\nnot json\n[1]\n\xff\xfe\n{"step": 2, "reward": "high", "kl": NaN}\n{"step": "x"}\n'
        + b"[" * 9000
        + b'\n{"step": 3, "rew'
    )
    curves = summarize(read_points(path, updates=1000))
    assert curves.updates == 2
    assert curves.means == {"reward": 0.5, "grad_norm": 1.0} and curves.trends["kl"] is None
    assert "## Suggestion" in reflect(Case(CHILD, ROOT, curves))
    path.unlink()
    os.mkfifo(path)
    assert read_points(path, updates=1000) == [], "a pipe is not waited for"


def test_reflections_and_their_prompts_are_bounded_and_clean() -> None:
    hostile = replace(CHILD, hypothesis="\x1b[31m" + "x" * 10**5, cause="``` y" * 10**5, status="failed", overall=None)
    case = Case(hostile, ROOT, summarize(training()))
    assert len(reflect(case)) <= LONGEST and "\x1b" not in reflect(case)
    assert sum(len(m["content"]) for m in reflection_messages(case)) < 3 * LONGEST
