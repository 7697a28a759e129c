"""Recorded trainings of the root, dealt to candidates that are the root, or the root and a gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import Exit, PoiseError

Array = npt.NDArray[np.float64]

END, FRESH = -2, -1
"""Columns of the scores at the end: on development problems and on confirmation problems. The rungs' are before."""


class Deck:
    """Recorded trainings, shuffled, each dealt once.

    Dealing without replacement is right here: over such deals the difference of two arms' means has just the variance
    of independent draws from a population with the pool's variance (divisor n - 1).

    Args:
        rng: shuffles.
        trainings: (n, columns), see `benchmarks.discoveries.Protocol.root`.
        anew: shuffle again when all are dealt, for pools too small for a discovery.
    """

    def __init__(self, rng: np.random.Generator, trainings: Array, anew: bool = False) -> None:
        self._rng, self._trainings, self._anew = rng, trainings, anew
        self._left = rng.permutation(trainings)

    def deal(self, n: int) -> Array:
        """(n, columns): the next ones.

        Raises:
            PoiseError: refused (4): all are dealt.
        """
        while len(self._left) < n and self._anew:
            self._left = np.concatenate([self._left, self._rng.permutation(self._trainings)])
        if len(self._left) < n:
            raise PoiseError(f"a discovery takes more than {len(self._trainings)} trainings of the root", Exit.REFUSED)
        dealt, self._left = self._left[:n], self._left[n:]
        return dealt


@dataclass(frozen=True)
class Population:
    """The candidates of a discovery: each of its trainings is one of the root's, changed."""

    gains: Array
    """(candidates, columns): points added."""
    spread: float = 1.0
    """What a training is from `middle` is multiplied by this."""
    middle: Array | float = 0.0
    """(columns,)"""
    same_seed: float = 0.0
    """Correlation of a candidate's training with the root's of the same seed: they meet the same prompts."""
    recorded: Mapping[int, Array] | None = None
    """(trainings, columns) of candidates whose first trainings in the search are recorded ones of their own."""

    def trained(self, candidate: int | slice, of_root: Array, same: Array) -> Array:
        """Trainings of candidates (rows) made from as many of the root, `same` being the root's own on their seeds."""
        part = self.same_seed
        from_middle = part * (same - self.middle) + (1 - part**2) ** 0.5 * (of_root - self.middle)
        return np.asarray(self.middle + self.spread * from_middle + self.gains[candidate])
