"""The verdict on a candidate from fresh trainings: Welch's t on seed means, at looks planned beforehand.

The question is one-sided (is it better than the root?), the test two-sided: the interval then tells harm as well, and a
gain that is none is called confirmed at half the stated rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, sqrt
from statistics import variance
from typing import Any

from engine.stats.contrast import Contrast, t_quantile, welch
from engine.stats.looks import nominal_levels

WANTED_POWER = 0.8
MOST_MORE_SEEDS = 30
DEFAULT_LOOKS = (5, 7, 10)
"""Seeds an arm at each look."""


@dataclass(frozen=True)
class Plan:
    """What was fixed before the first training: seeds an arm at each look, and this candidate's alpha."""

    looks: tuple[int, ...]
    alpha: float

    @property
    def nominal(self) -> tuple[float, ...]:
        """The two-sided level at each look."""
        return nominal_levels(self.looks, self.alpha)


@dataclass(frozen=True)
class Power:
    """What these seeds and spreads could have shown at this look's level."""

    at: float
    """The gain seen, in points."""
    value: float
    """The chance (0-1) to confirm a true gain of that size."""
    detectable: float
    """The smallest true gain that is confirmed with a chance of 80 %, in points."""


@dataclass(frozen=True)
class Judgement:
    """The verdict at one look: "confirmed", "not confirmed", "continue" or "needs N more seeds"."""

    verdict: str
    gain: float
    low: float
    high: float
    """Interval at level 1 - nominal: it excludes 0 exactly when the look decides, and all looks hold together."""
    p: float
    nominal: float
    power: Power
    seeds: int
    more: int | None
    """The N of "needs N more seeds" (an arm)."""
    line: str


def judge(candidate: Sequence[float], root: Sequence[float], plan: Plan, look: int) -> Judgement:
    """Judge the scores of both arms, one a seed, at look `look` (0 is the first) of the plan.

    A training that failed counts as 0.0 and must be among the scores: an algorithm that sometimes fails is
    that much worse. Scores of both arms are on the confirmation problems, of seeds the search never used.

    Raises:
        ValueError: no such look, or an arm has another number of seeds than the plan says.
    """
    if not 0 <= look < len(plan.looks):
        raise ValueError(f"the plan has {len(plan.looks)} looks; there is no look {look + 1}")
    n = plan.looks[look]
    if len(candidate) != n or len(root) != n:
        raise ValueError(f"look {look + 1} is planned at {n} seeds an arm, not {len(candidate)} and {len(root)}")
    nominal, last = plan.nominal[look], look == len(plan.looks) - 1
    found = welch(candidate, root)
    low, high = found.interval(nominal)
    spreads = (variance(candidate), variance(root))
    power = Power(found.value, power_of(found.value, spreads, n, nominal), detectable(spreads, n, nominal))
    more = None
    if found.p <= nominal:
        verdict = "confirmed" if found.value > 0 else "not confirmed"
    elif not last:
        verdict = "continue"
    else:
        more = _more_seeds(found.value, spreads, n, nominal)
        verdict = "not confirmed" if more is None else f"needs {more} more seeds"
    line = (
        f"{verdict}: {found.value:+.1f} points against the root ({low:+.1f} to {high:+.1f}), p {found.p:.2g} where "
        f"{nominal:.2g} is asked, at {n} of {plan.looks[-1]} seeds an arm; at these spreads a true gain of "
        f"{power.detectable:.1f} is confirmed in 80 %"
    )
    return Judgement(verdict, found.value, low, high, found.p, nominal, power, n, more, line)


def power_of(gain: float, variances: tuple[float, float], seeds: int, level: float) -> float:
    """Chance that Welch's test at this two-sided level shows a true gain, with `seeds` an arm.

    The noncentral t distribution, by quadrature over the spread that is found (a library's breaks down far out).

    At the gain that was seen this is a function of the p value and tells nothing new (Hoenig and Heisey 2001); it is
    there to say how many seeds a repetition takes.
    """
    from scipy import special

    found = _expected(gain, variances, seeds)
    if found.error == 0:
        return float(gain > 0)
    shares, weights = _quadrature()
    spread = (2 * special.gammaincinv(found.df / 2, shares) / found.df) ** 0.5  # the one found, over the true one
    shown = special.ndtr(gain / found.error - t_quantile(level / 2, found.df) * spread)
    return float((weights * shown).sum())


def detectable(variances: tuple[float, float], seeds: int, level: float, power: float = WANTED_POWER) -> float:
    """The smallest true gain, in points, that is shown with this chance."""
    from scipy import optimize

    found = _expected(0.0, variances, seeds)
    if found.error == 0:
        return 0.0
    most = found.error * (2 * t_quantile(level / 2, found.df) + 5)
    return float(optimize.brentq(lambda gain: power_of(gain, variances, seeds, level) - power, 0.0, most))


@cache
def _quadrature() -> tuple[Any, Any]:
    """Gauss-Legendre on 0-1."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(200)
    return (nodes + 1) / 2, weights / 2


def _expected(gain: float, variances: tuple[float, float], seeds: int) -> Contrast:
    """Error and degrees of freedom of Welch's test with `seeds` an arm and these variances."""
    total = sum(variances)
    df = (seeds - 1) / sum((v / total) ** 2 for v in variances) if total > 0 else inf
    return Contrast(gain, sqrt(total / seeds), df)


def _more_seeds(gain: float, variances: tuple[float, float], seeds: int, level: float) -> int | None:
    """How many more seeds an arm would show the gain that was seen; None for no gain or for too many."""
    if gain <= 0:
        return None
    enough = (m for m in range(1, MOST_MORE_SEEDS + 1) if power_of(gain, variances, seeds + m, level) >= WANTED_POWER)
    return next(enough, None)
