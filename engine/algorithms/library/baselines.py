"""What a reward is compared with, and advantages that are functions of the outcomes alone."""

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class LeaveOneOut(Mechanism):
    """Compare a row with the mean of the other rows of its group, not with a mean it is part of (RLOO,
    arXiv 2402.14740).

    b_i = sum_{j != i} r_j / (G - 1), so r_i - b_i = G / (G - 1) * (r_i - mu).

    Acts: in every group that is not uniform; without a divisor it is a scale-twin of Dr.GRPO, which Adam
    mostly removes.
    """

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(rewards)
        n = (~torch.isnan(x)).sum(dim=1, keepdim=True)
        others = (torch.nansum(x, dim=1, keepdim=True) - x) / (n - 1).clamp(min=1)
        return torch.where(n > 1, others, x).flatten()


class LengthWeightedBaseline(Mechanism):
    """Weigh the baseline by length, which is optimal if every token has the same gradient norm (OPO, arXiv
    2505.23585).

    b = sum_i L_i r_i / sum_i L_i over the group; A_i = r_i - b.

    Acts: where rewards and lengths of a group go together; advantages no longer sum to zero in a group.
    """

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(rewards)
        weight = torch.where(torch.isnan(x), 0.0, r.grouped(r.lengths.to(rewards.dtype)))
        return r.spread((weight * torch.nan_to_num(x)).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0))


class TokenWhitening(Mechanism):
    """Whiten rewards over all tokens of the batch, without a baseline of the prompt's own (REINFORCE++,
    arXiv 2501.03262).

    A_i = (r_i - m) / sqrt(v + 1e-8); m, v = mean and variance (ddof=1) over the batch, each row counted
    once a token.

    Acts: on uniform groups too, which get the sign of their prompt; hard prompts are pushed down as a
    whole.
    """

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return _token_moments(r, rewards)[0].expand_as(rewards)

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return (_token_moments(r, centred)[1] + 1e-8).sqrt().expand_as(r.rewards)


class GroupTokenWhitening(Mechanism):
    """Subtract the group's baseline first, then whiten over all tokens of the batch (REINFORCE++-baseline,
    arXiv 2501.03262).

    d_i = r_i - mu; A_i = (d_i - m) / sqrt(v + 1e-8); m, v = mean and variance (ddof=1) of d over the
    batch's tokens.

    Acts: wherever groups differ in spread; the shift m gives uniform groups a small advantage if length and
    reward go together.
    """

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        base = inner(rewards)
        centred = (rewards if base.dim() == 1 else rewards.unsqueeze(1)) - base
        return base + _token_moments(r, centred)[0]

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return (_token_moments(r, centred)[1] + 1e-8).sqrt().expand_as(r.rewards)


