"""A case: one generation batch and the policy that is trained on it, as verification shows them to an algorithm.

Cases are made by hand (regimes.py) or recorded from a profile's own root (recorded.py); the functions here turn one
into another that a sound algorithm must treat alike: padded, reordered, cast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from engine.contract import Hyper, Minibatch, Norm, Rollouts


@dataclass(frozen=True, eq=False)
class Case:
    """B rows in consecutive groups, T token columns."""

    name: str
    hyper: Hyper
    parts: Mapping[str, Tensor]
    """Reward parts, each (B,); NaN where a part does not apply."""
    part_weights: Mapping[str, float]
    correct: Tensor
    valid: Tensor
    truncated: Tensor
    """(B,) bool."""
    lengths: Tensor
    """(B,) float."""
    mask: Tensor
    """(B,T) long, as the trainer's: 1 on completion tokens."""
    logp: Tensor
    """(B,T) of the policy in the loss."""
    old_logp: Tensor
    """(B,T) of the policy that generated; equal to `logp` on-policy."""
    entropy: Tensor
    """(B,T)."""
    ref_logp: Tensor | None = None
    sampler_logp: Tensor | None = None
    on_policy: bool = False
    """The trainer keeps no old log-probabilities: rollouts have them only for mechanisms that ask."""
    step: int = 10
    progress: float = 0.25

    @property
    def rewards(self) -> Tensor:
        """(B,) weighted sum of the parts; NaN where no part applies."""
        table = torch.stack(list(self.parts.values()), dim=1)
        weights = table.new_tensor([self.part_weights[name] for name in self.parts])
        total = (table * weights).nansum(dim=1)
        return torch.where(torch.isnan(table).all(dim=1), torch.nan, total)

    def map(self, change: Callable[[Tensor], Tensor]) -> Case:
        """The case with every tensor changed."""
        changed: dict[str, Any] = {"parts": {name: change(x) for name, x in self.parts.items()}}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                changed[f.name] = change(value)
        return replace(self, **changed)


def padded(case: Case, columns: int) -> Case:
    """More token columns that belong to no row, with the garbage a model gives on padding tokens in them."""
    garbage = {"mask": 0, "logp": -7.25, "old_logp": -6.5, "entropy": 3.5, "ref_logp": -5.0, "sampler_logp": -9.0}
    changed: dict[str, Any] = {
        name: torch.nn.functional.pad(x, (0, columns), value=value)
        for name, value in garbage.items()
        if (x := getattr(case, name)) is not None
    }
    return replace(case, **changed)


def reordered(case: Case, rows: Tensor) -> Case:
    """The same rows in another order; `rows` (B,) long must keep groups together."""
    return case.map(lambda x: x[rows])


def cast(case: Case, dtype: torch.dtype) -> Case:
    """Every number of the case in another precision."""
    return case.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def with_loss_dtype(case: Case, dtype: torch.dtype) -> Case:
    """The model's own outputs in another precision, as under autocast; rewards stay as they are."""
    names = ("logp", "old_logp", "entropy", "ref_logp", "sampler_logp")
    changed: dict[str, Any] = {n: x.to(dtype) for n in names if (x := getattr(case, n)) is not None}
    return replace(case, **changed)


def rollouts(case: Case, needs_logp: bool = True, needs_entropy: bool = True) -> Rollouts:
    """What the rollout stages see of the case: what costs a pass is there only for mechanisms that ask."""
    ratio = None
    if case.sampler_logp is not None:  # TRL's own correction: token ratios, capped at 3
        ratio = torch.exp(case.old_logp - case.sampler_logp).clamp(max=3.0) * case.mask
    return Rollouts(
        hyper=case.hyper,
        step=case.step,
        progress=case.progress,
        rewards=case.rewards,
        parts=dict(case.parts),
        part_weights=case.part_weights,
        valid=case.valid,
        correct=case.correct,
        truncated=case.truncated,
        group=torch.arange(len(case.correct)) // case.hyper.group_size,
        lengths=case.lengths,
        mask=case.mask,
        old_logp=None if case.on_policy and not needs_logp else case.old_logp,
        sampler_logp=case.sampler_logp,
        ref_logp=case.ref_logp,
        entropy=case.entropy if needs_entropy else None,
        sampler_ratio=ratio,
    )


def minibatch(case: Case, r: Rollouts, advantages: Tensor, dropped: Tensor) -> Minibatch:
    """The whole case as one micro-batch; its leaves are `logp` and `entropy`, both (B,T) with gradient."""
    keep = ~dropped
    mask = case.mask * keep.unsqueeze(1)
    return Minibatch(
        hyper=case.hyper,
        step=case.step,
        progress=case.progress,
        logp=case.logp.clone().requires_grad_(),
        old_logp=case.old_logp,
        ref_logp=case.ref_logp,
        entropy=case.entropy.clone().requires_grad_(),
        mask=mask,
        advantages=advantages.unsqueeze(1) if advantages.dim() == 1 else advantages,
        group=r.group,
        rewards=r.rewards,
        correct=case.correct,
        valid=case.valid,
        truncated=case.truncated,
        pass_rate=r.pass_rate(),
        keep=keep if dropped.any() else None,
        norm=Norm(rows=float(keep.sum()), tokens=float(mask.sum())),
        shipped=r.shipped,
    )


def part_of(m: Minibatch, rows: slice, pieces: int) -> Minibatch:
    """Some rows of a micro-batch, as one of `pieces` equal ones of an optimizer step."""
    changed: dict[str, Any] = {f.name: x[rows] for f in fields(m) if isinstance(x := getattr(m, f.name), Tensor)}
    shipped = {name: x[rows] for name, x in m.shipped.items()}
    return replace(m, **changed, shipped=shipped, hyper=replace(m.hyper, accumulation=pieces))
