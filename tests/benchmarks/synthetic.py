"""A made-up landscape of the real one's shape: effects of single switches and of pairs, and noise of trainings."""

from __future__ import annotations

import numpy as np

from benchmarks.landscape.design import ROOT_SEEDS, SEEDS, SUBSETS, SWITCHES
from benchmarks.landscape.table import TASKS
from benchmarks.landscape.views import STOPS, Array, Landscape

ROOT = 55.0


def model(seed: int = 0, single: float = 6.0, pair: float = 2.0) -> Array:
    """(SUBSETS,): true Overall, 55 for the root."""
    rng = np.random.default_rng([1, seed])
    on = np.array([[s >> i & 1 for i in range(len(SWITCHES))] for s in range(SUBSETS)], dtype=float)
    effects, pairs = rng.normal(0, single, on.shape[1]), np.triu(rng.normal(0, pair, (on.shape[1],) * 2), 1)
    return np.asarray(np.clip(ROOT + on @ effects + np.einsum("si,ij,sj->s", on, pairs, on), 5, 95))


def synthetic(seed: int = 0, noise: float = 0.7, single: float = 6.0, pair: float = 2.0) -> Landscape:
    """A whole landscape; an early score is the root's and a growing share of the difference, with more noise."""
    true = model(seed, single, pair)
    rng = np.random.default_rng([2, seed])
    share = np.linspace(0.2, 1.0, len(STOPS))
    wobble = noise * np.linspace(2.0, 1.0, len(STOPS))
    trained = rng.normal(0, noise, (SUBSETS, SEEDS, 1))
    early = (
        ROOT
        + share * (true - ROOT)[:, None, None]
        + trained
        + rng.normal(0, 0.3 * wobble, (SUBSETS, SEEDS, len(STOPS)))
    )
    confirmed = early[:, :, -1] + rng.normal(0, 0.3 * noise, (SUBSETS, SEEDS))
    tasks = early[:, :, -1:] + rng.normal(0, 2.0, (SUBSETS, SEEDS, len(TASKS)))
    root = ROOT + rng.normal(0, wobble, (ROOT_SEEDS, len(STOPS)))
    return Landscape(
        end=early[:, :, -1],
        confirmed=confirmed,
        early=early,
        tasks=tasks,
        root=root,
        root_confirmed=root[:, -1] + rng.normal(0, 0.3 * noise, ROOT_SEEDS),
        train_seconds=np.tile(np.array(STOPS) * 0.4, (SUBSETS, SEEDS, 1)),
        score_seconds=np.full((SUBSETS, SEEDS, len(STOPS)), 1.0),
    )
