"""Signals kept apart until each has its own scale: reward parts, format, token entropy, KL."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class PartNormalization(Mechanism):
    """Normalise each reward part in its group, add them up, and normalise the sum over the batch (GDPO,
    arXiv 2601.05242).

    r = sum_k w_k (r_k - mu_k) / (sigma_k + eps); A = (r - mean_batch) / (std_batch + eps), ddof=1, parts
    that do not apply left out: TRL's multi_objective_aggregation="normalize_then_sum", to the last bit.

    Acts: where parts differ in spread; a part that hardly varies is blown up to the size of correctness.
    """

    eps: Annotated[float, Range(1e-8, 1.0)] = 1e-4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"eps": (1e-2, 0.1)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        table = torch.stack(list(r.parts.values()), dim=1)
        x = table.view(-1, r.hyper.group_size, table.shape[1])
        z = (x - torch.nanmean(x, dim=1, keepdim=True)) / (_nanstd(x, dim=1) + self.eps)
        weights = table.new_tensor([r.part_weights[name] for name in r.parts])
        total = (z.view(-1, table.shape[1]) * weights.unsqueeze(0)).nansum(dim=1)
        return torch.where(torch.isnan(rewards), rewards, total)

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return torch.nanmean(rewards).expand_as(rewards)

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return _nanstd(r.shaped).nan_to_num().expand_as(r.rewards) + self.eps


class DecoupledFormat(Mechanism):
    """Learn format and reasoning as two streams: the reward is correctness alone, format adds an advantage
    of its own (POISE DFR-GRPO, arXiv 2603.23951).

    r = 1[correct]; A = A_reason + weight * A_format, A_format = (valid - mean) / (std + 1e-4) in the group,
    population std. Default ours.

    Acts: in groups with valid and invalid rows, all-fail ones too; other parts of the reward are no longer
    seen.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 0.3
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.1, 0.5, 1.0)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return torch.where(torch.isnan(rewards), rewards, r.correct.to(rewards.dtype))

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        x = r.grouped(torch.where(torch.isnan(r.rewards), torch.nan, r.valid.to(r.rewards.dtype)))
        centred = x - torch.nanmean(x, dim=1, keepdim=True)
        std = torch.nanmean(centred**2, dim=1, keepdim=True).sqrt()
        return a + self.weight * _beside((centred / (std + 1e-4)).flatten(), a)


class AllFailEntropy(Mechanism):
    """In a group without a success, reinforce its uncertain tokens against its certain ones (POISE
    DFR-GRPO, arXiv 2603.23951).

    A_t = weight * (H_t - mean of H over the group's tokens) where p = 0, A elsewhere; the paper says no
    more than zero-centred token entropy. Default ours.

    Acts: on all-fail groups; raises entropy without direction, so a hard profile may drift to noise.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 0.2
    needs_entropy: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.05, 0.5, 1.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        if r.entropy is None:
            return a
        mask, entropy = r.mask.to(a.dtype), r.entropy.to(a.dtype)
        tokens = r.grouped(mask.sum(dim=1)).sum(dim=1).clamp(min=1.0)
        mean = r.spread(r.grouped((entropy * mask).sum(dim=1)).sum(dim=1) / tokens)
        signal = self.weight * (entropy - mean.unsqueeze(1)) * mask
        return torch.where((r.pass_rate() == 0).unsqueeze(1), signal, a if a.dim() == 2 else a.unsqueeze(1))


class EntropyAdvantage(Mechanism):
    """Add to each token's advantage a share of its entropy, too small to turn its sign (reasoning with
    exploration, arXiv 2506.14758).

    A_t = A + min(alpha H_t, |A| / kappa).

    Acts: on tokens with entropy in rows with an advantage; uniform groups stay silent, answers get wordy.
    """

    alpha: Annotated[float, Range(0.0, 10.0)] = 0.4
    kappa: Annotated[float, Range(1.0, 100.0)] = 2.0
    needs_entropy: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (0.1, 0.2, 1.0), "kappa": (1.5, 4.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        if r.entropy is None:
            return a
        a = a if a.dim() == 2 else a.unsqueeze(1)
        return a + torch.minimum(self.alpha * r.entropy.to(a.dtype), a.abs() / self.kappa) * r.mask


class KlInReward(Mechanism):
    """Charge the distance to the reference in the reward instead of the loss, by the k1 estimate of the
    whole row (InstructGPT, arXiv 2203.02155).

    r = r - coefficient * sum_t (logp_old,t - logp_ref,t). Default ours.

    Acts: where there is a reference (beta > 0); long rows pay more, and the group's std hides the price's
    scale.
    """

    coefficient: Annotated[float, Range(0.0, 1.0)] = 0.01
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"coefficient": (0.001, 0.003, 0.03)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        shaped = inner(rewards)
        if r.old_logp is None or r.ref_logp is None:
            return shaped
        log_ratio = (r.old_logp - r.ref_logp).to(shaped.dtype) * r.mask
        return shaped - self.coefficient * log_ratio.sum(dim=1)


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
