"""Baselines and divisors: how a reward becomes an advantage."""

from typing import ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Rollouts


class NoStd(Mechanism):
    """Do not divide by the group's std: no difficulty bias (Dr.GRPO, arXiv 2503.20783)."""

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(r.rewards)


class FlooredStd(Mechanism):
    """Divide by the group's population std of shaped rewards, floored at sigma_min: analytic variance (POISE AV-GRPO,
    arXiv 2603.23951, A.2.2).
    """

    sigma_min: float = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"sigma_min": (0.05, 0.1, 0.2, 0.4)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(r.shaped)
        variance = (x * x).mean(dim=1) - x.mean(dim=1) ** 2
        return r.spread(variance.clamp(min=self.sigma_min**2).sqrt())


class BatchStd(Mechanism):
    """Divide by the std of the whole batch instead of the group's (Lite PPO, arXiv 2508.08221)."""

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return (r.shaped.std() + 1e-4).expand_as(r.rewards)


class LeaveOneOut(Mechanism):
    """Baseline of a row is the mean of the other rows of its group (RLOO, arXiv 2402.14740)."""

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        g = r.hyper.group_size
        total = r.spread(r.grouped(rewards).sum(dim=1))
        return (total - rewards) / (g - 1)


class LengthWeightedBaseline(Mechanism):
    """Baseline weighted by length, the optimal one for a constant per-token gradient norm (OPO, arXiv 2505.23585)."""

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        lengths = r.grouped(r.lengths)
        return r.spread((lengths * r.grouped(rewards)).sum(dim=1) / lengths.sum(dim=1).clamp(min=1.0))


class MeanScale(Mechanism):
    """Divide by the group's pass rate, not its std, so that rare successes weigh 1/p (MaxRL, arXiv 2602.02710)."""

    p_min: float = 0.125
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"p_min": (0.0625, 0.125, 0.25, 0.5)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return r.pass_rate().clamp(min=self.p_min)


class AdvantageClip(Mechanism):
    """Clip advantages to [-limit, limit], as BN-GRPO and FA-GRPO do (POISE, arXiv 2603.23951)."""

    limit: float = 2.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"limit": (1.0, 1.5, 2.0, 3.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).clamp(-self.limit, self.limit)


class NegativeWeight(Mechanism):
    """Scale negative advantages, between positive-only and negative-heavy reinforcement (PSR/NSR, arXiv 2506.01347)."""

    factor: float = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.1, 0.25, 0.5, 2.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return torch.where(a < 0, self.factor * a, a)


class HardPromptWeight(Mechanism):
    """Weigh positive advantages of groups that rarely succeed (GRPO-LEAD's difficulty weight, arXiv 2504.09696)."""

    low: float = 0.4
    gain: float = 1.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"gain": (0.6, 1.1, 2.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        p = r.pass_rate() if a.dim() == 1 else r.pass_rate().unsqueeze(1)
        success = self.low + self.gain / (1 + torch.exp(10 * (p - 0.75)))
        failure = self.low + self.gain / (1 + torch.exp(10 * (0.25 - p)))
        return torch.where(a > 0, a * success, a * failure)
