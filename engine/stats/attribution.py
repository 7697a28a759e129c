"""What each mechanism of an algorithm pays: with the others, alone, and on average over all orders (Shapley).

Each effect is a contrast of the arms' means, with a Welch t interval over seeds. Intervals are 95 % each, not all
together: of twenty mechanisms that do nothing one is called something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from typing import Literal

from engine.stats.contrast import contrast

LEVEL = 0.95
MOST_FOR_SHAPLEY = 4
"""Mechanisms; 16 subsets."""
Subset = frozenset[str]
Arms = Mapping[Subset, Sequence[float]]
"""Scores, one a seed, of the algorithm with just these mechanisms on; the empty subset is the root."""
Verdict = Literal["pays", "inert", "harmful", "can't tell"]


@dataclass(frozen=True)
class Effect:
    """Points of Overall (or of a task), with a t interval."""

    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class Attribution:
    """One mechanism's."""

    name: str
    off: Effect
    """All mechanisms minus all but this one: what the algorithm would lose without it. The verdict is about this."""
    alone: Effect
    """This one on the root minus the root."""
    shapley: Effect | None
    """None unless every subset was trained."""
    verdict: Verdict
    benchmarks: Mapping[str, Effect] = field(default_factory=dict)
    """Its `off` effect on each task."""


def subsets_for(names: Sequence[str], *, shapley: bool) -> list[Subset]:
    """The arms to train, the root and the whole algorithm among them, smaller ones first.

    Raises:
        ValueError: Shapley values of more than four mechanisms, or a name twice.
    """
    if len(set(names)) != len(names) or (shapley and len(names) > MOST_FOR_SHAPLEY):
        raise ValueError(f"names differ, and Shapley values go up to {MOST_FOR_SHAPLEY} mechanisms: {list(names)}")
    sizes = range(len(names) + 1) if shapley else sorted({0, 1, len(names) - 1, len(names)} - {-1})
    return [frozenset(chosen) for size in sizes for chosen in combinations(names, size)]


def attribute(
    names: Sequence[str],
    overall: Arms,
    benchmarks: Mapping[str, Arms] | None = None,
    *,
    margin: float,
    level: float = LEVEL,
) -> tuple[Attribution, ...]:
    """What each named mechanism pays, in the order of the names.

    Args:
        names: all mechanisms of the algorithm.
        overall: Overall by seed of each arm of `subsets_for`.
        benchmarks: the same by task.
        margin: points that count as nothing; the root's std over seeds, which is what another seed changes.

    Raises:
        ValueError: an arm is missing, or has fewer than two seeds.
    """
    missing = [sorted(s) for s in subsets_for(names, shapley=False) if s not in overall]
    if missing:
        raise ValueError(f"no scores of the arm with {missing[0] or 'nothing'} on")
    whole = len(names) <= MOST_FOR_SHAPLEY and set(_subsets(names)) <= set(overall)
    found = []
    for name in names:
        off = _effect(_off(names, name), overall, level)
        shapley = _effect(shapley_weights(names, name), overall, level) if whole else None
        found.append(
            Attribution(
                name=name,
                off=off,
                alone=_effect({frozenset({name}): 1.0, frozenset(): -1.0}, overall, level),
                shapley=shapley,
                verdict=verdict(off, margin),
                benchmarks={t: _effect(_off(names, name), arms, level) for t, arms in (benchmarks or {}).items()},
            )
        )
    return tuple(found)


def verdict(effect: Effect, margin: float) -> Verdict:
    """`inert` only where the whole interval lies within +-margin: not to have seen an effect is `can't tell`."""
    if effect.low > 0:
        return "pays"
    if effect.high < 0:
        return "harmful"
    return "inert" if -margin <= effect.low and effect.high <= margin else "can't tell"


def shapley_weights(names: Sequence[str], name: str) -> dict[Subset, float]:
    """The weight of every subset in the Shapley value of `name`: a plain sum of means (Shapley 1953)."""
    m = len(names)
    weights: dict[Subset, float] = {}
    for others in _subsets([n for n in names if n != name]):
        share = factorial(len(others)) * factorial(m - len(others) - 1) / factorial(m)
        weights[others | {name}] = share
        weights[others] = -share
    return weights


def _off(names: Sequence[str], name: str) -> dict[Subset, float]:
    return {frozenset(names): 1.0, frozenset(names) - {name}: -1.0}


def _effect(weights: Mapping[Subset, float], arms: Arms, level: float) -> Effect:
    found = contrast(list(weights.values()), [arms[s] for s in weights])
    return Effect(found.value, *found.interval(1 - level))


def _subsets(names: Sequence[str]) -> Iterator[Subset]:
    for size in range(len(names) + 1):
        yield from map(frozenset, combinations(names, size))
