"""Small batches in which one thing differs: what claims are measured on.

Groups of eight rows, the correct ones first; no KL penalty and no entropy bonus, so that a gradient is the policy's.
Shared: do not change their tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from engine.contract import Hyper
from engine.verify.behave import SEED
from engine.verify.case import Case
from engine.verify.regimes import WEIGHTS, regime

SIZE = 8
"""Rows of a group."""
SHORT, LONG, LIMIT = 20.0, 60.0, 64
"""Lengths in the scene of length claims: LONG lies in the last tenth below the limit, where overlong penalties act."""


def bare(case: Case) -> Case:
    """The case without KL penalty and entropy bonus: what is left is the policy gradient."""
    return replace(case, hyper=replace(case.hyper, beta=0.0, entropy_coef=0.0), ref_logp=None)


def scene(
    solved: Sequence[int],
    *,
    correct_worth: Tensor | float = 1.0,
    styles: Tensor | None = None,
    brevity: bool = False,
    lengths: Tensor | None = None,
    limit: int = 12,
    drift: Tensor | None = None,
    **changes: Any,
) -> Case:
    """Groups of eight readable rows, the correct ones first; without KL and entropy bonus.

    Args:
        solved: correct rows of each group.
        correct_worth: reward of a correct row, () or (B,).
        styles: (B,) the format part; ones without.
        brevity: whether the reward has a part for short rows.
        lengths: (B,) tokens; 8 without.
        limit: the longest row allowed.
        drift: (B,T) log(policy / old policy); on-policy without.
        changes: other fields of `Case`.
    """
    rows = SIZE * len(solved)
    lengths = torch.full((rows,), 8.0, dtype=torch.float64) if lengths is None else lengths
    width = int(lengths.max())
    correct = torch.cat([torch.arange(SIZE) < n for n in solved])
    old = _old_logp(rows, width)
    column = torch.arange(width)
    parts = {"correct": correct_worth * correct.double(), "format": torch.ones(rows, dtype=torch.float64)}
    if styles is not None:
        parts["format"] = styles
    if brevity:
        parts["brevity"] = 1.0 - lengths / limit
    made = Case(
        name="scene",
        hyper=Hyper(SIZE, limit, beta=0.0, entropy_coef=0.0, clip_low=0.2, clip_high=0.2),
        parts=parts,
        part_weights=WEIGHTS,
        correct=correct,
        valid=torch.ones(rows, dtype=torch.bool),
        truncated=torch.zeros(rows, dtype=torch.bool),
        lengths=lengths,
        mask=(column < lengths.unsqueeze(1)).double(),
        logp=old if drift is None else old + drift,
        old_logp=old,
        entropy=torch.where(column % 2 == 0, 0.1, 1.5).double().expand(rows, width),
        on_policy=drift is None,
    )
    return replace(made, **changes)


@cache
def _old_logp(rows: int, width: int) -> Tensor:
    g = torch.Generator().manual_seed(SEED)
    return -7.5 - torch.rand(rows, width, generator=g, dtype=torch.float64)  # room for e^6 likelier below 0


@cache
def graded() -> Case:
    """Groups with 1, 4 and 7 of 8 solved."""
    return scene((1, 4, 7))


@cache
def uniform(styled: bool) -> Case:
    """An all-fail and an all-pass group beside two mixed ones; rewards inside a group differ by style, or by outcome
    only.
    """
    style = torch.linspace(0.3, 1.0, SIZE, dtype=torch.float64).repeat(4) if styled else None
    return scene((0, SIZE, 4, 1), styles=style)


@cache
def short_and_long(brevity: bool) -> Case:
    """Groups with 4 and 6 of 8 solved; short and long rows in turn, so that each outcome has as many of both."""
    lengths = torch.tensor([SHORT, LONG], dtype=torch.float64).repeat(SIZE)
    return scene((4, 6), lengths=lengths, limit=LIMIT, brevity=brevity)


@cache
def truncation() -> tuple[Case, Case]:
    """Groups with 2 and 4 of 8 solved whose last row ends at half of the limit, or is cut there."""
    cut = torch.arange(2 * SIZE) % SIZE == SIZE - 1
    width = torch.full((2 * SIZE,), 8.0, dtype=torch.float64)
    longer = torch.where(cut, 16.0, 8.0).double()
    return scene((2, 4), lengths=width, limit=16), scene((2, 4), lengths=longer, limit=16, truncated=cut)


@cache
def invalidity() -> tuple[Case, Case]:
    """Groups with 0, 1 and 4 of 8 solved whose last row can be read, or cannot."""
    bad = torch.arange(3 * SIZE) % SIZE == SIZE - 1
    return scene((0, 1, 4)), scene((0, 1, 4), valid=~bad)


def regularized() -> tuple[Case, ...]:
    """Regimes with KL penalty and entropy bonus."""
    return regime("mixed groups"), regime("all-fail, all-pass and mixed groups")
