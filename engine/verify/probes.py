"""Probe batches: small synthetic rollouts in the regimes where policy optimization is hard, fixed for ever.

They are built in double precision from a fixed generator, so that two algorithms that behave alike give equal numbers
whatever the machine's thread count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.contract import Hyper, Minibatch, Norm, Rollouts

GROUPS, SIZE, TOKENS = 4, 8, 12
HYPER = Hyper(SIZE, TOKENS, beta=0.02, entropy_coef=0.002, clip_low=0.2, clip_high=0.2)
WEIGHTS = {"correct": 1.0, "format": 0.3, "brevity": 0.5}


@dataclass(frozen=True)
class Probe:
    """One regime: pass rate of each group, share of invalid rows, how far the policy moved since it sampled."""

    name: str
    pass_rates: tuple[float, ...]
    invalid: float
    drift: float
    ragged: bool = True


PROBES = (
    Probe("mixed groups, off-policy", (0.125, 0.25, 0.5, 0.875), 0.15, 0.3),
    Probe("all-fail and all-pass groups", (0.0, 0.0, 1.0, 0.5), 0.1, 0.1),
    Probe("everything fails", (0.0, 0.0, 0.0, 0.0), 0.3, 0.1),
    Probe("on-policy, equal lengths", (0.25, 0.5, 0.5, 0.75), 0.0, 0.0, ragged=False),
    Probe("far off-policy", (0.25, 0.5, 0.125, 0.75), 0.1, 1.0),
)


def rollouts(probe: Probe, padding: int = 0, hyper: Hyper = HYPER) -> Rollouts:
    """The regime's batch: B = 32 rows of at most 12 tokens, plus `padding` empty columns."""
    g = torch.Generator().manual_seed(20260 + PROBES.index(probe))
    rows = GROUPS * SIZE
    wanted = torch.tensor([round(p * SIZE) for p in probe.pass_rates])
    correct = torch.arange(SIZE).repeat(GROUPS) < wanted.repeat_interleave(SIZE)
    valid = correct | (torch.rand(rows, generator=g) >= probe.invalid)
    lengths = torch.randint(3, TOKENS + 1, (rows,), generator=g) if probe.ragged else torch.full((rows,), TOKENS)
    truncated = (lengths == TOKENS) & ~correct if probe.ragged else torch.zeros(rows, dtype=torch.bool)
    valid = valid & ~truncated
    parts = {
        "correct": correct.double(),
        "format": torch.where(
            valid, 1.0, torch.rand(rows, generator=g, dtype=torch.float64).round(decimals=1)
        ).double(),
        "brevity": 1.0 - lengths.double() / TOKENS,
    }
    rewards = torch.stack([WEIGHTS[k] * v for k, v in parts.items()]).sum(0)
    mask = _pad((torch.arange(TOKENS) < lengths.unsqueeze(1)).double(), padding)
    old = _pad(-3 * torch.rand(rows, TOKENS, generator=g, dtype=torch.float64), padding)
    return Rollouts(
        hyper=hyper,
        step=10,
        progress=0.25,
        rewards=rewards,
        parts=parts,
        part_weights=WEIGHTS,
        valid=valid,
        correct=correct,
        truncated=truncated,
        group=torch.arange(rows) // SIZE,
        lengths=lengths.double(),
        mask=mask,
        old_logp=old,
        ref_logp=_pad(old[:, :TOKENS] + 0.2 * _normal(rows, g), padding),
        entropy=_pad(2 * torch.rand(rows, TOKENS, generator=g, dtype=torch.float64), padding),
    )


def minibatch(probe: Probe, r: Rollouts, advantages: Tensor, dropped: Tensor) -> tuple[Minibatch, Tensor, Tensor]:
    """The regime's whole batch as one micro-batch, and its leaves: `logp` and `entropy`, both (B,T) with gradient."""
    assert r.old_logp is not None and r.entropy is not None
    g = torch.Generator().manual_seed(7)
    padding = r.mask.shape[1] - TOKENS
    moved = r.old_logp + probe.drift * _pad(_normal(len(r.rewards), g), padding)
    logp = moved.clamp(max=-1e-3).requires_grad_()
    entropy = r.entropy.clone().requires_grad_()
    keep = ~dropped if dropped.any() else None
    kept = ~dropped
    m = Minibatch(
        hyper=r.hyper,
        step=r.step,
        progress=r.progress,
        logp=logp,
        old_logp=r.old_logp,
        ref_logp=r.ref_logp,
        entropy=entropy,
        mask=r.mask * kept.unsqueeze(1),
        advantages=advantages.unsqueeze(1) if advantages.dim() == 1 else advantages,
        group=r.group,
        rewards=r.rewards,
        correct=r.correct,
        valid=r.valid,
        truncated=r.truncated,
        pass_rate=r.pass_rate(),
        keep=keep,
        norm=Norm(rows=float(kept.sum()), tokens=float((r.mask * kept.unsqueeze(1)).sum())),
        shipped=r.shipped,
    )
    return m, logp, entropy


def _normal(rows: int, g: torch.Generator) -> Tensor:
    return torch.randn(rows, TOKENS, generator=g, dtype=torch.float64)


def _pad(x: Tensor, columns: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, columns)) if columns else x
