"""How far apart two algorithms are, from their signatures alone. Free of torch: it compares archived candidates.

A signature is what engine/verify/fingerprint.py makes: by regime, the policy gradient and the rest (KL penalty and
entropy bonus), each as a few numbers. Adam removes a common factor, so that one is removed here too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Signature = Mapping[str, Mapping[str, Any]]

POLICY = 0.75
"""Share of the policy gradient in a distance; the rest is KL penalty and entropy bonus."""
TOLERANCE = 1e-3
"""Relative difference that rounding, and epsilons beside a deviation, may make between twins."""
RESOLUTION = 1e-4
"""Distances below it are rounding of the signatures."""


@dataclass(frozen=True)
class Twin:
    """Two algorithms whose policy gradients are the same, up to a factor."""

    kind: Literal["equal", "scale"]
    factor: float
    """The first one's policy gradient in units of the second's, at the commonest group size."""
    only_policy: bool
    """KL penalty and entropy bonus do not scale along: their balance with the policy differs by the factor, and Adam
    does not remove that.
    """


def distance(a: Signature, b: Signature) -> float:
    """In [0, 1], symmetric; 0 for algorithms that agree up to rounding and one positive factor on the whole loss.

    The factor is the median over regimes. In each regime the difference counts in units of both gradients' norms: 1
    where only one of them moves the policy, or where they point in opposite directions. Signatures without a common
    regime are 1 apart.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        return 1.0
    factor = _factor(a, b, shared)
    parts = (
        share * sum(_apart(a[r][part], b[r][part], factor) for r in shared) / len(shared)
        for part, share in (("policy", POLICY), ("rest", 1 - POLICY))
    )
    found = min(sum(parts), 1.0)
    return found if found >= RESOLUTION else 0.0


def twin(a: Signature, b: Signature) -> Twin | None:
    """Whether the policy gradients are equal up to one positive factor over all regimes; None if they are not.

    Regimes of another group size may have a factor of their own: a training has one group size, and RLOO is G/(G-1)
    times Dr.GRPO. Where unscorable rows leave groups of several sizes, only equality can be seen. KL penalty and
    entropy bonus must be equal, or scale along.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared or any(a[r]["group_size"] != b[r]["group_size"] for r in shared):
        return None
    if all(_apart(a[r][part], b[r][part], 1.0) <= TOLERANCE for r in shared for part in ("policy", "rest")):
        return Twin("equal", 1.0, False)
    sized = [r for r in shared if a[r]["group_size"]]
    factors: dict[int, float] = {}
    for size in {a[r]["group_size"] for r in sized}:
        regimes = [r for r in sized if a[r]["group_size"] == size]
        factors[size] = _factor(a, b, regimes)
        if any(_apart(a[r]["policy"], b[r]["policy"], factors[size]) > TOLERANCE for r in regimes):
            return None
    if all(abs(f - 1.0) <= TOLERANCE for f in factors.values()):
        return None  # the same policy gradient with another KL penalty or entropy bonus: no scale of anything
    along = all(_apart(a[r]["rest"], b[r]["rest"], factors[a[r]["group_size"]]) <= TOLERANCE for r in sized)
    fixed = all(_apart(a[r]["rest"], b[r]["rest"], 1.0) <= TOLERANCE for r in sized)
    commonest = Counter(a[r]["group_size"] for r in sized).most_common(1)[0][0]
    return Twin("scale", factors[commonest], not along) if along or fixed else None


def _factor(a: Signature, b: Signature, regimes: Sequence[str]) -> float:
    """The median ratio of the policy gradients' norms, of the rest's where no policy moves in both; 1 where nothing
    does. Its inverse for the two swapped.
    """
    for part in ("policy", "rest"):
        norms = [(_norm(a[r][part]), _norm(b[r][part])) for r in regimes]
        logs = [math.log(x / y) for x, y in norms if x > 0 and y > 0]
        if logs:
            return math.exp(median(logs))
    return 1.0


def _apart(x: Sequence[float], y: Sequence[float], factor: float) -> float:
    """|x - factor y| / (|x| + factor |y|), in [0, 1]; 0 for two silent ones."""
    total = _norm(x) + factor * _norm(y)
    return math.dist(x, [factor * v for v in y]) / total if total > 0 else 0.0


def _norm(x: Sequence[float]) -> float:
    return math.hypot(*x)
