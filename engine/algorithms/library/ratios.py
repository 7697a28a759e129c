"""What stands for the importance ratio: of a token, of a sequence, or of a sequence seen from a token."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range


class SequenceRatio(Mechanism):
    """One importance ratio a sequence, the geometric mean of its tokens' (GSPO, arXiv 2507.18071).

    s_i = exp(mean over tokens of log(pi / pi_old)), shape (B,1).

    Acts: off-policy only; s stays so close to one that GRPO's clip range hardly ever binds, so pair it with
    SequenceClip.
    """

    def ratio(self, m: Minibatch, log_ratio: Tensor, inner: Inner) -> Tensor:
        mean = (log_ratio * m.mask).sum(-1) / m.mask.sum(-1).clamp(min=1.0)
        return torch.exp(mean.unsqueeze(-1)).to(log_ratio.dtype)


class TokenSequenceRatio(Mechanism):
    """Each token carries its sequence's ratio and a gradient of its own (GSPO-token, arXiv 2507.18071).

    s_it = sg[s_i] * pi_t / sg[pi_t], s_i = exp(mean over tokens of log(pi / pi_old)), shape (B,T).

    Acts: off-policy only, and apart from SequenceRatio only where advantages differ within a row; clipping is
    then decided token by token on the value of the whole sequence.
    """

    def ratio(self, m: Minibatch, log_ratio: Tensor, inner: Inner) -> Tensor:
        mean = (log_ratio.detach() * m.mask).sum(-1, keepdim=True) / m.mask.sum(-1, keepdim=True).clamp(min=1.0)
        return (torch.exp(mean) * torch.exp(log_ratio - log_ratio.detach())).to(log_ratio.dtype)


class GeometricMeanRatio(Mechanism):
    """The geometric mean of a sequence's clipped token ratios is its weight, and nothing is clipped after
    that (GMPO, arXiv 2507.20673).

    s_i = exp(mean over tokens of c_t), c_t = min(log rho_t, high) where A > 0, max(log rho_t, -low)
    elsewhere; l = -s A.

    Acts: off-policy only, where single tokens drift beyond e^0.4; one outlier moves the weight of the whole
    row, though far less than it moves an arithmetic mean.
    """

    low: Annotated[float, Range(0.01, 2.0)] = 0.4
    high: Annotated[float, Range(0.01, 2.0)] = 0.4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.2, 0.8), "high": (0.2, 0.8)}

    def ratio(self, m: Minibatch, log_ratio: Tensor, inner: Inner) -> Tensor:
        clamped = torch.clamp(log_ratio, min=-self.low, max=self.high)
        one_sided = torch.where(m.advantages > 0, torch.minimum(log_ratio, clamped), torch.maximum(log_ratio, clamped))
        mean = (one_sided * m.mask).sum(-1) / m.mask.sum(-1).clamp(min=1.0)
        return torch.exp(mean).unsqueeze(-1).to(log_ratio.dtype)

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return -ratio * m.advantages
