"""Algorithms known by what they do: a hash for duplicates, and a small signature for everything in between.

Both look only at gradients, all that an optimizer notices: over the given cases, in two micro-batches, and over five
updates in a row, so that a controller shows itself by what it does. Names and texts do not enter; a mechanism that
draws random numbers is the exception, because its generator is seeded by its name.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, StepStats
from engine.verify.behave import SEED, Behaviour, behave
from engine.verify.case import Case, cast
from engine.verify.scenes import bare

DIGITS = 6
"""Decimal places, relative to the largest number of a gradient, in which duplicates agree: below float32's own."""
NUMBERS = 8
"""Of a projected gradient."""
SIGNIFICANT = 5
"""Digits of a signature's numbers."""
SILENT = 1e-12
"""A gradient whose largest number is below this is rounding noise."""
SPLIT, STEPS = "two micro-batches", "consecutive updates"
"""The signature's entries besides the cases, made of the first one."""
_ENTROPIES = (1.5, 0.02, 0.4, 0.25, 0.7)
"""What controllers are shown: above, below and between plausible targets."""


def fingerprint(algorithm: Algorithm, cases: Sequence[Case]) -> str:
    """A digest of the gradients; equal for files that do the same, whatever they are called. About 10 ms.

    Args:
        algorithm: what to run.
        cases: what it is shown, taken in double precision, because the rounding of float32 would tell duplicates
            apart; fingerprints compare only over the same cases.
    """
    digest = hashlib.sha256()
    for seen in _behaviours(algorithm, _double(cases)):
        for part in (seen.grad_logp, seen.grad_entropy):
            digest.update(_quantised(part))
    return digest.hexdigest()


def signature(algorithm: Algorithm, cases: Sequence[Case]) -> dict[str, Any]:
    """What `distance` compares, as JSON: under 6 KB for the regimes. About 20 ms.

    Returns:
        By case, and for `two micro-batches` and `consecutive updates`:
        `{"group_size", "policy": [...], "rest": [...]}`, random projections of the policy gradient and of what KL
        penalty and entropy bonus add to it. The group size is 0 where unscorable rows leave groups of several sizes.
    """
    cases = _double(cases)
    found = {case.name: _entry(case, [behave(algorithm, case)], [behave(algorithm, bare(case))]) for case in cases}
    first = cases[0]
    for name, run in ((SPLIT, _split), (STEPS, _steps)):
        found[name] = _entry(first, [*run(algorithm, first)], [*run(algorithm, bare(first))])
    return found


def _double(cases: Sequence[Case]) -> list[Case]:
    return [cast(case, torch.float64) for case in cases]


def _behaviours(algorithm: Algorithm, cases: Sequence[Case]) -> Iterator[Behaviour]:
    for case in cases:
        yield behave(algorithm, case)
    yield from _split(algorithm, cases[0])
    yield from _steps(algorithm, cases[0])


def _split(algorithm: Algorithm, case: Case) -> Iterator[Behaviour]:
    """In two micro-batches of whole groups; in one where that cannot be."""
    groups = len(case.correct) // case.hyper.group_size
    yield behave(algorithm, case, pieces=1 if groups % 2 else 2)


def _steps(algorithm: Algorithm, case: Case) -> Iterator[Behaviour]:
    """Five updates on one case, and what comes after them."""
    pipeline = Pipeline(algorithm, SEED)
    last = len(_ENTROPIES)
    for i in range(last + 1):
        yield behave(algorithm, replace(case, step=i, progress=i / last), pipeline=pipeline)
        if i < last:
            pipeline.on_optimizer_step(_stats(i + 1, last))


def _stats(step: int, last: int) -> StepStats:
    """Figures that move both ways; what a controller compares them with lies between them."""
    swing = (-1) ** step
    return StepStats(
        step=step,
        progress=step / last,
        reward=0.6 + 0.3 * swing,
        correct=0.5 + 0.3 * swing,
        entropy=_ENTROPIES[step - 1],
        kl=0.05 + 0.04 * swing,
        length=8.0 + 3.0 * swing,
        clip_fraction=0.1 + 0.08 * swing,
        grad_norm=1.0 + 0.7 * swing,
    )


def _quantised(x: Tensor) -> bytes:
    """Its largest number, and each number as a share of that; minus zero is zero."""
    x = x.double()
    largest = x.abs().max().item() if x.numel() else 0.0
    if largest < SILENT:
        return b"silent"
    shares = torch.round(x / largest, decimals=DIGITS) + 0.0
    return f"{largest:.{DIGITS}g}".encode() + shares.numpy().tobytes()


def _entry(case: Case, whole: Sequence[Behaviour], policy: Sequence[Behaviour]) -> dict[str, Any]:
    pull = [(w.grad_logp - p.grad_logp, w.grad_entropy) for w, p in zip(whole, policy, strict=True)]
    scored = not torch.isnan(case.rewards).any()
    return {
        "group_size": case.hyper.group_size if scored else 0,
        "policy": _projected([p.grad_logp for p in policy]),
        "rest": _projected([x for pair in pull for x in pair]),
    }


def _projected(parts: Sequence[Tensor]) -> list[float]:
    x = torch.cat([p.flatten().double() for p in parts])
    if x.abs().max() < SILENT:
        return [0.0] * NUMBERS
    return [float(f"{v:.{SIGNIFICANT}g}") for v in (_projection(len(x)) @ x).tolist()]


@cache
def _projection(size: int) -> Tensor:
    """(NUMBERS, size) normal numbers, the same for ever."""
    g = torch.Generator().manual_seed(SEED + size)
    return torch.randn(NUMBERS, size, generator=g, dtype=torch.float64) / math.sqrt(NUMBERS)
