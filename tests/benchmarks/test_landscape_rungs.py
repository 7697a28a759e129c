"""Schedules of rungs are judged by trainings they have not seen, and their cost is that of what was trained."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.discoveries import scheduled
from benchmarks.landscape.rungs import (
    as_proposed,
    correlations,
    in_any_order,
    noise_std,
    replay,
    seconds,
    study,
    tables,
)
from benchmarks.landscape.search_world import within_reach
from benchmarks.landscape.views import STOPS, Landscape
from engine.errors import PoiseError
from tests.benchmarks.synthetic import synthetic

SEARCHES = 6


@pytest.fixture(scope="module")
def table() -> Landscape:
    return synthetic(seed=3)


@pytest.fixture(scope="module")
def meetings(table: Landscape) -> list[tuple[list[int], list[int]]]:
    return [in_any_order(table, r) for r in range(SEARCHES)]


def test_a_search_meets_sixty_four_algorithms_once_each_and_never_the_root(table: Landscape) -> None:
    for meet in (in_any_order, as_proposed):
        subsets, which = meet(table, 1)
        assert len(set(subsets)) == len(which) == 64
        assert set(subsets) <= set(within_reach()) - {0}
        assert meet(table, 1) == (subsets, which) != meet(table, 2)


def test_without_rungs_nothing_is_saved_and_nothing_missed(
    table: Landscape, meetings: list[tuple[list[int], list[int]]]
) -> None:
    found = replay(table, scheduled(), meetings)
    assert found == {"cost": pytest.approx(1.0), "missed": 0.0, "error": 0.0, "near": 1.0}


def test_a_rung_that_knows_the_end_misses_nothing_and_one_that_knows_nothing_misses_much(
    table: Landscape, meetings: list[tuple[list[int], list[int]]]
) -> None:
    early, rng = table.early.copy(), np.random.default_rng(0)
    early[:, :, STOPS.index(4)] = early[:, :, -1]
    early[:, :, STOPS.index(8)] = rng.normal(30, 1, early.shape[:2])
    table = replace(table, early=early)
    knows, nothing = (replay(table, scheduled(u), meetings) for u in (4, 8))
    assert knows["missed"] == 0.0 and knows["near"] == 1.0
    assert nothing["missed"] > 1.0 and nothing["near"] < 0.5
    assert knows["cost"] < 0.5


def test_the_parts_of_a_training_take_as_long_as_the_whole_and_their_starts_and_scorings(table: Landscape) -> None:
    (whole,), parts = seconds(table, ()), seconds(table, (4, 12))
    assert len(parts) == 3
    scoring = np.nanmedian(table.score_seconds, axis=(0, 1))
    more = 2 * 0.7 + scoring[STOPS.index(4)] + scoring[STOPS.index(12)]
    assert sum(parts) == pytest.approx(whole + more)


def test_ranks_of_one_training_are_compared_with_the_end_of_the_other(table: Landscape) -> None:
    rows = correlations(table)
    assert [r["updates"] for r in rows] == list(STOPS)
    assert rows[-1]["all"] < 1.0, "the same training would agree with itself"
    assert rows[-1]["noise_std"] == pytest.approx(noise_std(table))


def test_everything_is_told_in_tables_that_repeat(table: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.landscape.rungs.SCHEDULES", ((4,),))
    monkeypatch.setattr("benchmarks.landscape.rungs.ETAS", (12,))
    monkeypatch.setattr("benchmarks.landscape.rungs.REPLICAS", ((0, 1), (4, 2)))
    found = study(table, 3)
    json.dumps(found, allow_nan=False)
    assert study(table, 3) == found
    told = "\n".join(tables(found))
    assert told.count("\n| 4 | ") == 2 and "| 4, 2 | " in told
    plain, finalists = found["replicas"]
    assert finalists["trained"] > plain["trained"] and finalists["regret_of_all"] == plain["regret_of_all"]


def test_a_landscape_with_gaps_where_a_search_may_go_is_refused_with_what_to_do(table: Landscape) -> None:
    end = table.end.copy()
    end[3, 1] = np.nan
    with pytest.raises(PoiseError, match=r"1 trainings are missing: python -P -m benchmarks\.landscape\.train run"):
        study(replace(table, end=end), 2)
