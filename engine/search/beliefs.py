"""What mechanisms are believed to add to Overall, learnt from all trainings together, and draws of what may be true.

    Overall(S) = root + sum over m in S of (w_name(m) + u_key(m)),   w ~ N(0, a^2),  u ~ N(0, (a/2)^2)

w is a mechanism's own, u what its constants add. Scores scatter by s around it, expected ones (`Evidence.fidelity`
below 1) by e times as much. a, s and e maximise the marginal likelihood over a grid. A failure counts as a score
`FAILURE_COST` points below its parent's. A draw is Thompson's (Biometrika 25, 1933): where little is known, much may
be true. That mechanisms add up is not so; it is what 64 trainings can tell, see docs/search.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from engine.algorithms.catalogue import MechanismChoice
from engine.search.evidence import FAILED, Evidence
from engine.search.gains import FAILURE_COST

Array = npt.NDArray[np.float64]

NOISES = (0.5, 1.0, 2.0, 4.0)
SINGLES = (1.0, 2.0, 4.0, 8.0, 16.0)
EARLY = (1.0, 2.0, 4.0, 8.0)
"""Tried of s, a and e; points, and times."""
CONSTANTS = 0.5
"""What constants make of a mechanism, as a share of it."""
WIDE = 50.0
"""Points within which the root's own value is known beforehand."""
SPREAD = 0.5
"""Of a draw around the mean, as a share of what is believed: 1 explores more than 64 trainings can pay for."""
NEWEST = 256
"""Results that are learnt from; the time of a decision grows with their cube."""
Row = tuple[tuple[tuple[str, str], ...], float, bool]
"""Names and keys of a set's mechanisms, its score, and whether that is an expected one."""


@dataclass(frozen=True)
class Beliefs:
    """About all mechanisms: those that were seen, and what others may be."""

    place: Mapping[str, int]
    """Of the weight of each name and key that was seen."""
    mean: Array
    """(weights,)"""
    root: Array
    """(weights, weights): a root of their covariance."""
    single: float
    """a, of what was not seen."""

    def points(self, choice: MechanismChoice) -> float:
        """What it is expected to add; 0 for what was not seen."""
        return float(sum(self.mean[self.place[f]] for f in (choice.name, choice.key) if f in self.place))

    def known(self, choice: MechanismChoice) -> bool:
        """Whether this mechanism with these constants was tried."""
        return choice.key in self.place

    def draw(self, choices: Sequence[MechanismChoice], rng: random.Random) -> list[float]:
        """What each of these may add, in points; one truth for all of them."""
        dice = np.array([rng.gauss(0.0, 1.0) for _ in self.mean])
        weights = self.mean + SPREAD * self.root @ dice
        own: dict[str, float] = {}

        def weight(feature: str, scale: float) -> float:
            if feature not in own:
                at = self.place.get(feature)
                own[feature] = SPREAD * scale * rng.gauss(0.0, 1.0) if at is None else float(weights[at])
            return own[feature]

        return [weight(c.name, self.single) + weight(c.key, CONSTANTS * self.single) for c in choices]


def beliefs(candidates: Sequence[Evidence]) -> Beliefs:
    """What the results of these say, the newest `NEWEST` of them.

    Args:
        candidates: the archive as a decision sees it.
    """
    overall = {c.id: c.overall for c in candidates}
    rows: list[Row] = []
    for c in candidates:
        lost = overall.get(c.parent or "")
        if c.overall is not None:
            value = c.overall
        elif c.status in FAILED and lost is not None:
            value = lost - FAILURE_COST
        else:
            continue
        rows.append((tuple((m.name, m.key) for m in c.mechanisms), value, c.fidelity < 1))
    return _believed(tuple(rows[-NEWEST:]))


@lru_cache(maxsize=4)
def _believed(rows: tuple[Row, ...]) -> Beliefs:
    features = dict.fromkeys(f for mechanisms, _, _ in rows for pair in mechanisms for f in pair)
    place = {feature: i + 1 for i, feature in enumerate(features)}
    names = {name for mechanisms, _, _ in rows for name, _ in mechanisms}
    x = np.zeros((len(rows), 1 + len(place)))
    x[:, 0] = 1.0
    for i, (mechanisms, _, _) in enumerate(rows):
        x[i, [place[f] for f in {f for pair in mechanisms for f in pair}]] = 1.0
    y = np.array([value for _, value, _ in rows])
    early = np.array([e for _, _, e in rows], dtype=bool)
    start = float(y.mean()) if len(y) else 0.0
    shape = np.array([1.0, *(1.0 if f in names else CONSTANTS for f in place)])

    def prior(single: float) -> Array:
        return np.where(np.arange(len(shape)) == 0, WIDE, single * shape)

    def evidence(noise: float, single: float, times: float) -> float:
        scaled = x * prior(single)
        kernel = scaled @ scaled.T + np.diag((noise * np.where(early, times, 1.0)) ** 2)
        lower = np.linalg.cholesky(kernel)
        white = np.linalg.solve(lower, y - start)
        return float(-0.5 * white @ white - np.log(np.diagonal(lower)).sum())

    settings = product(NOISES, SINGLES, EARLY if early.any() else EARLY[:1])
    noise, single, times = max(settings, key=lambda s: evidence(*s)) if len(y) > 1 else (1.0, 4.0, 1.0)
    precision = 1 / (noise * np.where(early, times, 1.0))
    scaled = x * prior(single) * precision[:, None]
    inner = np.eye(len(shape)) + scaled.T @ scaled
    mean = prior(single) * np.linalg.solve(inner, scaled.T @ ((y - start) * precision))
    mean[0] += start
    root = prior(single)[:, None] * np.linalg.solve(np.linalg.cholesky(inner), np.eye(len(shape))).T
    return Beliefs(place, mean, root, single)
