"""Pareto fronts are what their definition says, whichever way they are found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.search.evidence import Benchmark, Evidence
from engine.search.evidence import fronts as fronts_of_candidates
from engine.search.pareto import dominates, fronts

ROWS = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.one_of(st.integers(0, 4).map(float), st.just(float("-inf"))), min_size=columns, max_size=columns),
        max_size=40,
    )
)


def peeled(rows: list[list[float]]) -> list[int]:
    """The definition, front by front."""
    found = [-1] * len(rows)
    front = 0
    while -1 in found:
        left = [i for i, f in enumerate(found) if f == -1]
        for i in [i for i in left if not any(dominates(rows[j], rows[i]) for j in left)]:
            found[i] = front
        front += 1
    return found


@given(ROWS)
def test_fronts_are_those_of_the_brute_force(rows: list[list[float]]) -> None:
    assert fronts(rows) == peeled(rows)


def test_the_pareto_front_is_what_no_other_beats_in_every_task() -> None:
    def with_tasks(id: str, **values: float) -> Evidence:
        rows = {n: Benchmark(v, v, v, "avg@4") for n, v in values.items()}
        return Evidence(id, id, "c000", "scored", (), sum(values.values()), rows)

    archive = [
        with_tasks("x", a=10, b=1),
        with_tasks("y", a=1, b=10),
        with_tasks("z", a=1, b=1),
        with_tasks("w", a=0, b=0),
        with_tasks("other task", c=1),
    ]
    assert fronts_of_candidates(archive) == {"x": 0, "y": 0, "z": 1, "w": 2, "other task": 0}


def test_two_objectives_of_a_large_archive_take_a_bisection_each() -> None:
    size = 20_000
    line = [[float(i), float(-i)] for i in range(size)]
    chain = [[float(i), float(i)] for i in range(size)]
    assert set(fronts(line)) == {0}
    assert fronts(chain) == list(range(size - 1, -1, -1))
