"""What a search found: evaluations to a target, regret, and how far the landscape's own truth can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.search_effects import believed, features
from benchmarks.landscape.search_world import BUDGET, Array, within_reach
from benchmarks.landscape.views import Landscape

SHARES = {"top 1 %": 0.01, "top 5 %": 0.05}
RESAMPLES = 2000


@dataclass(frozen=True)
class Truth:
    """What counts as found."""

    value: Array
    """(SUBSETS,): the mean of all there is of each; -inf for what cannot be proposed."""
    other: Array
    """(SUBSETS, SEEDS): the mean of both splits of each training, less what its seed adds on average."""
    noise: float
    """Points, one standard deviation of one training's mean of both splits around its algorithm."""

    @cached_property
    def reach(self) -> npt.NDArray[np.intp]:
        """Subsets that can be proposed, and the root."""
        return np.array(within_reach())

    @cached_property
    def targets(self) -> dict[str, frozenset[int]]:
        """The subsets of each share, the best first, rounded up; and those that nothing tells from the best."""
        best = self.reach[np.argsort(-self.value[self.reach], kind="stable")]
        found = {name: frozenset(best[: int(np.ceil(share * len(best)))].tolist()) for name, share in SHARES.items()}
        near = self.reach[self.value[self.reach] >= self.value[best[0]] - self.noise]
        return found | {"near best": frozenset(near.tolist())}


def truth(landscape: Landscape) -> Truth:
    """Of a whole landscape."""
    reach = np.array(within_reach())
    value = np.full(len(landscape.truth), -np.inf)
    value[reach] = landscape.truth[reach]
    both = (landscape.end + landscape.confirmed) / 2
    other = both - both[reach].mean(axis=0) + both[reach].mean()
    apart = other[reach, 0] - other[reach, 1]
    return Truth(value, other, float(np.sqrt(np.mean(apart**2) / 2)))


def trust(truth: Truth, seed: int = 0, draws: int = 4000) -> dict[str, Any]:
    """How far the truth, a mean of two trainings, tells who is at the top.

    Each algorithm's own value is drawn from what the truth leaves open (normal, shrunk to the mean of all), and the top
    of these draws is compared with ours.
    """
    value, rng = truth.value[truth.reach], np.random.default_rng([21, seed])
    error = truth.noise**2 / truth.other.shape[1]
    spread = max(float(value.var()) - error, 1e-9)
    kept = spread / (spread + error)
    drawn = value.mean() + kept * (value - value.mean()) + np.sqrt(kept * error) * rng.normal(size=(draws, len(value)))
    ranks = np.argsort(-drawn, axis=1)
    shared = {}
    for name in SHARES:
        members = np.flatnonzero(np.isin(truth.reach, list(truth.targets[name])))
        shared[name] = float(np.isin(ranks[:, : len(members)], members).mean())
    return {
        "algorithms": len(value),
        "sizes": {name: len(found) for name, found in truth.targets.items()},
        "noise_of_a_training": truth.noise,
        "spread_of_algorithms": float(np.sqrt(spread)),
        "reliability": kept,
        "shared_with_the_real_top": shared,
        "root": float(truth.value[0]),
        "best": float(value.max()),
        "best_subset": int(truth.reach[value.argmax()]),
    }


@dataclass(frozen=True)
class Outcomes:
    """All repetitions of one strategy."""

    first: dict[str, Array]
    """By target, (repetitions,): the training that reached it, 0 for the root; inf for never."""
    regret: Array
    """(repetitions, BUDGET + 1): the best of all less the best trained so far, points of truth."""
    chosen: Array
    """The same of the one with the best score seen so far."""
    fresh: Array
    """(repetitions,): points over the root of the one chosen at the end, by the training that was not seen."""
    by_model: Array
    """(repetitions,): the same of the one that the model of effects expects most of."""