class KalmanBaseline(Mechanism):
    """Follow a group's reward with a scalar Kalman filter and compare each row with what is known by then
    (KRPO, arXiv 2505.07527).

    P' = P + Q; K = P' / (P' + R); x <- x + K (r - x); P <- (1 - K) P'; A = (r - x) / (sqrt(P) + 1e-8), from
    x = 0, P = 1 in each group.

    Acts: in every group, uniform ones too, mostly on their first rows; depends on the order of the rows.
    """

    process: Annotated[float, Range(0.0, 1.0)] = 1e-5
    measurement: Annotated[float, Range(1e-6, 10.0)] = 1e-2
    ordered: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"process": (1e-4, 1e-2), "measurement": (0.1, 1.0)}

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return self.filter(r, rewards)[0]

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return self.filter(r, r.shaped)[1].sqrt() + 1e-8

    def filter(self, r: Rollouts, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate and its variance, both (B,), once each row was seen; rows without a reward are not."""
        seen = r.grouped(rewards)
        x, p = torch.zeros_like(seen[:, 0]), torch.ones_like(seen[:, 0])
        estimates, variances = [], []
        for z in seen.unbind(dim=1):
            predicted = p + self.process
            gain = torch.where(torch.isnan(z), 0.0, predicted / (predicted + self.measurement))
            x = x + gain * (torch.nan_to_num(z) - x)
            p = (1 - gain) * predicted
            estimates.append(x)
            variances.append(p)
        return torch.stack(estimates, dim=1).flatten(), torch.stack(variances, dim=1).flatten()


class QuantileBaseline(Mechanism):
    """Compare with a quantile of the group's rewards, not their mean: hard prompts learn from successes
    alone, easy ones from failures alone (QAE, arXiv 2509.22611).

    b = the smallest reward with at least a share K of the group at or below it; 0/1 rewards: A = r if p <=
    1 - K, else r - 1, before the divisor.

    Acts: in mixed groups, where most rows get zero; the switch at p = 1 - K is abrupt and sensitive to K.
    """

    quantile: Annotated[float, Range(0.05, 0.95)] = 0.4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"quantile": (0.2, 0.5, 0.6, 0.8)}

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(rewards).sort(dim=1).values  # NaN comes last
        n = (~torch.isnan(x)).sum(dim=1, keepdim=True)
        rank = torch.ceil(self.quantile * n.double() - 1e-9).long()
        return r.spread(x.gather(1, (rank - 1).clamp(min=0)).squeeze(1))


class BestOnly(Mechanism):
    """Only the best row of a group learns, by its lead over the second best (pass@k training, arXiv
    2503.19595).

    A = (r_best - r_second) / (sigma + eps) for the best row, 0 for the others.

    Acts: in groups with a single winner; silent once two rows share the best reward.
    """

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(rewards)
        known = torch.where(torch.isnan(x), -math.inf, x)
        best = known.topk(2, dim=1).values
        leads = (known == best[:, :1]) & torch.isfinite(best[:, 1:])
        return torch.where(leads, best[:, 1:], x).flatten()


class BlendedBaseline(Mechanism):
    """Compare with a blend of the group's and the whole batch's mean, so that uniform groups keep a signal
    (POISE SA-GRPO, arXiv 2603.23951).

    b = share * mu_group + (1 - share) * mu_batch. Default ours.

    Acts: on every group whose mean is not the batch's; hard prompts are pushed down as a whole (the paper's
    SA scored 34.5 against GRPO's 47.8).
    """

    share: Annotated[float, Range(0.0, 1.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (0.25, 0.75, 0.9)}

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return self.share * inner(rewards) + (1 - self.share) * torch.nanmean(rewards)


class OptimisticBaseline(Mechanism):
    """Compare with the group's mean as if some more rows had reached the batch's best reward: a
    reconstructed reading of a continuous optimistic baseline (POISE CDA-GRPO, arXiv 2603.23951).

    b = (sum_i r_i + prior * r_best) / (G + prior), r_best = the highest reward of the batch. Default ours.

    Acts: in every group but those at the best reward; all-fail groups are pushed down, so entropy may rise.
    """

    prior: Annotated[float, Range(0.0, 16.0)] = 1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"prior": (0.25, 0.5, 2.0)}

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(rewards)
        best = torch.where(torch.isnan(x), -math.inf, x).max().nan_to_num(neginf=0.0)
        n = (~torch.isnan(x)).sum(dim=1)
        return r.spread((torch.nansum(x, dim=1) + self.prior * best) / (n + self.prior).clamp(min=1e-6))


class PassAtK(Mechanism):
    """Reinforce what raises the chance that one of k tries is right, with the exact expectation over
    k-subsets of the group (arXiv 2508.10751).

    R = 1 - C(G-c,k)/C(G,k), s = sqrt(R (1-R)); A+ = (1-R)/s; A- = (1 - R - C(G-c-1,k-1)/C(G-1,k-1))/s; c
    correct rows.

    Acts: in groups with few successes; zero once more than G - k rows are correct, everywhere if k >= G.
    """

    k: Annotated[int, Range(1, 64)] = 4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"k": (2, 3, 6)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        size = r.hyper.group_size
        k = min(self.k, size)
        table = []
        for c in range(size + 1):
            fail = math.comb(size - c, k) / math.comb(size, k)
            s = max(math.sqrt(fail * (1 - fail)), 1e-6)
            without = math.comb(size - c - 1, k - 1) / math.comb(size - 1, k - 1) if c < size else 0.0
            table.append((fail / s, (fail - without) / s))
        right, wrong = r.rewards.new_tensor(table)[r.spread(r.grouped(r.correct).sum(dim=1))].unbind(dim=1)
        return torch.where(r.correct, right, wrong)


class SignedOutcomes(Mechanism):
    """Reinforce outcomes by their sign, without baseline or divisor, successes weaker than failures
    (PSR/NSR, arXiv 2506.01347).

    A = positive for a correct row, -1 for any other; positive = 0.1 is W-REINFORCE, 0 is NSR alone.

    Acts: on every row, whatever its group; failures dominate a hard batch, and entropy rises.
    """

    positive: Annotated[float, Range(0.0, 1.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"positive": (0.0, 0.3, 1.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.rewards.new_tensor([-1.0, self.positive])[r.correct.long()]


def _token_moments(r: Rollouts, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (ddof=1), both scalar, of figures (B,) or (B,T) over the batch's tokens, NaN ignored."""
    weight = (r.mask if x.dim() == 2 else r.mask.sum(dim=1)).to(x.dtype) * ~torch.isnan(x)
    x = torch.nan_to_num(x)
    n = weight.sum()
    mean = (weight * x).sum() / n.clamp(min=1.0)
    return mean, (weight * (x - mean) ** 2).sum() / (n - 1).clamp(min=1.0)
