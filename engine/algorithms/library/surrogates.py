"""Importance ratios, clipping and surrogate losses."""

from typing import ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch


class SequenceRatio(Mechanism):
    """One importance ratio a sequence, the geometric mean of its tokens' (GSPO, arXiv 2507.18071)."""

    def ratio(self, m: Minibatch, log_ratio: Tensor, inner: Inner) -> Tensor:
        mean = (log_ratio * m.mask).sum(-1) / m.mask.sum(-1).clamp(min=1.0)
        return torch.exp(mean.unsqueeze(-1))


class ClipHigher(Mechanism):
    """PPO's clip with a wider upper bound, room for unlikely tokens (DAPO, arXiv 2503.14476)."""

    low: float = 0.2
    high: float = 0.28
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.1, 0.2), "high": (0.28, 0.4, 0.8)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        clipped = torch.clamp(ratio, 1 - self.low, 1 + self.high)
        return -torch.min(ratio * m.advantages, clipped * m.advantages)


class SequenceClip(Mechanism):
    """PPO's clip with the narrow range a sequence-level ratio needs (GSPO, arXiv 2507.18071)."""

    low: float = 3e-4
    high: float = 4e-4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (3e-4, 3e-3, 3e-2), "high": (4e-4, 4e-3, 4e-2)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        clipped = torch.clamp(ratio, 1 - self.low, 1 + self.high)
        return -torch.min(ratio * m.advantages, clipped * m.advantages)


class ClippedWeight(Mechanism):
    """The clipped ratio only weighs the policy gradient, so that no token loses its gradient (CISPO, arXiv
    2506.13585).
    """

    cap: float = 5.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.28, 2.0, 5.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return -torch.clamp(ratio, max=self.cap).detach() * m.advantages * m.logp


class SoftGate(Mechanism):
    """A sigmoid gate of the ratio instead of a hard clip, sharper for negative advantages (SAPO, arXiv 2511.20347)."""

    tau_positive: float = 1.0
    tau_negative: float = 1.05
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {
        "tau_positive": (1.0, 2.0, 4.0),
        "tau_negative": (1.05, 2.0, 4.0),
    }

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        tau = torch.where(m.advantages > 0, self.tau_positive, self.tau_negative)
        return -torch.sigmoid(tau * (ratio - 1)) * 4 / tau * m.advantages


class DualClip(Mechanism):
    """Bound the loss of unlikely-made-likely tokens with negative advantage at cap * |A| (dual-clip PPO, arXiv
    1912.09729).
    """

    cap: float = 3.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.5, 3.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        loss = inner(ratio)
        bound = -self.cap * m.advantages
        return torch.where(m.advantages < 0, torch.min(loss, bound), loss)


class OffPolicyMask(Mechanism):
    """Leave out sequences with negative advantage that drifted too far from the policy that wrote them
    (DeepSeek-V3.2).
    """

    threshold: float = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"threshold": (0.02, 0.1, 0.5)}

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        drift = ((m.old_logp - m.logp.detach()) * m.mask).sum(1, keepdim=True) / m.mask.sum(1, keepdim=True).clamp(
            min=1.0
        )
        return inner(per_token) * ((m.advantages >= 0) | (drift <= self.threshold)).to(per_token.dtype)


class TopEntropyTokens(Mechanism):
    """Only tokens in the top share by entropy carry policy gradient: forking tokens (80/20, arXiv 2506.01939)."""

    share: float = 0.2
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"share": (0.2, 0.4, 0.6)}

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        entropy = m.entropy.detach()
        tokens = entropy[m.mask.bool()]
        threshold = torch.quantile(tokens, 1 - self.share) if tokens.numel() else entropy.new_zeros(())
        return inner(per_token) * ((entropy * m.mask >= threshold) & m.mask.bool()).to(entropy.dtype)
