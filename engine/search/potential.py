"""What a candidate's descendants may gain: a Gaussian process over the archive, and its upper confidence bound.

The target is POISE's discounted top-K descendant gain (arXiv 2603.23951, phase I):
y_d = mean over the K best descendants c of gamma^depth(c, d) * tanh((U(c) - U(d)) / beta).
The paper gives neither kernel nor features nor constants: they are ours, and `Settings` holds their defaults.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.search.evidence import Evidence, difference
from engine.search.features import Features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

FEWEST = 4
"""Targets below which nobody is expected to differ: the prior for all."""
MOST = 256
"""Candidates with a target that the process learns from: the newest half and a sample of the rest."""
CHUNK = 1024
"""Predictions made at once, to bound memory."""
NEGLIGIBLE = 1e-3
"""A discount below it ends the walk to the ancestors."""


@dataclass(frozen=True)
class Settings:
    """The constants of target, kernel and bound (`[search.potential]` of a profile)."""

    gamma: float = 0.7
    """Discount a generation."""
    top_k: int = 3
    """Descendants that count."""
    beta: float = 5.0
    """Points of Overall that saturate the gain."""
    kappa: float = 1.0
    """Standard deviations in the bound."""
    length_scale: float = 1.0
    """Of the kernel, in units of the root mean square distance of two candidates."""


@dataclass(frozen=True)
class Belief:
    """What is expected of a candidate's descendants, on the scale of the target, (-1, 1)."""

    mean: float
    std: float
    ucb: float
    """mean + kappa * std"""


PRIOR = Belief(0.0, 1.0, 1.0)
"""Of everybody, as long as fewer than `FEWEST` candidates have descendants with a score."""
DEFAULTS = Settings()


class Potential:
    """Learns from what it is shown, and answers from memory where nothing new was settled.

    Not a moment's work (tenths of a second): call it in a thread. One call at a time.
    """

    def __init__(self, settings: Settings = DEFAULTS) -> None:
        self.settings = settings
        self._features = Features()
        self._key: tuple[object, ...] = ()
        self._beliefs: Mapping[str, Belief] = {}

    def beliefs(self, candidates: Sequence[Evidence]) -> Mapping[str, Belief]:
        """What is expected of every candidate that may be a parent and has a score, by id; all of it from `candidates`.

        Empty while fewer than `FEWEST` have descendants with a score: then everybody has the `PRIOR`.
        """
        # Who was decided since only adds to the count of children; identity suffices for what was read before.
        key = tuple((c.id, c.parent, c.overall, c.status, c.curves is None) for c in candidates if c.arm == "search")
        if key != self._key:
            self._beliefs = self._learnt(candidates)
            self._key = key
        return self._beliefs

    def _learnt(self, candidates: Sequence[Evidence]) -> Mapping[str, Belief]:
        found = targets(candidates, self.settings)
        if len(found) < FEWEST:
            return {}
        import numpy as np

        counted = [c for c in candidates if _counts(c)]  # pruned ones teach, too
        x = self._features.matrix(candidates, counted)
        known = _spread([i for i, c in enumerate(counted) if c.id in found])
        mean, std = _predicted(x[known], np.array([found[counted[i].id] for i in known]), x, self.settings.length_scale)
        kappa = self.settings.kappa
        # Rounded: the last digits of a library's sums differ between machines.
        rounded = zip(counted, mean.round(6).tolist(), std.round(6).tolist(), strict=True)
        return {c.id: Belief(m, s, m + kappa * s) for c, m, s in rounded if c.eligible}


def targets(candidates: Sequence[Evidence], settings: Settings = DEFAULTS) -> dict[str, float]:
    """y_d by id, for those with a score and a descendant with one. No descendant is no target, not a gain of zero;
    descendants that failed say nothing of how much could be gained, those that were pruned do.

    Args:
        candidates: in the order of decisions, as `seen` gives them: what a decision does not see has no score here.
    """
    place = {c.id: c for c in candidates}
    best: dict[str, list[float]] = {}
    for c in candidates:
        if not _counts(c):
            continue
        discount, at = settings.gamma, place.get(c.parent or "")
        while at is not None and discount >= NEGLIGIBLE:
            if _counts(at):
                gain = discount * math.tanh((difference(c, at) or 0.0) / settings.beta)
                kept = best.setdefault(at.id, [])
                kept.append(gain)
                if len(kept) > settings.top_k:
                    kept.remove(min(kept))
            discount, at = discount * settings.gamma, place.get(at.parent or "")
    return {id: math.fsum(gains) / len(gains) for id, gains in best.items()}


def _counts(c: Evidence) -> bool:
    return c.arm == "search" and c.overall is not None and c.status in ("scored", "stopped", "pruned")


def _spread(known: Sequence[int]) -> list[int]:
    """At most `MOST` of them: the newest half, and the rest evenly from the older ones."""
    if len(known) <= MOST:
        return list(known)
    half = MOST // 2
    older = known[:-half]
    return [*(older[i * len(older) // half] for i in range(half)), *known[-half:]]


def _predicted(x: Matrix, y: Matrix, at: Matrix, length_scale: float) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation (of the expected target, without the noise of one) at each row of `at`.

    A Matern 5/2 kernel; its amplitude and the noise maximise the marginal likelihood, from the same start every time.
    """
    import numpy as np
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from threadpoolctl import threadpool_limits

    smooth = ConstantKernel(1.0, (0.05, 5.0)) * Matern(length_scale, "fixed", nu=2.5)
    process = GaussianProcessRegressor(smooth + WhiteKernel(0.3, (0.02, 2.0)), normalize_y=True, random_state=0)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant at the end of its range is an answer, not a fault
        process.fit(x, y)
        parts = [process.predict(at[i : i + CHUNK], return_std=True) for i in range(0, len(at), CHUNK)]
    mean, std = (np.concatenate(part) for part in zip(*parts, strict=True))
    unit = float(np.std(y)) or 1.0
    noise = process.kernel_.k2.noise_level * unit**2
    return mean, np.sqrt(np.maximum(std**2 - noise, 0.0))
