"""Divisors: how much a centred reward counts."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class NoStd(Mechanism):
    """Do not divide by the group's std, which blows up nearly uniform groups (Dr.GRPO, arXiv 2503.20783).

    divisor = 1, so A = r - mu.

    Acts: in every group that is not uniform; the size of an update then depends on the scale of the
    rewards.
    """

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(r.rewards)


class FlooredStd(Mechanism):
    """Divide by the group's population std, floored: analytic variance (POISE AV-GRPO, arXiv 2603.23951,
    A.2.2).

    divisor = max(sqrt(E[r^2] - mu^2), sigma_min), over the shaped rewards of the group. Default ours.

    Acts: below the floor, in nearly uniform groups; above it, it is GRPO times sqrt(G / (G - 1)), a
    scale-twin.
    """

    sigma_min: Annotated[float, Range(1e-4, 10.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"sigma_min": (0.05, 0.2, 0.4)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(r.shaped)
        # E[x^2] - E[x]^2 as the mean of (x - E[x])^2: the same number without its cancellation.
        variance = torch.nanmean((x - torch.nanmean(x, dim=1, keepdim=True)) ** 2, dim=1)
        return r.spread(variance.nan_to_num().sqrt().clamp(min=self.sigma_min))


class DampedScale(Mechanism):
    """Add a constant to the divisor, so that a small spread is not blown up: the reconstructed reading of
    damped normalization (POISE RF-GRPO, arXiv 2603.23951).

    divisor = divisor of the rest + damping; GRPO's own epsilon is 1e-4. Default ours.

    Acts: in groups whose spread is not far above the damping; a large one turns GRPO into Dr.GRPO.
    """

    damping: Annotated[float, Range(0.0, 10.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"damping": (0.03, 0.3, 1.0)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return inner(centred) + self.damping


class BatchStd(Mechanism):
    """Divide by the std of the whole batch's rewards instead of the group's (Lite PPO, arXiv 2508.08221).

    divisor = std of all shaped rewards (ddof=1) + 1e-4, as TRL's scale_rewards="batch".

    Acts: wherever groups differ in spread; rare successes are diluted in a batch of easy prompts.
    """

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return _nanstd(r.shaped).nan_to_num().expand_as(r.rewards) + 1e-4


class BatchRms(Mechanism):
    """Divide by the root mean square of the centred rewards of the whole batch (POISE BN-GRPO, arXiv
    2603.23951).

    divisor = sqrt(mean over the batch of (r - mu)^2) + 1e-4; BN-GRPO also clips advantages at 3.

    Acts: wherever groups differ in spread; a batch of mostly uniform groups gives the few mixed ones large
    advantages.
    """

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        weight = (~torch.isnan(centred)).to(centred.dtype)
        if centred.dim() == 2:
            weight = weight * r.mask
        square = (weight * centred.nan_to_num() ** 2).sum() / weight.sum().clamp(min=1.0)
        return (square.sqrt() + 1e-4).expand_as(r.rewards)


class MeanScale(Mechanism):
    """Divide by the group's pass rate, not its std, so that rare successes weigh 1/p (MaxRL, arXiv
    2602.02710).

    A = (r - mu) / max(p, p_min), 0 if p = 0; p_min below 1/G is MaxRL itself.

    Acts: in mixed groups, most in hard ones; a single lucky success in a large group is a spike.
    """

    p_min: Annotated[float, Range(1e-3, 1.0)] = 0.125
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"p_min": (0.0625, 0.25, 0.5)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return r.pass_rate().to(r.rewards.dtype).clamp(min=self.p_min)

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * (_beside(r.pass_rate(), a) > 0)


class ConstantScale(Mechanism):
    """Divide by a constant, the same for every prompt and batch (POISE SA-GRPO, arXiv 2603.23951).

    divisor = sigma; 0.5 is the largest std of 0/1 rewards. Default ours.

    Acts: as Dr.GRPO does, of which it is a scale-twin; sparse batches take small steps.
    """

    sigma: Annotated[float, Range(0.01, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"sigma": (0.25, 1.0)}

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return torch.full_like(r.rewards, self.sigma)


class OutcomeStd(Mechanism):
    """Divide by the spread of outcomes where there is one, by that of total rewards where outcomes are
    uniform (the anchor of POISE MSA-GRPO, arXiv 2603.23951).

    divisor = (sigma_outcome if sigma_outcome > 1e-4 else sigma_total) + 1e-4; population stds, outcomes 0
    or 1.

    Acts: where rewards have parts besides correctness; style still fills uniform groups with unit-size
    advantages.
    """

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        total = r.grouped(r.shaped)
        outcome = torch.where(torch.isnan(total), torch.nan, r.grouped(r.correct.to(total.dtype)))
        outcome_std, total_std = (
            torch.nanmean((x - torch.nanmean(x, dim=1, keepdim=True)) ** 2, dim=1).nan_to_num().sqrt()
            for x in (outcome, total)
        )
        return r.spread(torch.where(outcome_std > 1e-4, outcome_std, total_std) + 1e-4)


def _nanstd(x: Tensor, dim: int | None = None) -> Tensor:
    """Std (ddof=1) with its dimension kept, NaN ignored, as TRL computes it; NaN if fewer than two are left."""
    mean = torch.nanmean(x, dim=dim, keepdim=True)
    variance = torch.nanmean((x - mean) ** 2, dim=dim, keepdim=True)
    count = torch.sum(~torch.isnan(x), dim=dim, keepdim=True)
    variance *= torch.where(count > 1, count / (count - 1), torch.nan)
    return torch.sqrt(variance)


def _beside(rows: Tensor, a: Tensor) -> Tensor:
    """Figures of rows (B,) in the precision of advantages (B,) or (B,T), shaped to meet them."""
    return rows.to(a.dtype) if a.dim() == 1 else rows.to(a.dtype).unsqueeze(1)
