"""The root: GRPO (arXiv 2402.03300) exactly as TRL computes it with loss_type="grpo", stage by stage.

The order of floating-point operations is TRL 1.16's own, so that the empty algorithm is bit-equal to TRL's trainer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.contract import Minibatch, Rollouts

STD_EPS = 1e-4
"""TRL's epsilon, added to the group's standard deviation."""


def nanstd(x: Tensor, dim: int) -> Tensor:
    """Standard deviation with Bessel's correction (ddof=1), NaN ignored; shape of x without `dim`."""
    mean = torch.nanmean(x, dim=dim, keepdim=True)
    variance = torch.nanmean((x - mean) ** 2, dim=dim, keepdim=True)
    count = torch.sum(~torch.isnan(x), dim=dim, keepdim=True)
    correction = count / (count - 1)
    variance *= torch.where(count > 1, correction, torch.full_like(correction, float("nan")))
    return torch.sqrt(variance).squeeze(dim)


def shape_rewards(r: Rollouts, rewards: Tensor) -> Tensor:
    """(B,) unchanged."""
    return rewards


def drop(r: Rollouts, rewards: Tensor) -> Tensor:
    """(B,) bool: nothing is dropped."""
    return torch.zeros_like(rewards, dtype=torch.bool)


def baseline(r: Rollouts, rewards: Tensor) -> Tensor:
    """(B,) mean reward of the row's group."""
    return r.spread(torch.nanmean(r.grouped(rewards), dim=1))


def scale(r: Rollouts, centred: Tensor) -> Tensor:
    """(B,) the standard deviation (ddof=1) of the group's shaped rewards, plus epsilon."""
    # A group with one scorable row has no deviation; its only advantage is zero anyway.
    return r.spread(torch.nan_to_num(nanstd(r.grouped(r.shaped), dim=1))) + STD_EPS


def advantages(r: Rollouts, value: Tensor) -> Tensor:
    """Unchanged."""
    return value


def sampler_weight(r: Rollouts, value: Tensor) -> Tensor:
    """TRL's own sampler correction where there is one, else ones (B,)."""
    return torch.ones_like(r.rewards) if r.sampler_ratio is None else r.sampler_ratio


def ratio(m: Minibatch, log_ratio: Tensor) -> Tensor:
    """(B,T) token-level importance ratio."""
    return torch.exp(log_ratio)


def kl(m: Minibatch, ratio: Tensor) -> Tensor:
    """(B,T) the k3 estimator, without bias correction."""
    assert m.ref_logp is not None
    return torch.exp(m.ref_logp - m.logp) - (m.ref_logp - m.logp) - 1


def surrogate(m: Minibatch, ratio: Tensor) -> Tensor:
    """(B,T) PPO's clipped surrogate."""
    clipped = torch.clamp(ratio, 1 - m.hyper.clip_low, 1 + m.hyper.clip_high)
    return -torch.min(ratio * m.advantages, clipped * m.advantages)


def weights(m: Minibatch, per_token: Tensor) -> Tensor:
    """Ones, shaped like the surrogate."""
    return torch.ones_like(per_token)


def aggregate(m: Minibatch, per_token: Tensor) -> Tensor:
    """Mean over tokens in a row, then over rows; dropped rows are in neither."""
    rows = (per_token * m.mask).sum(-1) / m.mask.sum(-1).clamp(min=1.0)
    if m.keep is None:
        return rows.mean() / m.hyper.accumulation
    return (rows * m.keep).sum() / max(m.norm.rows, 1.0)


def regularize(m: Minibatch, loss: Tensor) -> Tensor:
    """Minus entropy_coef times the mean token entropy."""
    mean = (m.entropy * m.mask).sum() / m.mask.sum().clamp(min=1.0) / m.hyper.accumulation
    return -(m.hyper.entropy_coef * mean)


ROOT: dict[str, Callable[..., Tensor]] = {
    f.__name__: f
    for f in (
        *(shape_rewards, drop, baseline, scale, advantages, sampler_weight),
        *(ratio, kl, surrogate, weights, aggregate, regularize),
    )
}
