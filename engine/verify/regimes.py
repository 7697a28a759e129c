"""The regimes in which policy optimization is hard, as fixed synthetic cases.

Double precision and a generator of their own: the same numbers on every machine, whatever its threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from engine.contract import Hyper
from engine.verify.case import Case

HYPER = Hyper(group_size=8, max_length=12, beta=0.02, entropy_coef=0.002, clip_low=0.2, clip_high=0.2)
WEIGHTS = {"correct": 1.0, "format": 0.3, "brevity": 0.5}


@dataclass(frozen=True)
class Recipe:
    """How one synthetic case is drawn."""

    name: str
    pass_rates: tuple[float, ...] = (0.125, 0.25, 0.5, 0.875)
    """Of each group."""
    invalid: float = 0.15
    """Chance that a wrong row cannot be read."""
    drift: float = 0.3
    """Standard deviation of the policy's log-probabilities against those it sampled with."""
    group_size: int = 8
    tokens: int = 12
    lengths: str = "ragged"
    """`ragged`, `full` (the longest for every row) or `truncated` (full, and cut there)."""
    sampler: float = 0.0
    """Standard deviation of the sampler's log-probabilities against the trainer's; 0 for no sampler of its own."""
    beta: float = HYPER.beta


RECIPES = (
    Recipe("mixed groups"),
    Recipe("all-fail, all-pass and mixed groups", (0.0, 1.0, 0.0, 0.5), invalid=0.1, drift=0.1),
    Recipe("everything fails", (0.0,) * 4, invalid=0.3, drift=0.1),
    Recipe("everything passes", (1.0,) * 4, drift=0.1),
    Recipe("everything is invalid", (0.0,) * 4, invalid=1.0, drift=0.1),
    Recipe("on-policy", (0.25, 0.5, 0.5, 0.75), invalid=0.0, drift=0.0, lengths="full"),
    Recipe("one token a row", tokens=1),
    Recipe("every row is truncated", (0.0,) * 4, invalid=0.5, lengths="truncated"),
    Recipe("pairs (G = 2)", (0.0, 0.5, 1.0, 0.5), group_size=2),
    Recipe("one group (B = G)", (0.5,)),
    Recipe("no KL (beta = 0)", beta=0.0),
    Recipe("sampler differs from the trainer", sampler=0.4),
    Recipe("far off-policy", (0.25, 0.5, 0.125, 0.75), drift=1.0),
    Recipe("large groups (G = 16)", (0.0625, 0.5), group_size=16),
    Recipe("groups without any spread", (0.0, 1.0, 0.0, 1.0), invalid=0.0, drift=0.1, lengths="full"),
)


@cache
def regimes() -> tuple[Case, ...]:
    """Every synthetic case, in fixed order. Shared: do not change their tensors."""
    drawn = [draw(recipe, seed) for seed, recipe in enumerate(RECIPES)]
    mixed = drawn[0]
    return (*drawn, masked_rows(mixed), extreme_ratios(mixed), unlikely_tokens(mixed), unscorable_rows(mixed))


def regime(name: str) -> Case:
    """The synthetic case of that name."""
    return next(case for case in regimes() if case.name == name)


def draw(recipe: Recipe, seed: int) -> Case:
    """One case from a recipe; double precision."""
    g = torch.Generator().manual_seed(20260 + seed)
    size, width = recipe.group_size, recipe.tokens
    rows = size * len(recipe.pass_rates)
    wanted = torch.tensor([round(p * size) for p in recipe.pass_rates])
    order = torch.rand(len(wanted), size, generator=g).argsort(1).argsort(1)  # successes anywhere in their group
    correct = (order < wanted.unsqueeze(1)).flatten()
    valid = correct | (torch.rand(rows, generator=g) >= recipe.invalid)
    lengths = torch.full((rows,), width)
    if recipe.lengths == "ragged" and width > 1:
        lengths = torch.randint(3, width + 1, (rows,), generator=g)
    cut = recipe.lengths == "truncated" or (recipe.lengths == "ragged" and width > 1)
    truncated = (lengths == width) & ~correct if cut else torch.zeros(rows, dtype=torch.bool)
    valid = valid & ~truncated
    style = torch.rand(rows, generator=g, dtype=torch.float64).round(decimals=1)
    old = -3 * torch.rand(rows, width, generator=g, dtype=torch.float64) - 0.01
    on_policy = recipe.drift == 0.0
    return Case(
        name=recipe.name,
        hyper=replace(HYPER, group_size=size, max_length=width, beta=recipe.beta),
        parts={
            "correct": correct.double(),
            "format": torch.where(valid, 1.0, style),
            "brevity": 1.0 - lengths.double() / width,
        },
        part_weights=WEIGHTS,
        correct=correct,
        valid=valid,
        truncated=truncated,
        lengths=lengths.double(),
        mask=(torch.arange(width) < lengths.unsqueeze(1)).long(),
        logp=old if on_policy else (old + recipe.drift * _normal(old, g)).clamp(max=-1e-3),
        old_logp=old,
        entropy=2 * torch.rand(rows, width, generator=g, dtype=torch.float64),
        ref_logp=(old + 0.2 * _normal(old, g)).clamp(max=-1e-3) if recipe.beta else None,
        sampler_logp=(old + recipe.sampler * _normal(old, g)).clamp(max=-1e-3) if recipe.sampler else None,
        on_policy=on_policy,
    )


def masked_rows(case: Case) -> Case:
    """Some rows without a single trainable token, as tool or truncation masks leave them."""
    empty = torch.arange(len(case.correct)) % 5 == 1
    return replace(case, name="fully masked rows", mask=case.mask * ~empty.unsqueeze(1))


def extreme_ratios(case: Case) -> Case:
    """Tokens e^15 times likelier, or unlikelier, than when they were sampled."""
    sign = torch.where(torch.arange(case.logp.shape[1]) % 2 == 0, 1.0, -1.0)
    old = torch.where(sign > 0, -15.01, -0.01).to(case.logp).expand_as(case.logp)
    return replace(case, name="extreme ratios", old_logp=old, logp=old + 15 * sign.to(case.logp))


def unlikely_tokens(case: Case) -> Case:
    """Log-probabilities of -80, as a sampler with another precision can report them."""
    low = torch.arange(case.logp.shape[1]) % 3 == 1
    names = ("logp", "old_logp", "ref_logp")
    changed: dict[str, Any] = {n: torch.where(low, getattr(case, n) - 80.0, getattr(case, n)) for n in names}
    return replace(case, name="huge negative log-probabilities", **changed)


def unscorable_rows(case: Case) -> Case:
    """A reward part that does not apply to some rows, and rows to which none applies."""
    nothing = torch.arange(len(case.correct)) % 11 == 3
    sparse = nothing | (torch.arange(len(case.correct)) % 4 == 2)
    parts = {n: torch.where(sparse if n == "format" else nothing, torch.nan, x) for n, x in case.parts.items()}
    return replace(
        case, name="unscorable rows", parts=parts, correct=case.correct & ~nothing, valid=case.valid & ~nothing
    )


def _normal(like: Tensor, g: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=g, dtype=torch.float64)
