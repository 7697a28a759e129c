"""Searches with rungs on the landscape propose as searches do, and are told what a run would tell them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.discoveries import scheduled
from benchmarks.landscape import together
from benchmarks.landscape.search_rules import acquisition, composed
from benchmarks.landscape.search_world import Strategy, World, search
from benchmarks.landscape.together import run, study, told
from benchmarks.landscape.views import STOPS, Landscape
from tests.benchmarks.synthetic import synthetic


@pytest.fixture(scope="module")
def table() -> Landscape:
    made = synthetic(seed=5)
    # Without noise between seeds it does not matter which of its trainings a search sees.
    same = made.early[:, :1].repeat(2, axis=1)
    return replace(made, early=same, end=same[:, :, -1], tasks=made.tasks[:, :1].repeat(2, axis=1))


def test_without_rungs_it_is_the_search_that_sees_every_score(table: Landscape) -> None:
    found = run(table, scheduled(), 24, seed=3)
    root = np.array([found.order[0]])
    shown = World(table.end[:, 0].copy(), table.tasks[:, 0])
    # The root's standing is the mean of its own seeds in a run.
    dice = np.random.default_rng([64, 3])
    dice.integers(2, size=256)
    shown.seen[root] = table.root[dice.choice(256, 8, replace=False), -1].mean()
    assert found.order == search(Strategy("together", acquisition(), composed()), shown, 3, 24)
    assert found.reached == [24]
    assert found.chosen == sorted(found.order[1:], key=lambda s: -table.end[s, 0])[:3]


def test_with_a_rung_few_are_trained_to_the_end_and_the_rest_is_expected(table: Landscape) -> None:
    found = run(table, scheduled(24, eta=4), 32, seed=1)
    begun, ended = found.reached
    assert (begun, ended < 20) == (32, True)
    assert len(set(found.order)) == 33, "nothing twice"
    early = table.early.copy()
    early[:, :, STOPS.index(24)] = 50.0 + np.random.default_rng(0).normal(0, 0.01, early.shape[:2])
    assert run(replace(table, early=early), scheduled(24, eta=4), 32, seed=1).order != found.order, "rungs are seen"


def test_the_table_tells_cost_and_what_was_missed_for_every_schedule(
    table: Landscape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "SCHEDULES", (((), 4), ((4,), 12)))
    monkeypatch.setattr(together, "CANDIDATES", (8, 24))
    rows = list(study(table, 3))
    assert list(study(table, 3)) == rows
    whole = [r for r in rows if not r["updates"]]
    assert [r["cost"] for r in whole] == [pytest.approx(8), pytest.approx(24)]
    assert whole[1]["missed"] <= whole[0]["missed"]
    assert all(r["cost"] < whole[i % 2]["cost"] for i, r in enumerate(rows[2:]))
    assert "\n".join(told(rows)).count("\n| ") == 2