def outcomes(
    truth: Truth, orders: Sequence[Sequence[int]], seen: Sequence[Array], which: Sequence[npt.NDArray[np.intp]]
) -> Outcomes:
    """Of searches: the order of trainings, the score seen of every subset, and the seed that it is of."""
    first: dict[str, list[float]] = {name: [] for name in truth.targets}
    regret: list[Array] = []
    chosen: list[Array] = []
    fresh: list[float] = []
    by_model: list[float] = []
    best = truth.value.max()
    for order, scores, seeds in zip(orders, seen, which, strict=True):
        for name, target in truth.targets.items():
            first[name].append(next((float(i) for i, s in enumerate(order) if s in target), np.inf))
        short = np.array(order[: BUDGET + 1])
        regret.append(best - np.maximum.accumulate(truth.value[short]))
        leader = [int(short[np.argmax(scores[short[: t + 1]])]) for t in range(len(short))]
        chosen.append(best - truth.value[leader])
        mean, _ = believed(tuple((int(s), float(scores[s])) for s in short))
        for pick, into in ((leader[-1], fresh), (int(short[np.argmax((features(True) @ mean)[short])]), by_model)):
            into.append(float(truth.other[pick, 1 - seeds[pick]] - truth.value[0]))
    return Outcomes(
        {name: np.array(values) for name, values in first.items()},
        np.array(regret),
        np.array(chosen),
        np.array(fresh),
        np.array(by_model),
    )


def summary(found: Outcomes, seed: int = 0) -> dict[str, Any]:
    """Figures with 95 % bands over repetitions; a median beyond the budget is inf (null in JSON)."""
    picks = np.random.default_rng([22, seed]).integers(len(found.regret), size=(RESAMPLES, len(found.regret)))
    result: dict[str, Any] = {"repetitions": len(found.regret)}
    for name, values in found.first.items():
        result[name] = {
            "median": banded(values, np.median, picks),
            "mean_within_budget": banded(np.minimum(values, BUDGET + 1), np.mean, picks),
            "share_within_budget": float((values <= BUDGET).mean()),
        }
    result["regret_at"] = {str(t): banded(found.regret[:, t], np.mean, picks) for t in (8, 16, 32, BUDGET)}
    result["regret_area"] = banded(area(found), np.mean, picks)
    result["chosen_regret"] = banded(found.chosen[:, -1], np.mean, picks)
    result["fresh_gain"] = banded(found.fresh, np.mean, picks)
    result["fresh_gain_by_model"] = banded(found.by_model, np.mean, picks)
    for name, curve in (("regret", found.regret), ("chosen", found.chosen)):
        means = np.stack([curve[p].mean(axis=0) for p in picks[:400]])
        low, high = np.quantile(means, (0.025, 0.975), axis=0)
        result[f"{name}_curve"] = [np.round(a, 3).tolist() for a in (curve.mean(axis=0), low, high)]
    return result


def area(found: Outcomes) -> Array:
    """(repetitions,): mean regret over the whole search; what settings are compared by."""
    return np.asarray(found.regret[:, 1:].mean(axis=1))


def banded(values: Array, statistic: Any, picks: npt.NDArray[np.int64]) -> list[float | None]:
    """A statistic and its 95 % percentile band."""
    with np.errstate(invalid="ignore"):
        again = statistic(values[picks], axis=1)
    ordered = np.sort(again)  # inf sorts, but does not interpolate
    at = [float(statistic(values)), *(float(ordered[int(q * (len(ordered) - 1))]) for q in (0.025, 0.975))]
    return [x if np.isfinite(x) else None for x in at]


def ratio(mine: Outcomes, theirs: Outcomes, target: str, seed: int = 0) -> dict[str, Any]:
    """Of medians, and of means within the budget, with bands over paired repetitions; None beyond the budget."""
    a, b = mine.first[target], theirs.first[target]
    n = min(len(a), len(b))
    picks = np.random.default_rng([23, seed]).integers(n, size=(RESAMPLES, n))
    found = {}
    for name, x, y, of in (
        ("medians", a[:n], b[:n], np.median),
        ("means", np.minimum(a[:n], BUDGET + 1), np.minimum(b[:n], BUDGET + 1), np.mean),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            point = of(x) / of(y)
            again = np.sort(of(x[picks], axis=1) / of(y[picks], axis=1))
        at = [float(point), *(float(again[int(q * (RESAMPLES - 1))]) for q in (0.025, 0.975))]
        found[name] = [v if np.isfinite(v) else None for v in at]
    return found
