"""Which tokens and rows carry the policy loss, and how much of it."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range, Rollouts


def covariance(m: Minibatch) -> Tensor:
    """(B,T) each token's share in the covariance of advantage and log-probability over the micro-batch."""
    count = m.mask.sum().clamp(min=1.0)
    logp = m.logp.detach()
    advantages = m.advantages.expand_as(logp)
    centred = advantages - (advantages * m.mask).sum() / count
    return centred * (logp - (logp * m.mask).sum() / count)


class TopEntropyTokens(Mechanism):
    """Only tokens in the top share by entropy carry policy gradient: forking tokens (80/20, arXiv
    2506.01939).

    weight = 1 where H_t >= the (1 - share) quantile of H over the micro-batch's tokens, 0 elsewhere.

    Acts: everywhere; the quantile is one of the micro-batch at hand, and a policy whose entropy has collapsed
    learns from noise alone.
    """

    share: Annotated[float, Range(0.01, 1.0)] = 0.2
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (0.1, 0.4, 0.6)}

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        entropy = m.entropy.detach()
        entropy = entropy.to(torch.promote_types(entropy.dtype, torch.float32))
        tokens = entropy[m.mask.bool()]
        threshold = torch.quantile(tokens, 1 - self.share) if tokens.numel() else entropy.new_zeros(())
        return inner(per_token) * ((entropy * m.mask >= threshold) & m.mask.bool()).to(per_token.dtype)


class OffPolicyMask(Mechanism):
    """Leave out sequences with negative advantage that drifted too far from the policy that wrote them
    (DeepSeek-V3.2).

    weight = 0 where A < 0 and mean over tokens of log(pi_sampler / pi) > threshold, 1 elsewhere.

    Acts: off-policy only, on failed rows that the policy has nearly unlearned, or whose sampler disagrees
    with the trainer; a small threshold leaves successes alone to train on.
    """

    threshold: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"threshold": (0.02, 0.1, 1.0)}

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        if r.sampler_logp is not None:
            r.ship("sampler_logp", r.sampler_logp)
        return inner(value)

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        written = m.shipped.get("sampler_logp", m.old_logp)
        drift = torch.nan_to_num(written - m.logp.detach(), nan=0.0)
        drift = (drift * m.mask).sum(1, keepdim=True) / m.mask.sum(1, keepdim=True).clamp(min=1.0)
        return inner(per_token) * ((m.advantages >= 0) | (drift <= self.threshold)).to(per_token.dtype)


class CovarianceClip(Mechanism):
    """A random few of the tokens that lower entropy most are left out (Clip-Cov, arXiv 2505.22617).

    weight = 0 on max(1, share * N) tokens drawn from those with low < c < high not clipped yet, c = (A - mean
    A)(logp - mean logp).

    Acts: everywhere that some token's covariance lies in the band; draws from the micro-batch at hand, and a
    batch without such tokens is untouched.
    """

    share: Annotated[float, Range(0.0, 0.5)] = 2e-4
    low: Annotated[float, Range(0.0, 100.0)] = 1.0
    high: Annotated[float, Range(0.0, 1000.0)] = 5.0
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (2e-3, 2e-2), "low": (0.3, 2.0)}

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        c, log_ratio = covariance(m), m.log_ratio().detach()
        ratio = torch.exp(log_ratio)
        clipped = (m.advantages > 0) & (ratio > 1 + m.hyper.clip_high)
        clipped = clipped | ((m.advantages < 0) & (ratio < 1 - m.hyper.clip_low))
        band = torch.nonzero(((c > self.low) & (c < self.high) & ~clipped & m.mask.bool()).flatten()).squeeze(1)
        count = max(int(self.share * m.mask.sum().item()), 1)
        drawn = band[torch.randperm(len(band), generator=m.generator)[:count].to(band.device)]
        weight = torch.ones_like(log_ratio).flatten().index_fill(0, drawn, 0.0).view_as(log_ratio)
        return inner(per_token) * weight.to(per_token.dtype)


class CovarianceKl(Mechanism):
    """The tokens that lower entropy most pay for leaving the old policy (KL-Cov, arXiv 2505.22617).

    l -> l + coefficient |log(pi / pi_old)| on the max(1, share * N) tokens with the largest (A - mean A)(logp
    - mean logp).

    Acts: off-policy only, on a handful of tokens of the micro-batch at hand. The paper's code drops PPO's
    clip beside it; here the surrogate stays what it was.
    """

    share: Annotated[float, Range(0.0, 0.5)] = 2e-4
    coefficient: Annotated[float, Range(0.0, 100.0)] = 1.0
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (2e-3, 2e-2), "coefficient": (0.1, 10.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        loss = inner(ratio)
        c = covariance(m).masked_fill(~m.mask.bool(), -torch.inf).flatten()
        count = min(max(int(self.share * m.mask.sum().item()), 1), int(m.mask.sum().item()))
        top = torch.zeros_like(c).index_fill(0, torch.topk(c, count).indices, 1.0).view_as(m.logp)
        return loss + (self.coefficient * m.log_ratio().abs() * top).to(loss.dtype)
