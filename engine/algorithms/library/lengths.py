"""Length in the reward: limits, targets, prices."""

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class SoftOverlong(Mechanism):
    """Charge length near the limit, linearly in its last band, and 1 for a cut row (DAPO, arXiv
    2503.14476).

    r = r - clip((L - (L_max - c)) / c, 0, 1), c = band * L_max; r - 1 if truncated.

    Acts: on rows in the band; where few reach it, not at all.
    """

    band: Annotated[float, Range(0.01, 1.0)] = 0.25
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"band": (0.1, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        width = max(self.band * r.hyper.max_length, 1.0)
        over = ((r.lengths.to(rewards.dtype) - (r.hyper.max_length - width)) / width).clamp(0.0, 1.0)
        return inner(rewards) - torch.where(r.truncated, 1.0, over)


class MinMaxLength(Mechanism):
    """Pay short correct rows and charge long ones, between the shortest and the longest of the group (Kimi
    k1.5, arXiv 2501.12599).

    l = 0.5 - (L - L_min) / (L_max - L_min), 0 if all are equal; r = r + weight * (l if correct, else min(0,
    l)).

    Acts: in groups whose lengths differ, all-fail ones too, which learn brevity from failures. Default
    ours.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.1, 0.3, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(r.lengths.to(rewards.dtype))
        low, high = x.amin(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        pay = torch.where(high > low, 0.5 - (x - low) / (high - low).clamp(min=1e-6), 0.0).flatten()
        return inner(rewards) + self.weight * torch.where(r.correct, pay, pay.clamp(max=0.0))


class LengthTarget(Mechanism):
    """Charge the distance to a target length, from both sides (L1-Exact, arXiv 2503.04697).

    r = r - alpha |n - L|, n = target * L_max; 3e-4 a token is the paper's alpha, the fixed target is ours.

    Acts: in groups whose lengths differ, wrong rows included, so a nearly uniform group learns length
    alone.
    """

    alpha: Annotated[float, Range(0.0, 1.0)] = 3e-4
    target: Annotated[float, Range(0.0, 1.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (1e-3, 1e-2), "target": (0.25, 0.75)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        away = (self.target * r.hyper.max_length - r.lengths.to(rewards.dtype)).abs()
        return inner(rewards) - self.alpha * away


class LengthBudget(Mechanism):
    """Scale the reward of correct rows by how far they stay within a budget of tokens (L1-Max, arXiv
    2503.04697).

    r = r * clip(alpha (n - L) + 0.5, 0, 1) if correct, n = target * L_max; 3e-4 a token is the paper's
    alpha, the fixed target is ours.

    Acts: on correct rows; shorter is always better, so all-pass groups learn length alone.
    """

    alpha: Annotated[float, Range(0.0, 1.0)] = 3e-4
    target: Annotated[float, Range(0.0, 1.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (1e-3, 1e-2), "target": (0.25, 0.75)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        shaped, room = inner(rewards), self.target * r.hyper.max_length - r.lengths.to(rewards.dtype)
        return torch.where(r.correct, shaped * (self.alpha * room + 0.5).clamp(0.0, 1.0), shaped)


class PassRateLengthPenalty(Mechanism):
    """Charge every token by how easy its prompt is (ALP, arXiv 2506.05256).

    r = r - beta L max(p, 1 / G).

    Acts: in groups whose lengths differ, solved ones most; the group's std makes even a tiny beta decide
    uniform groups.
    """

    beta: Annotated[float, Range(0.0, 1.0)] = 1e-7
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"beta": (1e-5, 1e-3, 1e-2)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        easy = r.pass_rate().to(rewards.dtype).clamp(min=1 / r.hyper.group_size)
        return inner(rewards) - self.beta * r.lengths.to(rewards.dtype) * easy


class TopGroupsLength(Mechanism):
    """Charge length only in the groups of the batch that succeed most, the others keep their plain outcome
    (GRPO-lambda, arXiv 2505.18086).

    r = r - alpha sigmoid((L - mean) / (std + 1e-4)) for correct rows of the top share of groups by p, ties
    included; mean and std of L over the group's correct rows. Default ours.

    Acts: in the best groups with a success; a batch of equally hard prompts is charged as a whole.
    """

    share: Annotated[float, Range(0.0, 1.0)] = 0.2
    alpha: Annotated[float, Range(0.0, 1.0)] = 0.2
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (0.1, 0.4, 0.6), "alpha": (0.1, 0.4)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        rates = r.grouped(r.correct).sum(dim=1)
        top = math.ceil(self.share * len(rates) - 1e-9)
        if top == 0:
            return inner(rewards)
        chosen = r.spread(rates >= rates.sort(descending=True).values[top - 1])
        lengths = r.lengths.to(rewards.dtype)
        mean, std = _over_correct(r, lengths)
        charge = self.alpha * torch.sigmoid((lengths - mean) / (std + 1e-4))
        return inner(rewards) - torch.where(chosen & r.correct, charge, 0.0)


class ExponentialLength(Mechanism):
    """A correct row earns less the longer it is among the correct, a wrong one earns -1 (GRPO-LEAD, arXiv
    2504.09696).

    z = (L - mean) / (std + 1e-4) over the group's correct rows; r = exp(-alpha z) if correct, else -1.

    Acts: on correct rows of different lengths; other parts of the reward are no longer seen, solved groups
    learn length.
    """

    alpha: Annotated[float, Range(0.0, 1.0)] = 0.05
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (0.02, 0.1, 0.2)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        lengths = r.lengths.to(rewards.dtype)
        mean, std = _over_correct(r, lengths)
        shaped = torch.where(r.correct, torch.exp(-self.alpha * (lengths - mean) / (std + 1e-4)), -1.0)
        return torch.where(torch.isnan(rewards), rewards, shaped)


def _over_correct(r: Rollouts, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population std of figures (B,) over the correct rows of each row's group, both (B,); 0 without any."""
    correct, x = r.grouped(r.correct.to(x.dtype)), r.grouped(x)
    n = correct.sum(dim=1, keepdim=True).clamp(min=1.0)
    mean = (correct * x).sum(dim=1, keepdim=True) / n
    std = ((correct * (x - mean) ** 2).sum(dim=1, keepdim=True) / n).sqrt()
    return r.spread(mean.squeeze(1)), r.spread(std.squeeze(1))
