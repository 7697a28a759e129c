"""The landscape is what was trained: nothing is lost between a training and the arrays that everything is asked of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.landscape import table
from benchmarks.landscape.design import (
    REACHED,
    ROOT_SEEDS,
    RUNGS,
    SEEDS,
    SUBSETS,
    SWITCHES,
    Entry,
    chosen,
    order,
    pilot,
    source,
)
from benchmarks.landscape.table import TASKS
from benchmarks.landscape.views import END, STOPS, overall_of, task_values, view
from engine.algorithms.catalogue import catalogue, conflicts
from engine.search.answers import read_algorithm

POWERS = 2 ** np.arange(len(SWITCHES))


def test_every_subset_of_the_switches_is_an_algorithm() -> None:
    assert not conflicts([catalogue()[m.name] for m in SWITCHES])
    for subset in (1, 0b10101010, SUBSETS - 1):
        _, mechanisms = read_algorithm(source(subset))
        assert [m.name for m in mechanisms] == [m.name for m in chosen(subset)]


def test_every_entry_comes_once_and_the_pilot_first() -> None:
    entries = list(order())
    assert len(entries) == len(set(entries)) == len({*REACHED, *pilot()}) * SEEDS + ROOT_SEEDS - SEEDS
    assert {e.subset for e in entries[: len(pilot()) * SEEDS]} == set(pilot())


def test_in_the_pilot_each_switch_is_balanced_against_every_pair_of_others() -> None:
    signs = np.array([[1 if subset >> i & 1 else -1 for i in range(len(SWITCHES))] for subset in pilot()])
    assert (signs.sum(axis=0) == 0).all()
    assert (signs.T @ signs == len(pilot()) * np.eye(len(SWITCHES))).all()
    three = np.einsum("ri,rj,rk->ijk", signs, signs, signs)
    apart = [three[i, j, k] for i in range(8) for j in range(8) for k in range(8) if len({i, j, k}) == 3]
    assert not any(apart), "no main effect is mixed up with an interaction of two"


def row(entry: Entry, rng: np.random.Generator, failed_after: int | None = None) -> dict[str, Any]:
    """A training as `benchmarks.landscape.train` records it, of made-up outcomes."""
    scores = []
    for updates in STOPS:
        if failed_after is not None and updates > failed_after:
            break
        for split in ("development", "confirmation") if updates == END else ("development",):
            correct = rng.integers(0, 2, (len(TASKS), 5, 4), dtype=np.uint8)
            packed = table.pack({task: correct[i].tolist() for i, task in enumerate(TASKS)})
            sizes = {"problems": 5, "samples": 4, "correct": packed, "seconds": 1.0}
            scores.append({"split": split, "updates": updates, **sizes, "overall": overall_of(values(correct))})
    status = "scored" if failed_after is None else "failed"
    fields = {"subset": entry.subset, "seed": entry.seed, "status": status, "cause": None, "protocol": "p"}
    stops = [u for u in STOPS if failed_after is None or u <= failed_after]
    fields |= {"adapter": "a" * 64, "updates": stops, "train_seconds": [0.5 * u for u in stops], "scores": scores}
    return fields | {"curves": [{"name": "reward", "values": [1.0, float("nan"), 2.0]}]}


def values(correct: np.ndarray) -> np.ndarray:
    return task_values(table.Scored("development", END, 0.0, correct, 1.0))


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, table.PART_ROWS - 1, table.PART_ROWS, table.PART_ROWS + 2]))
def test_what_is_appended_is_what_is_loaded_sealed_or_not(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(seed)
    rows = [row(Entry(i, 0), rng) for i in range(count)]
    for each in rows:
        table.append(each, folder)
    pending = table.load(folder)
    table.seal(folder)
    assert len(list(folder.glob("*.parquet"))) == -(-count // table.PART_ROWS)
    for trainings in (pending, table.load(folder)):
        assert [t.entry for t in trainings] == [Entry(i, 0) for i in range(count)]
        for training, was in zip(trainings, rows, strict=True):
            assert training.adapter == was["adapter"]
            assert [s.overall for s in training.scores] == [s["overall"] for s in was["scores"]]
            assert [overall_of(task_values(s)) for s in training.scores] == [s.overall for s in training.scores]


def test_what_is_not_trained_is_unknown_and_what_failed_is_nought(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for each in (row(Entry(3, 1), rng), row(Entry(4, 0), rng, failed_after=4), row(Entry(0, 7), rng)):
        table.append(each, tmp_path)
    seen = view(table.load(tmp_path))
    assert seen.end.shape == (SUBSETS, SEEDS) and seen.early.shape == (SUBSETS, SEEDS, len(RUNGS) + 1)
    assert seen.end[3, 1] > 0 and np.isnan(seen.end[3, 0]) and np.isnan(seen.end[5]).all()
    assert seen.end[4, 0] == seen.confirmed[4, 0] == 0.0 and seen.early[4, 0, 1] > 0
    assert len(seen.root) == 1


def test_the_stored_outcomes_are_those_of_their_scores() -> None:
    """Overall from single completions is the Overall that the scorer told; of every sixth training that is there."""
    trainings = table.load()
    assert trainings, "the landscape lies beside its code"
    assert len({t.protocol for t in trainings}) == 1
    for training in trainings[::6]:
        for scored in training.scores:
            assert overall_of(task_values(scored)) == pytest.approx(scored.overall, abs=1e-9)
