"""Batches worked by hand: a few groups whose numbers a reader can check with a pencil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Hyper, Mechanism, Minibatch
from engine.verify.case import Case, minibatch, rollouts


def case(rewards: Sequence[Sequence[float]], **changes: Any) -> Case:
    """Groups of rewards, one reward part; a reward of 1 or more is correct, every row valid and as long as the rest.

    Changes are fields of `Case`; lists become tensors (nested ones flat, unless they are token columns), and
    `lengths` also makes the mask. Doubles throughout.
    """
    size = len(rewards[0])
    flat = torch.tensor([x for group in rewards for x in group], dtype=torch.float64)
    rows = len(flat)
    lengths = torch.as_tensor(changes.pop("lengths", [4.0] * rows), dtype=torch.float64).flatten()
    width = int(lengths.max())
    tokens = torch.zeros(rows, width, dtype=torch.float64)
    made = Case(
        name="by hand",
        hyper=Hyper(size, changes.pop("max_length", width), beta=0.0, entropy_coef=0.0, clip_low=0.2, clip_high=0.2),
        parts={"reward": flat},
        part_weights={"reward": 1.0},
        correct=flat >= 1.0,
        valid=torch.ones(rows, dtype=torch.bool),
        truncated=torch.zeros(rows, dtype=torch.bool),
        lengths=lengths,
        mask=(torch.arange(width) < lengths.unsqueeze(1)).long(),
        logp=tokens - 1.0,
        old_logp=tokens - 1.0,
        entropy=tokens + 0.5,
    )
    return replace(made, **{k: _tensor(v, getattr(made, k)) for k, v in changes.items()})


def advantages(made: Case, *mechanisms: Mechanism) -> Tensor:
    """(B,) or (B,T) advantages of GRPO with these mechanisms."""
    return Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).values


def loss(made: Case, values: Any, *mechanisms: Mechanism) -> tuple[Tensor, Tensor]:
    """Loss of these mechanisms for given advantages (B,) or (B,T), and its gradient (B,T) by log-probability."""
    m = batch(made, values)
    value = Pipeline(Algorithm("t", mechanisms)).loss(m).value
    (grad,) = torch.autograd.grad(value, m.logp)
    return value.detach(), grad


def batch(made: Case, values: Any) -> Minibatch:
    """The whole case as one micro-batch with given advantages."""
    r = rollouts(made)
    given = torch.as_tensor(values, dtype=torch.float64)
    return minibatch(made, r, given, torch.zeros(len(made.correct), dtype=torch.bool))


def _tensor(value: Any, like: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    made = torch.as_tensor(value)
    made = made.double() if made.dtype != torch.bool else made
    return made.flatten() if isinstance(like, Tensor) and like.dim() == 1 else made
