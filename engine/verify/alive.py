"""Where each mechanism acts: in which synthetic regimes, and on which batches recorded from a profile's root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.verify.behave import SEED, behave
from engine.verify.case import Case
from engine.verify.memory import updates
from engine.verify.regimes import regimes

LEAST = 1e-9
"""A mechanism acts where switching it off changes the gradient by more than this share of its norm."""


@dataclass(frozen=True)
class Acts:
    """Where switching one mechanism off changes something."""

    regimes: tuple[str, ...]
    """Synthetic regimes; `over time` if only several updates show it."""
    recorded: tuple[str, ...] | None
    """Recorded batches of the profile; None where the profile has none."""


def acts(algorithm: Algorithm, recorded: Sequence[Case] = ()) -> dict[str, Acts]:
    """Where each mechanism of an algorithm acts, by name."""
    cases = [*regimes(), *recorded]
    whole = [behave(algorithm, case).flat() for case in cases]
    found = {}
    for m in algorithm.mechanisms:
        without = algorithm.without([m.name])
        changed = [c for c, x in zip(cases, whole, strict=True) if differ(x, behave(without, c).flat())]
        names = [c.name for c in changed if not any(c is r for r in recorded)]
        if not names and _differ_over_time(algorithm, without):
            names = ["over time"]
        on_profile = tuple(c.name for c in changed if any(c is r for r in recorded))
        found[m.name] = Acts(tuple(names), on_profile if recorded else None)
    return found


def differ(a: Tensor, b: Tensor) -> bool:
    """Whether two gradients differ by more than rounding."""
    return bool((a - b).norm() > LEAST * max(a.norm().item(), b.norm().item(), 1e-12))


def _differ_over_time(a: Algorithm, b: Algorithm) -> bool:
    pairs = zip(updates(Pipeline(a, SEED)), updates(Pipeline(b, SEED)), strict=True)
    return any(not torch.equal(x, y) and differ(x, y) for x, y in pairs)
