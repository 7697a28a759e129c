"""Whether a candidate goes on from a rung, told by its own scores there and those of candidates decided before it.

The top ceil(n/eta) of those seen so far go on, as in ASHA (arXiv 1810.05934): successive halving in a stream. Others do
where they may still end there: the final standing is predicted, scores regressing to the middle by the measured
correlation between this rung and the end, and the chance to end in the top 1/eta must be large against that of a
candidate nobody knows anything about. How large grows with how far the rung can be trusted: a perfect rung is plain
halving, one that says nothing about the end stops nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, pi, sin, sqrt
from statistics import NormalDist, fmean, median, pvariance
from typing import Any

STRICTNESS = 0.5
"""How much more than the bare chance k/n is asked of one below the top k where the rung is fully trusted. Chosen by
simulation: 0.8 saves a tenth of the trainings and loses the best some three times in a hundred more often."""
_TO_STD = 1.0 / NormalDist().inv_cdf(0.75)
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 8: "eighth"}


@dataclass(frozen=True)
class Promotion:
    """A decision at a rung, the chance (0-1) to end in the top 1/eta, and one sentence for the user."""

    promoted: bool
    probability: float
    why: str


def rank_correlation(
    at_rung: Sequence[float],
    at_end: Sequence[float],
    prior: float,
    prior_weight: float,
    everybody: Sequence[float] = (),
) -> float:
    """Spearman correlation of the scores of the same candidates at a rung and at the end, shrunk towards `prior`.

    Those who reached the end were chosen by their rung scores, which makes a correlation among them too small. Given
    the scores of `everybody` at the rung, that is corrected (Thorndike 1949, case 2). `prior` counts as much as
    `prior_weight` pairs.

    Raises:
        ValueError: not as many scores at the end as at the rung.
    """
    if len(at_rung) != len(at_end):
        raise ValueError(f"{len(at_rung)} scores at the rung, {len(at_end)} at the end")
    if len(at_rung) < 3 or len(set(at_rung)) < 2 or len(set(at_end)) < 2:
        return prior
    from scipy import stats

    measured = float(stats.spearmanr(at_rung, at_end).statistic)
    if len(everybody) > len(at_rung):
        wider = max(1.0, sqrt(pvariance(everybody) / pvariance(at_rung)))
        measured = measured * wider / sqrt(1 - measured**2 + (measured * wider) ** 2)
    return (prior * prior_weight + measured * len(at_rung)) / (prior_weight + len(at_rung))


def promotion(
    own: Sequence[float],
    earlier: Sequence[float],
    *,
    noise_std: float,
    correlation: float,
    eta: int,
    where: str = "this rung",
    strictness: float = STRICTNESS,
) -> Promotion:
    """Decide about one candidate.

    Args:
        own: its scores at the rung, one a seed.
        earlier: the mean score at the rung of each candidate decided before it, the root's first: without the root
            the first ones go on for want of a measure, at 3 % of all trainings.
        noise_std: std of the root's trainings at this rung, in points.
        correlation: rank correlation of one training's score here with the end, from `rank_correlation`.
        eta: one in eta is wanted at the next rung.
        where: the rung in the user's words, such as "6 of 48 updates".

    Raises:
        ValueError: no own score, or eta < 2.
    """
    if not own or eta < 2:
        raise ValueError(f"a promotion needs a score and eta >= 2, not {len(own)} scores and eta {eta}")
    mean, n = fmean(own), len(earlier) + 1
    k = ceil(n / eta)
    rank = 1 + sum(other > mean for other in earlier)
    chance = chance_of_top(mean, len(own), earlier, k, noise_std=noise_std, correlation=correlation)
    part = _PARTS.get(eta, f"1/{eta}")
    said = f"{mean:.1f} at {where} is rank {rank} of {n}; a chance of {100 * chance:.0f} % to end in the top {part}"
    if rank <= k:
        return Promotion(True, chance, said)
    observed, spread = spreads(earlier, noise_std)
    if chance >= chance_asked(k / n, trust_in(correlation) * observed / spread, strictness):
        return Promotion(True, chance, said)
    if len(earlier) >= eta:
        return Promotion(False, chance, said)
    below = fmean(earlier) - mean
    if below > 2 * noise_std * sqrt(1 / len(own) + 1 / len(earlier)):
        return Promotion(False, chance, f"{said}; {below:.1f} below the mean of those before it, more than noise is")
    return Promotion(True, chance, f"{said}, but too few came before it to stop it for a difference within the noise")


def trust_in(correlation: float) -> float:
    """Pearson's correlation of two normals with this rank correlation; one below zero is as good as none."""
    return 2 * sin(pi * min(max(correlation, 0.0), 1.0) / 6)


