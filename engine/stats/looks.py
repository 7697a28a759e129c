"""Looks planned beforehand: how much of the error each may use, so that stopping early costs nothing in truth.

Looking after every seed and stopping "when clear" turns 5 % into 16 %. Here the error is spent along a fixed function
of the share of the seeds seen (Lan and DeMets 1983), shaped like O'Brien and Fleming's: little early, most at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import NormalDist

_NORMAL = NormalDist()


def spent(alpha: float, share: float) -> float:
    """Two-sided error used once `share` (0-1] of the seeds is seen: 2 - 2 Phi(z / sqrt(share)), z at 1 - alpha/2."""
    return 2 * _NORMAL.cdf(_NORMAL.inv_cdf(alpha / 2) / sqrt(share))


def nominal_levels(looks: Sequence[int], alpha: float) -> tuple[float, ...]:
    """The two-sided level at which each look tests, for looks at these numbers of seeds an arm; they add up to alpha.

    Each look tests at what is newly spent there. The levels of the textbooks are higher, since they count on the
    correlation that z values of neighbouring looks have; t values of few seeds with unequal spreads have less of
    it, and the error then was up to 14 % above alpha in simulation. The sum needs no such assumption, and costs
    one to three hundredths of power (`benchmarks/protocol_simulation.py`).

    Raises:
        ValueError: no look, looks not ascending from at least 2 seeds, or alpha not inside 0-1.
    """
    if not looks or looks[0] < 2 or any(a >= b for a, b in pairwise(looks)) or not 0 < alpha < 1:
        raise ValueError(f"looks ascend from at least 2 seeds and 0 < alpha < 1, not {list(looks)} with {alpha}")
    used = [0.0, *(spent(alpha, n / looks[-1]) for n in looks)]
    return tuple(now - before for before, now in pairwise(used))
