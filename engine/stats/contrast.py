"""A weighted sum of means of independent samples, with the t interval of Welch and Satterthwaite.

The difference of two arms is the contrast (+1, -1): then this is Welch's t test. A Shapley value is a contrast of all
subsets. One seed's score is one number of a sample, so that only the spread between trainings counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, sqrt
from statistics import fmean, variance


@dataclass(frozen=True)
class Contrast:
    """An estimate in points, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    df: float

    def interval(self, outside: float) -> tuple[float, float]:
        """The two-sided t interval that misses the true value with probability `outside`, such as 0.05.

        A point where no sample has any spread.
        """
        half = t_quantile(outside / 2, self.df) * self.error if self.error > 0 else 0.0
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p value of "the true value is zero"; without any spread 0 for a difference and 1 for none."""
        from scipy import special

        if self.error == 0:
            return 0.0 if self.value else 1.0
        return float(2 * special.stdtr(self.df, -abs(self.value) / self.error))


def t_quantile(tail: float, df: float) -> float:
    """What Student's t (the normal, for infinite df) exceeds with probability `tail`; below 1e-30 as at 1e-30."""
    from scipy import special

    tail = max(tail, 1e-30)
    return float(-special.ndtri(tail) if df == inf else -special.stdtrit(df, tail))


def contrast(weights: Sequence[float], samples: Sequence[Sequence[float]]) -> Contrast:
    """Sum of weight times mean; variances are those of each sample, never pooled (Welch 1947, Satterthwaite 1946).

    Raises:
        ValueError: another number of weights than of samples, or a sample that counts has fewer than two numbers.
    """
    used = [(w, list(s)) for w, s in zip(weights, samples, strict=True) if w]
    short = min((len(s) for _, s in used), default=2)
    if short < 2:
        raise ValueError(f"an arm has {short} score(s): its spread between seeds needs at least 2")
    parts = [(w * w * variance(s) / len(s), len(s) - 1) for w, s in used]
    total = fsum(v for v, _ in parts)
    df = 1 / fsum((v / total) ** 2 / n for v, n in parts) if total > 0 else inf
    return Contrast(fsum(w * fmean(s) for w, s in used), sqrt(total), df)


def welch(a: Sequence[float], b: Sequence[float]) -> Contrast:
    """Mean of `a` minus mean of `b`."""
    return contrast((1.0, -1.0), (a, b))