def chance_asked(bare: Any, trust: Any, strictness: float) -> Any:
    """The chance that lets one below rank k go on, `bare` being k/n: the chance of all where scores tell nothing."""
    return bare * (0.9 + strictness * trust)


def spreads(scores: Sequence[float], noise_std: float) -> tuple[float, float]:
    """Std of the scores, read robustly (median absolute deviation), as observed and as used: no less than the noise."""
    middle = median(scores)
    observed = _TO_STD * median(abs(s - middle) for s in scores) or sqrt(pvariance(scores))
    return observed, max(observed, noise_std, 1e-9)


def chance_of_top(
    mean: float, seeds: int, earlier: Sequence[float], k: int, *, noise_std: float, correlation: float
) -> float:
    """The chance that this candidate ends among the best `k` of itself and `earlier`, by the predicted ends of all."""
    if len(earlier) < k:
        return 1.0
    trust, middle, (_, spread) = trust_in(correlation), median(earlier), spreads(earlier, noise_std)
    own = _with_more_seeds(trust, seeds, spread, noise_std)
    if own >= 1.0 - 1e-9:
        return float(sum(other > mean for other in earlier) < k)  # ties count for it

    import numpy as np

    others = np.array(earlier)
    return float(chance_among(own * (mean - middle) / spread, trust * (others - middle) / spread, k, own, trust))


def _with_more_seeds(trust: float, seeds: int, spread: float, noise_std: float) -> float:
    """Correlation with the end of a mean over `seeds` trainings; never more than the noise that remains allows."""
    true = spread**2 - noise_std**2
    if seeds == 1 or true <= 0:
        return trust
    of_mean = true + noise_std**2 / seeds
    return max(trust, min(trust * spread / sqrt(of_mean), sqrt(true / of_mean)))


def chance_among(own_end: Any, other_ends: Any, k: Any, own_trust: Any, trust: float) -> Any:
    """P(fewer than `k` others end above it), for ends that are normal around their predictions, in stds of all ends.

    Arrays with the others on the last axis. Gauss-Legendre over the own end; given that, the number of others above it
    is a sum of independent coins, whose distribution is the normal with Volkova's correction for skewness.
    """
    import numpy as np
    from scipy import special

    u, weights = _quadrature()
    own = np.asarray(own_end)[..., None, None] + np.sqrt(1 - np.asarray(own_trust) ** 2)[..., None, None] * u[:, None]
    above = special.ndtr((np.asarray(other_ends)[..., None, :] - own) / sqrt(max(1 - trust**2, 1e-18)))
    variance = above * (1 - above)
    std = np.sqrt(np.maximum(variance.sum(-1), 1e-18))
    skew = (variance * (1 - 2 * above)).sum(-1) / std**3
    x = np.clip((np.asarray(k)[..., None] - 0.5 - above.sum(-1)) / std, -8, 8)
    below_k = special.ndtr(x) + skew * (1 - x * x) * np.exp(-x * x / 2) / (6 * np.sqrt(2 * np.pi))
    return (np.clip(below_k, 0, 1) * weights).sum(-1) / 2


@cache
def _quadrature() -> tuple[Any, Any]:
    """Gauss-Legendre's nodes on 0-1 as quantiles of the normal, and weights that add up to 2: 2 ms to make."""
    import numpy as np
    from scipy import special

    nodes, weights = np.polynomial.legendre.leggauss(48)
    return special.ndtri((nodes + 1) / 2), weights
