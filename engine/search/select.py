"""Parent selection: which archived candidate the next proposal starts from.

The acquisition of POISE (arXiv 2603.23951, phase I) without its Gaussian process:
s = w_perf * performance + w_div * diversity + w_pareto * Pareto strength, each in [0, 1]. The parent is drawn
with probability proportional to exp(s / TEMPERATURE): low-scoring parents can be the right ones.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from engine.errors import PoiseError
from engine.search.evidence import Evidence, distance, fronts, shortlist

TEMPERATURE = 0.1
"""What a difference in s must be to make a candidate e times likelier."""


@dataclass(frozen=True)
class Weights:
    """What counts how much; the paper gives no figures."""

    performance: float = 0.5
    diversity: float = 0.25
    pareto: float = 0.25


@dataclass(frozen=True)
class Terms:
    """One candidate's acquisition, for the record."""

    performance: float
    """Overall, 0 for the worst eligible and 1 for the best."""
    diversity: float
    """Mean distance to the others, divided by 1 + children: visited ground counts less."""
    pareto: float
    """1 / (1 + front): 1 on the Pareto front over the tasks."""
    score: float
    probability: float


@dataclass(frozen=True)
class Selection:
    """The parent and why."""

    parent: str
    saw: tuple[str, ...]
    """Ids of the eligible candidates."""
    terms: dict[str, Terms]
    """By id, for every eligible candidate."""

    def document(self) -> dict[str, object]:
        """`{"saw", "terms"}` as in a candidate document's `decision`."""
        return {"saw": list(self.saw), "terms": {id: asdict(t) for id, t in self.terms.items()}}


DEFAULT_WEIGHTS = Weights()


def select_parent(
    candidates: Sequence[Evidence], *, seed: int, k: int, weights: Weights = DEFAULT_WEIGHTS
) -> Selection:
    """Draw the parent of decision `k`.

    Args:
        candidates: everything decided so far, as `seen` gives it; the root is the one without parent.
        seed: of the run; the same seed, k and candidates give the same parent.

    Returns:
        A parent among the root and the scored candidates (`shortlist`).

    Raises:
        PoiseError: there is no root.
    """
    eligible = shortlist(candidates)
    if not any(c.parent is None for c in eligible):
        raise PoiseError("no parent can be selected: the archive has no root")
    performance, front = _performance(eligible), fronts(eligible)
    children = {c.id: sum(other.parent == c.id for other in candidates) for c in eligible}
    found: dict[str, tuple[float, float, float, float]] = {}
    for c in eligible:
        others = [distance(c, other) for other in eligible if other is not c]
        diversity = (sum(others) / len(others) if others else 0.0) / (1 + children[c.id])
        pareto = 1 / (1 + front[c.id]) if c.id in front else 0.0
        parts = (performance[c.id], diversity, pareto)
        found[c.id] = (*parts, _weighted(parts, weights))
    top = max(score for *_, score in found.values())
    mass = {id: math.exp((score - top) / TEMPERATURE) for id, (*_, score) in found.items()}
    total = sum(mass.values())
    terms = {id: Terms(*values, probability=mass[id] / total) for id, values in found.items()}
    parent = random.Random(f"{seed}:parent:{k}").choices(list(terms), list(mass.values()))[0]
    return Selection(parent, tuple(terms), terms)


def _performance(eligible: Sequence[Evidence]) -> dict[str, float]:
    known = [c.overall for c in eligible if c.overall is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    if low == high:
        return {c.id: 0.5 for c in eligible}
    return {c.id: 0.5 if c.overall is None else (c.overall - low) / (high - low) for c in eligible}


def _weighted(parts: tuple[float, float, float], weights: Weights) -> float:
    each = (weights.performance, weights.diversity, weights.pareto)
    return sum(w * x for w, x in zip(each, parts, strict=True)) / sum(each)
