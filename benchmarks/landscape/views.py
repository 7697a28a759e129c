"""The landscape as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.design import RUNGS, SEEDS, SUBSETS
from benchmarks.landscape.table import PARTS, TASKS, Scored, Training, load
from engine.profiles.schema import load_profile
from engine.tasks import load_taskset

Array = npt.NDArray[np.float64]

END = int(load_profile("tiny").resolved()["train"]["updates"])
STOPS = (*RUNGS, END)
"""Updates at which there are scores."""


@dataclass(frozen=True)
class Landscape:
    """Scores are Overall, 0-100; what was not trained is nan, what failed is 0."""

    end: Array
    """(SUBSETS, SEEDS): on the development problems."""
    confirmed: Array
    """(SUBSETS, SEEDS): on the confirmation problems."""
    early: Array
    """(SUBSETS, SEEDS, stops): at `STOPS` on development problems; the last is `end`."""
    tasks: Array
    """(SUBSETS, SEEDS, tasks): development, at the end."""
    root: Array
    """(trained, stops): the root's trainings that are there, by seed."""
    root_confirmed: Array
    """(trained,)"""
    train_seconds: Array
    """(SUBSETS, SEEDS, stops): of a core, from the start to each stop, start-ups included."""
    score_seconds: Array
    """(SUBSETS, SEEDS, stops): of a core, each scoring on the development problems."""

    @cached_property
    def truth(self) -> Array:
        """(SUBSETS,): the mean over all there is of an algorithm at its end, seeds and both splits."""
        return np.asarray(np.nanmean(np.concatenate([self.end, self.confirmed], axis=1), axis=1))


def view(trainings: Sequence[Training]) -> Landscape:
    """Arrays of what was trained."""
    shape = (SUBSETS, SEEDS)
    early, seconds, scoring = (np.full((*shape, len(STOPS)), np.nan) for _ in range(3))
    confirmed, tasks = np.full(shape, np.nan), np.full((*shape, len(TASKS)), np.nan)
    roots: dict[int, tuple[list[float], float]] = {}
    for training in trainings:
        found = {(s.split, s.updates): s for s in training.scores}
        at = [found[("development", u)].overall if ("development", u) in found else 0.0 for u in STOPS]
        last = found.get(("confirmation", END))
        if training.entry.subset == 0:
            roots[training.entry.seed] = (at, last.overall if last else 0.0)
        if training.entry.seed < SEEDS:
            where = training.entry.subset, training.entry.seed
            early[where] = at
            confirmed[where] = last.overall if last else 0.0
            seconds[where] = [training.train_seconds.get(u, np.nan) for u in STOPS]
            scoring[where] = [found[("development", u)].seconds if ("development", u) in found else 0.0 for u in STOPS]
            tasks[where] = task_values(found[("development", END)]) if ("development", END) in found else 0.0
    return Landscape(
        end=early[:, :, -1],
        confirmed=confirmed,
        early=early,
        tasks=tasks,
        root=np.array([roots[seed][0] for seed in sorted(roots)]).reshape(-1, len(STOPS)),
        root_confirmed=np.array([roots[seed][1] for seed in sorted(roots)]),
        train_seconds=seconds,
        score_seconds=scoring,
    )


def landscape(folder: Path = PARTS) -> Landscape:
    """The landscape as far as it is trained."""
    return view(load(folder))


def task_values(scored: Scored, problems: slice = slice(None), samples: slice = slice(None)) -> Array:
    """(tasks,): each task's value, 0-100, of all or some of the problems and samples of a scoring."""
    taskset, k = load_taskset("tiny", None), load_profile("tiny").resolved()["score"]["k"]
    correct = scored.correct[:, problems, samples]
    n, right = correct.shape[2], correct.sum(axis=2)
    hard = np.array([task in taskset.hard for task in TASKS])
    misses = np.ones(right.shape)
    for i in range(k):  # C(n-c, k) / C(n, k), arXiv 2107.03374
        misses *= np.clip(n - right - i, 0, None) / (n - i)
    return np.asarray(100 * np.where(hard, (1 - misses).mean(axis=1), (right / n).mean(axis=1)))


def overall_of(values: Array) -> float:
    """Overall of the tasks' values."""
    weights = np.array([load_taskset("tiny", None).weights[task] for task in TASKS])
    return float(values @ weights / weights.sum())
