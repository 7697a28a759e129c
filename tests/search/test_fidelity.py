"""Scores of different rungs are never compared as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.evidence import Evidence, difference
from engine.search.fidelity import scale


def at(rung: float, overall: float) -> dict[str, Any]:
    ci = [overall - 3, overall + 3]
    return {
        "rung": rung,
        "overall": overall,
        "benchmarks": {"add": {"metric": "avg@8", "value": overall, "n": 40, "ci": ci}},
    }


ROOT = {0.25: at(0.25, 30.0), 1.0: at(1.0, 50.0)}


def test_a_whole_training_counts_as_it_is() -> None:
    found = scale(ROOT, []).at_the_end([at(0.25, 35.0), at(1.0, 61.0)])
    assert (found["overall"], found["fidelity"]) == (61.0, 1.0)
    assert found["benchmarks"]["add"]["value"] == 61.0


def test_a_gain_at_a_rung_is_expected_at_the_end_by_what_others_gained_from_there() -> None:
    others = [[at(0.25, 30.0 + x), at(1.0, 50.0 + 3 * x)] for x in (1.0, -2.0, 4.0, 5.0) * 20]
    found = scale(ROOT, others).at_the_end([at(0.25, 33.0)])
    assert found["fidelity"] == 0.25
    assert found["overall"] == pytest.approx(50.0 + 3 * 3.0, abs=0.2)
    assert found["benchmarks"]["add"]["value"] == pytest.approx(found["overall"])


def test_without_anybody_at_the_end_a_point_at_a_rung_is_a_point() -> None:
    assert scale(ROOT, []).at_the_end([at(0.25, 33.0)])["overall"] == pytest.approx(53.0)


def test_whoever_has_no_score_has_none() -> None:
    assert scale(ROOT, []).at_the_end([])["overall"] is None
    assert scale({0.25: at(0.25, 30.0)}, []).at_the_end([at(0.25, 31.0)])["overall"] is None


def test_two_candidates_are_compared_where_both_have_been() -> None:
    """Although the parent's own figure is that of a whole training."""
    to_end = scale(ROOT, [])
    parent = Evidence("c001", "a", "c000", "scored", **to_end.at_the_end([at(0.25, 34.0), at(1.0, 80.0)]))
    child = Evidence("c002", "b", "c001", "stopped", **to_end.at_the_end([at(0.25, 36.0)]))
    assert difference(child, parent) == pytest.approx(2.0)
    assert "expected, from 25% of a training" in child.told and "expected" not in parent.told


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=12), st.floats(0, 100))
def test_what_is_expected_is_a_score(others: list[tuple[float, float]], mine: float) -> None:
    found = scale(ROOT, [[at(0.25, a), at(1.0, b)] for a, b in others]).at_the_end([at(0.25, mine)])
    assert 0.0 <= found["overall"] <= 100.0
    low, high = found["benchmarks"]["add"]["ci"]
    assert 0.0 <= low <= found["benchmarks"]["add"]["value"] <= high <= 100.0
