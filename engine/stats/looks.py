"""Looks planned beforehand: how much of the error each may use, so that stopping early costs nothing in truth.

Looking after every seed and stopping "when clear" turns 5 % into 16 %. Here the error is spent along a fixed function
of the share of the seeds seen (Lan and DeMets 1983), shaped like O'Brien and Fleming's: almost nothing early.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from statistics import NormalDist
from typing import Any

_NORMAL = NormalDist()
_CELLS = 800


def spent(alpha: float, share: float) -> float:
    """Two-sided error used once `share` (0-1] of the seeds is seen: 2 - 2 Phi(z / sqrt(share)), z at 1 - alpha/2."""
    return 2 * _NORMAL.cdf(_NORMAL.inv_cdf(alpha / 2) / sqrt(share))


def nominal_levels(looks: Sequence[int], alpha: float) -> tuple[float, ...]:
    """The two-sided level at which each look tests, for looks at these numbers of seeds an arm.

    The z values of the looks are multivariate normal with correlations sqrt(n_i / n_j); each level is solved by
    quadrature so that crossing at that look, and at none before, has exactly the probability the spending
    function allows. Applied to p values of the t test (Jennison and Turnbull 2000, 4.4).

    Raises:
        ValueError: no look, looks not ascending from at least 2 seeds, or alpha not inside 0-1.
    """
    if not looks or looks[0] < 2 or any(a >= b for a, b in pairwise(looks)) or not 0 < alpha < 1:
        raise ValueError(f"looks ascend from at least 2 seeds and 0 < alpha < 1, not {list(looks)} with {alpha}")
    return _levels(tuple(looks), alpha)


@lru_cache(maxsize=64)
def _levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Armitage, McPherson and Rowe 1969: carry on the density of the sum over those that have not yet stopped."""
    import numpy as np
    from scipy import special

    used, before = 0.0, 0.0
    points, mass = np.zeros(1), np.ones(1)  # of the sum B(t) = z sqrt(t), among those going on
    levels: list[float] = []
    for share in (n / looks[-1] for n in looks):
        step = sqrt(share - before)
        z = _solve(points, mass, step, sqrt(share), spent(alpha, share) - used)
        levels.append(2 * _NORMAL.cdf(-z))
        used, before = spent(alpha, share), share
        edges = np.linspace(-z * sqrt(share), z * sqrt(share), _CELLS + 1)
        mass = mass @ np.diff(special.ndtr((edges - points[:, None]) / step), axis=1)
        points = (edges[1:] + edges[:-1]) / 2
    return tuple(levels)


def _solve(points: Any, mass: Any, step: float, root: float, wanted: float) -> float:
    """The z that the next sum exceeds, either way, with probability `wanted`."""
    from scipy import optimize, special

    def beyond(z: float) -> float:
        both = special.ndtr((-z * root - points) / step) + special.ndtr((points - z * root) / step)
        return float((mass * both).sum()) - wanted

    return float(optimize.brentq(beyond, 0.0, 12.0, xtol=1e-10))
