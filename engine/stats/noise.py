"""How far a score is from chance: gains over the root as intervals, the expected best of many, pairing by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import NormalDist, StatisticsError, correlation, fmean, variance
from typing import Literal

from engine.stats.contrast import Contrast, t_quantile, welch

LEVEL = 0.95
Mark = Literal["better", "worse", "can't tell"]
OWN_SPREAD_FROM = 3
"""Own seeds from which the candidate's own spread is believed. With fewer, Welch's interval is as wide as a guess of a
spread from one degree of freedom (two to three times) and still does not hold 95 %; pooled with the root's it does
wherever the candidate spreads no more than the root."""


@dataclass(frozen=True)
class Gain:
    """A candidate's gain over the root at the same rung, in points, with its t interval."""

    value: float
    low: float
    high: float
    mark: Mark
    seeds: int
    root_seeds: int


def gain(own: Sequence[float], root: Sequence[float], level: float = LEVEL) -> Gain | None:
    """The gain of the candidate's scores over the root's, one score a training, all at one rung.

    With one or two own scores the two arms' spread is pooled (with one: it is the root's), from three on each
    arm has its own (Welch). None with fewer than two root scores or no own one: nobody knows the noise then.
    """
    if not own or len(root) < 2:
        return None
    if len(own) >= OWN_SPREAD_FROM:
        found = welch(own, root)
    else:
        df = len(own) + len(root) - 2
        squares = variance(root) * (len(root) - 1) + (variance(own) * (len(own) - 1) if len(own) > 1 else 0.0)
        found = Contrast(fmean(own) - fmean(root), sqrt(squares / df * (1 / len(own) + 1 / len(root))), df)
    low, high = found.interval(1 - level)
    return Gain(found.value, low, high, marked(low, high), len(own), len(root))


def marked(low: float, high: float) -> Mark:
    """What an interval of a gain says."""
    return "better" if low > 0 else "worse" if high < 0 else "can't tell"


@lru_cache(maxsize=256)
def expected_best(n: int, std: float) -> float:
    """Points above the common mean where the best of `n` identical candidates, each scored once, is expected.

    The expected maximum of n normals: 2.34 stds for n = 63. What a search must show before it has shown anything.

    Raises:
        ValueError: n < 1 or std < 0.
    """
    if n < 1 or std < 0:
        raise ValueError(f"the expected best needs n >= 1 and std >= 0, not n={n} std={std}")
    step, normal = 0.01, NormalDist()
    below = [normal.cdf(i * step) ** n for i in range(-1000, 1001)]
    # E max = integral of 1 - F over x > 0 minus integral of F over x < 0; the trapezoid halves the ends and zero.
    positive = sum(1 - f for f in below[1001:]) + (1 - below[1000]) / 2
    negative = sum(below[:1000]) + below[1000] / 2
    return std * step * (positive - negative)


def seed_correlation(a: Mapping[int, float], b: Mapping[int, float]) -> float | None:
    """Pearson correlation of two arms' scores (by seed) over the seeds they share; None with fewer than three."""
    common = sorted(set(a) & set(b))
    if len(common) < 3:
        return None
    try:
        return correlation([a[s] for s in common], [b[s] for s in common])
    except StatisticsError:  # an arm without spread
        return None


def pairing_pays(correlation: float | None, seeds: int, level: float = LEVEL) -> bool:
    """Whether a paired t interval over `seeds` common seeds would be narrower than an unpaired one.

    Pairing multiplies the variance by 1 - correlation and halves the degrees of freedom: it takes a correlation above
    0.41 with 4 seeds and 0.14 with 10. The correlation must come from other trainings than those to be judged.
    """
    if correlation is None or seeds < 2:
        return False
    tail = (1 - level) / 2
    paired = t_quantile(tail, seeds - 1) * sqrt(max(0.0, 1 - correlation))
    return paired < t_quantile(tail, 2 * seeds - 2)
