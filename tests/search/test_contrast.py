"""A candidate against its parent: what is said to have moved did move, and noise is not told as news."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.search.contrast import findings, paid, partings
from engine.search.curves import MOST_ROWS, Curves, summarize
from engine.search.evidence import Benchmark
from tests.search.samples import ROOT, choice, scored

CHILD = scored("c001", "c000", (choice("NoStd"),), 30.0)


def training(seed: int, updates: int = 40, jump: float = 0.0, at: int = 0, noise: float = 0.02) -> Curves:
    """A noisy flat entropy of 0.5 that goes up by `jump` from update `at` on; correct rises in all of them."""
    rng = random.Random(seed)
    points: list[dict[str, Any]] = [
        {"step": i, "entropy": 0.5 + (jump if i >= at else 0.0) + rng.gauss(0, noise), "correct": 0.2 + 0.01 * i}
        for i in range(1, updates + 1)
    ]
    return summarize(points)


def test_a_curve_that_jumps_is_told_with_the_update_at_which_it_did() -> None:
    found = partings(training(1, jump=0.2, at=20), training(2))
    assert [p.curve for p in found] == ["entropy"]
    assert 16 <= found[0].update <= 24
    assert found[0].word == "higher"
    assert f"from update {found[0].update} on" in found[0].sentence()


def test_a_curve_that_came_back_is_not_told() -> None:
    """It must be apart to the end."""
    away = training(1, updates=60, jump=0.2, at=10)
    back = replace(away, rows={"entropy": (*away.rows["entropy"][:30], *training(3, 60).rows["entropy"][30:])})
    assert partings(replace(back, trends=training(3, 60).trends), training(2, 60)) == []


def test_two_trainings_that_differ_by_noise_alone_seldom_part() -> None:
    told = sum(bool(partings(training(2 * i), training(2 * i + 1))) for i in range(100))
    assert told <= 10


def test_a_training_equal_to_its_parent_parts_nowhere() -> None:
    assert partings(training(1), training(1)) == []


@given(st.integers(1, 2000))
def test_a_curve_keeps_at_most_so_many_points_and_its_mean(updates: int) -> None:
    curves = training(5, updates)
    assert len(curves.rows["entropy"]) <= MOST_ROWS
    assert min(v for v in curves.rows["entropy"] if v is not None) >= 0.5 - 5 * 0.02


def test_a_task_pays_only_beyond_the_interval_of_the_difference() -> None:
    tasks = dict(ROOT.benchmarks)
    tasks["sort"] = Benchmark(40.0, 38.0, 42.0, "avg@4")  # 10 above, interval 2.8
    tasks["mod"] = Benchmark(32.0, 30.0, 34.0, "avg@4")  # 2 above
    assert [(task, round(d, 1)) for task, d, _ in paid(replace(CHILD, benchmarks=tasks), ROOT)] == [("sort", 10.0)]


def test_figures_decide_whether_a_hypothesis_held() -> None:
    better, worse, same = (replace(CHILD, **_all(v)) for v in (40.0, 20.0, 30.5))
    assert [findings(c, ROOT, None, None)[0].hypothesis for c in (better, worse, same)] == [
        "confirmed",
        "refuted",
        "untested",
    ]
    assert findings(worse, ROOT, None, None)[0].never is not None
    assert findings(better, ROOT, None, None)[0].never is None


def test_a_failure_teaches_not_to_repeat_it() -> None:
    failed = replace(CHILD, status="failed", overall=None, benchmarks={}, cause="diverged: the loss is nan")
    (found,) = findings(failed, ROOT, None, None)
    assert found.gain is None
    assert "diverged" in found.effect
    assert found.never is not None
    assert "NoStd" in found.never


def test_the_root_a_pruned_one_and_one_without_a_change_teach_nothing() -> None:
    assert findings(ROOT, None, None, None) == ()
    assert findings(replace(CHILD, status="pruned"), ROOT, None, None) == ()
    assert findings(replace(CHILD, mechanisms=()), ROOT, None, None) == ()


def _all(value: float) -> dict[str, Any]:
    tasks = {t: replace(b, value=value, low=value - 2, high=value + 2) for t, b in ROOT.benchmarks.items()}
    return {"overall": value, "benchmarks": tasks}
