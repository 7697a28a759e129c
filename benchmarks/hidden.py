"""What is better than the root, hidden among copies of it: planted gains, and algorithms with known ones.

A gain that is planted is there in full at the end and in the confirmation. At a rung it is what the landscape says of
its algorithms: a part of the gain at the end, and a part that goes its own way (`Early`). A known algorithm needs no
such model: its two recorded trainings are those of the search. Of its confirmation the landscape has too few, so these
are fresh trainings of the root with its known gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.dealing import END, FRESH, Array, Population
from benchmarks.discoveries import CANDIDATES, Bools, Protocol
from benchmarks.landscape.views import Landscape

Draw = Callable[[np.random.Generator], tuple[Population, list[int]]]
"""Makes the candidates of a search, and says which of them are better than the root."""


@dataclass(frozen=True)
class Early:
    """What a gain of 1 at the end is at each column of a discovery's scores."""

    slope: Array
    """(columns,): on average; 1 at the end and in the confirmation."""
    own_way: Array
    """(columns, columns): lower triangle whose product with its transpose is the covariance around that."""

    def gains(self, rng: np.random.Generator, end: float) -> Array:
        """(columns,): one algorithm's gains where that at its end is `end` points."""
        return end * (self.slope + self.own_way @ rng.normal(size=len(self.slope)))


def early(protocol: Protocol, landscape: Landscape) -> Early:
    """Fit `Early` to the subsets that were trained twice.

    The covariance of true standings between stops is that of one seed's scores at one with the other seed's at the
    other: noise that a training carries along is not in it. The slope at a rung is its regression on the end.
    """
    both = protocol.scores(landscape.early, landscape.confirmed)[twice(landscape)]
    first, second = both[:, 0] - both[:, 0].mean(0), both[:, 1] - both[:, 1].mean(0)
    across = first.T @ second / (len(both) - 1)
    true = (across + across.T) / 2
    slope, own_way = true[:, END] / true[END, END], np.zeros_like(true)
    rest = (true - np.outer(slope, true[END])) / true[END, END]
    values, vectors = np.linalg.eigh(rest[:END, :END])
    own_way[:END, :END] = vectors * np.sqrt(np.maximum(values, 0.0))  # a little below 0 is noise of the estimate
    slope[FRESH] = 1.0
    return Early(slope, own_way)


def twice(landscape: Landscape) -> Bools:
    """(SUBSETS,): those with both trainings."""
    return np.asarray(np.isfinite(landscape.early).all(axis=(1, 2)))


def planted(model: Early, gain: float, count: int) -> Draw:
    """`count` candidates of `gain` points each among copies of the root, anywhere."""

    def draw(rng: np.random.Generator) -> tuple[Population, list[int]]:
        gains, where = np.zeros((CANDIDATES, len(model.slope))), rng.choice(CANDIDATES, count, replace=False).tolist()
        for node in where:
            gains[node] = model.gains(rng, gain)
        return Population(gains), where

    return draw


def known(protocol: Protocol, landscape: Landscape, gains: Array, subsets: Sequence[int]) -> Draw:
    """One of these subsets among copies of the root, with its recorded trainings, in any order of the two."""
    rows = protocol.scores(landscape.early, landscape.confirmed)

    def draw(rng: np.random.Generator) -> tuple[Population, list[int]]:
        there, node, subset = (
            np.zeros((CANDIDATES, rows.shape[-1])),
            int(rng.integers(CANDIDATES)),
            int(rng.choice(subsets)),
        )
        there[node] = gains[subset]
        return Population(there, recorded={node: rng.permutation(rows[subset], axis=0)}), [node]

    return draw


def known_gains(landscape: Landscape) -> Array:
    """(SUBSETS,): points over the root, means over both trainings and splits; nan where a training is missing."""
    root = (landscape.root[:, -1].mean() + landscape.root_confirmed.mean()) / 2
    return np.asarray(np.concatenate([landscape.end, landscape.confirmed], axis=1).mean(1) - root)
