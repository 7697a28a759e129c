"""Further seeds go to those of the best whose place in confirmation chance could still change, and to nobody else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.loop.finalists import unclear


def test_everybody_among_the_best_gets_a_second_seed_first() -> None:
    assert unclear({"a": [60.0], "b": [59.0, 58.0], "c": [20.0]}, wanted=1, most=4) == ["a", "c"]


def test_those_who_are_far_from_the_line_get_no_more() -> None:
    scores = {"a": [80.0, 80.4], "b": [70.0, 70.5], "c": [69.9, 70.3], "d": [40.0, 40.4]}
    assert unclear(scores, wanted=2, most=4) == ["b", "c"]


def test_without_a_line_there_is_nothing_to_tell_apart() -> None:
    assert unclear({"a": [60.0, 61.0], "b": [60.0, 61.0]}, wanted=3, most=4) == []
    assert unclear({}, wanted=3, most=4) == []


@given(
    st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_it_comes_to_an_end(scores: list[list[float]], wanted: int, most: int) -> None:
    """Whoever is chosen has fewer seeds than allowed; with all seeds used nobody is."""
    by = {str(i): own for i, own in enumerate(sorted(scores, key=lambda own: -sum(own) / len(own)))}
    assert all(len(by[node]) < most for node in unclear(by, wanted, most))
    assert unclear({n: own for n, own in by.items() if len(own) >= most}, wanted, most) == []
