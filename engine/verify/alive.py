"""Where each mechanism acts: in which synthetic regimes, and on which batches recorded from a profile's root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.verify.behave import SEED, behave
from engine.verify.case import Case, cast
from engine.verify.memory import updates
from engine.verify.regimes import regimes

LEAST, LEAST_RECORDED = 1e-9, 1e-5
"""A mechanism acts where switching it off changes the gradient by more than this share of its norm: in synthetic cases
any change but rounding, on recorded float32 batches what a training could notice.
"""


@dataclass(frozen=True)
class Acts:
    """Where switching one mechanism off changes something."""

    regimes: tuple[str, ...]
    """Synthetic regimes; `over time` if only several updates show it."""
    recorded: tuple[str, ...] | None
    """Recorded batches of the profile; None where the profile has none."""


def acts(algorithm: Algorithm, recorded: Sequence[Case] = ()) -> dict[str, Acts]:
    """Where each mechanism of an algorithm acts, by name."""
    # In doubles: float32 leaves uniform groups an advantage of its rounding over GRPO's epsilon.
    exact = {case: cast(case, torch.float64) for case in recorded}
    cases = [*regimes(), *exact.values()]
    whole = [behave(algorithm, case).flat() for case in cases]
    found = {}
    for m in algorithm.mechanisms:
        without = algorithm.without([m.name])
        changes = {c: change(x, behave(without, c).flat()) for c, x in zip(cases, whole, strict=True)}
        names = [c.name for c in regimes() if changes[c] > LEAST]
        if not names and _differ_over_time(algorithm, without):
            names = ["over time"]
        here = tuple(c.name for c in recorded if changes[exact[c]] > LEAST_RECORDED)
        found[m.name] = Acts(tuple(names), here if recorded else None)
    return found


def change(a: Tensor, b: Tensor) -> float:
    """How far two gradients are apart, as a share of the larger one's norm."""
    return float((a - b).norm().item() / max(a.norm().item(), b.norm().item(), 1e-12))


def _differ_over_time(a: Algorithm, b: Algorithm) -> bool:
    pairs = zip(updates(Pipeline(a, SEED)), updates(Pipeline(b, SEED)), strict=True)
    return any(change(x, y) > LEAST for x, y in pairs)
