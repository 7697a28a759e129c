"""Answers that cannot be read, and wrong ones: what they earn, and whether they count in the statistics."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class ValidityMask(Mechanism):
    """Take statistics over valid rows only, smoothed by a Beta prior, and give invalid rows one fixed
    advantage (POISE VM-AV-GRPO, arXiv 2603.23951).

    mu_v = (correct_v + prior) / (n_v + 2 prior), sigma_v = sqrt(mu_v (1 - mu_v)); A = (1[correct] - mu_v) /
    max(sigma_v, sigma_floor) on valid rows, invalid_advantage on the rest. Default ours.

    Acts: on every row; the prior gives uniform groups of eight -/+0.333 and takes one success in eight from
    2.65 to 2.0.
    """

    prior: Annotated[float, Range(0.0, 8.0)] = 1.0
    sigma_floor: Annotated[float, Range(1e-3, 1.0)] = 0.1
    invalid_advantage: Annotated[float, Range(-10.0, 0.0)] = -1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {
        "prior": (0.0, 0.5),
        "sigma_floor": (0.2, 0.4),
        "invalid_advantage": (-2.0, -0.5),
    }

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        counts = r.valid & ~torch.isnan(r.rewards)
        outcome = (r.correct & counts).to(r.rewards.dtype)
        solved, valid = r.grouped(outcome).sum(dim=1), r.grouped(counts.to(outcome.dtype)).sum(dim=1)
        mu = (solved + self.prior) / (valid + 2 * self.prior).clamp(min=1e-6)
        sigma = (mu * (1 - mu)).clamp(min=0.0).sqrt().clamp(min=self.sigma_floor)
        return torch.where(r.valid, (outcome - r.spread(mu)) / r.spread(sigma), self.invalid_advantage)


class RelativeLengthDamping(Mechanism):
    """Punish a valid wrong row less the longer it is, against the valid rows of its group (POISE
    VM-AV-GRPO, arXiv 2603.23951).

    L_rel = clip(L / mean_V L, low, high); A = A / L_rel where A < 0 and the row is valid.

    Acts: on negative advantages where lengths of a group differ; short wrong answers are pushed down
    hardest.
    """

    low: Annotated[float, Range(0.05, 1.0)] = 0.5
    high: Annotated[float, Range(1.0, 20.0)] = 2.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.25, 0.8), "high": (1.25, 4.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        lengths, valid = r.grouped(r.lengths.to(a.dtype)), r.grouped(r.valid.to(a.dtype))
        mean = (lengths * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1.0)
        relative = _beside(r.lengths / r.spread(mean).clamp(min=1.0), a).clamp(self.low, self.high)
        return torch.where((a < 0) & (_beside(r.valid, a) > 0), a / relative, a)


class CorrectnessGate(Mechanism):
    """Rows that are not correct keep only a fraction of their shaped reward: correctness before efficiency
    (a principle of POISE, arXiv 2603.23951).

    r = r if correct, else keep * r. Default ours.

    Acts: where wrong rows earn something; with keep 0 all-fail groups are silent and format is learned from
    successes.
    """

    keep: Annotated[float, Range(0.0, 1.0)] = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"keep": (0.1, 0.25, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        shaped = inner(rewards)
        return torch.where(r.correct, shaped, self.keep * shaped)


class InvalidPenalty(Mechanism):
    """An answer that cannot be read earns a fixed negative reward, whatever its other parts (the strict
    format of POISE AV-GRPO, arXiv 2603.23951).

    r = r if valid, else -penalty. Default ours.

    Acts: in groups with both kinds of rows; where most rows are invalid it teaches format before anything
    else.
    """

    penalty: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"penalty": (0.0, 0.25, 1.0)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return torch.where(r.valid | torch.isnan(rewards), inner(rewards), -self.penalty)


class HierarchicalFormat(Mechanism):
    """Correct before readable before unreadable, and nothing else: a reconstructed hierarchical format
    reward (POISE RF-GRPO, arXiv 2603.23951, prose only).

    r = 1 if correct, else level if valid, else 0. Default ours.

    Acts: where the reward has other parts, or none for format; a high level makes readable nonsense pay.
    """

    level: Annotated[float, Range(0.0, 1.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"level": (0.05, 0.2, 0.4)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        steps = rewards.new_tensor([0.0, self.level, 1.0])
        shaped = steps[torch.where(r.correct, 2, r.valid.long())]
        return torch.where(torch.isnan(rewards), rewards, shaped)


class AllFailPenalty(Mechanism):
    """In a group without a success, fixed advantages by what failed: format worst, reasoning less (POISE
    FA-GRPO, arXiv 2603.23951).

    A = invalid if not valid, else wrong, in groups without a correct row (the paper: R_max <= 0); A
    elsewhere, which FA-GRPO clips at 3.

    Acts: on all-fail groups, where GRPO ranks style or nothing; pushes down all that was sampled, so
    entropy may rise.
    """

    invalid: Annotated[float, Range(-10.0, 0.0)] = -2.0
    wrong: Annotated[float, Range(-10.0, 0.0)] = -0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"invalid": (-3.0, -1.0), "wrong": (-1.0, -0.1, 0.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        penalty = a.new_tensor([self.invalid, self.wrong])[r.valid.long()]
        return torch.where(_beside(r.pass_rate(), a) == 0, _beside(penalty, a), a)


def _beside(rows: Tensor, a: Tensor) -> Tensor:
    """Figures of rows (B,) in the precision of advantages (B,) or (B,T), shaped to meet them."""
    return rows.to(a.dtype) if a.dim() == 1 else rows.to(a.dtype).unsqueeze(1)
