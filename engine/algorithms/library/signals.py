"""What counts as signal: shaping of rewards, masking and dropping of rows."""

from typing import ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Rollouts


class ValidityMask(Mechanism):
    """Statistics over valid rows only, smoothed by a Beta prior; invalid rows get one fixed advantage (POISE VM-AV-
    GRPO, arXiv 2603.23951).
    """

    prior: float = 1.0
    sigma_floor: float = 0.1
    invalid_advantage: float = -1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {
        "prior": (0.0, 0.5, 1.0),
        "sigma_floor": (0.1, 0.2, 0.4),
        "invalid_advantage": (-2.0, -1.0, -0.5),
    }

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        valid = r.grouped(r.valid.float())
        solved = r.grouped((r.correct & r.valid).float())
        mu = (solved.sum(dim=1) + self.prior) / (valid.sum(dim=1) + 2 * self.prior).clamp(min=1.0)
        sigma = (mu * (1 - mu)).clamp(min=0.0).sqrt().clamp(min=self.sigma_floor)
        outcome = (r.correct & r.valid).float()
        return torch.where(r.valid, (outcome - r.spread(mu)) / r.spread(sigma), self.invalid_advantage)


class CorrectnessGate(Mechanism):
    """Rows that are not correct keep only a fraction of their shaped reward: correctness before efficiency (POISE's
    second principle, arXiv 2603.23951).
    """

    keep: float = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"keep": (0.0, 0.1, 0.25, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        shaped = inner(rewards)
        return torch.where(r.correct, shaped, self.keep * shaped)


class InvalidPenalty(Mechanism):
    """An answer that cannot be read earns a fixed negative reward, whatever its other parts (strict format, POISE AV-
    GRPO, arXiv 2603.23951).
    """

    penalty: float = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"penalty": (0.0, 0.25, 0.5, 1.0)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return torch.where(r.valid, inner(rewards), -self.penalty)


class PartNormalization(Mechanism):
    """Normalise each reward part in its group before the weighted sum (GDPO, arXiv 2601.05242)."""

    eps: float = 1e-4

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        total = torch.zeros_like(rewards)
        for name, part in r.parts.items():
            x = r.grouped(torch.nan_to_num(part))
            z = (x - x.mean(dim=1, keepdim=True)) / (x.std(dim=1, keepdim=True) + self.eps)
            total = total + r.part_weights[name] * z.flatten()
        return total

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return (r.shaped.std() + self.eps).expand_as(r.rewards)


class DropUniform(Mechanism):
    """Drop groups that all fail or all pass: they carry no outcome signal (DAPO's filter without resampling, arXiv
    2503.14476).
    """

    def drop(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        p = r.pass_rate()
        return inner(rewards).bool() | (p == 0) | (p == 1)


class SilenceAllFail(Mechanism):
    """Scale advantages of groups without a correct row: what is left there is style, not signal (conditional
    normalization by group regime, POISE, arXiv 2603.23951).
    """

    factor: float = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.0, 0.1, 0.3)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        p = r.pass_rate() if a.dim() == 1 else r.pass_rate().unsqueeze(1)
        return torch.where(p == 0, self.factor * a, a)


class DropTruncated(Mechanism):
    """Drop rows that were cut at the length limit (DAPO's overlong filtering, arXiv 2503.14476)."""

    def drop(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return inner(rewards).bool() | r.truncated


class SoftOverlong(Mechanism):
    """Linear penalty in the last `band` share of the length limit, -1 when truncated (DAPO, arXiv 2503.14476)."""

    band: float = 0.25
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"band": (0.1, 0.25, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        width = max(self.band * r.hyper.max_length, 1.0)
        over = ((r.lengths - (r.hyper.max_length - width)) / width).clamp(0.0, 1.0)
        return inner(rewards) - torch.where(r.truncated, torch.ones_like(over), over)


class SolvedLengthPenalty(Mechanism):
    """Length counts only where the group already succeeds: correct rows earn by their z-scored length times the pass
    rate (DACE, POISE, arXiv 2603.23951).
    """

    weight: float = 0.2
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.1, 0.2, 0.4)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        correct = r.grouped(r.correct.float())
        lengths = r.grouped(r.lengths)
        n = correct.sum(dim=1, keepdim=True).clamp(min=1.0)
        mean = (correct * lengths).sum(dim=1, keepdim=True) / n
        std = ((correct * (lengths - mean) ** 2).sum(dim=1, keepdim=True) / n).sqrt()
        bonus = ((mean - lengths) / (std + 1e-4) * correct).flatten() * r.pass_rate() * self.weight
        return a + (bonus if a.dim() == 1 else bonus.unsqueeze(1))
