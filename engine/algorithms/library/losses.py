"""Whole losses that are no clipped ratio: gamma weights, regressions."""

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range, Rollouts


class GammaWeight(Mechanism):
    """A smooth gamma-shaped weight of the whole sequence's ratio, other for each sign of the advantage
    (VESPO, arXiv 2602.10693).

    l = -sg[phi(W)] A log pi, phi(W) = W^k e^(lambda (1 - W)), W = exp(sum over tokens of log(pi / pi_old)).

    Acts: off-policy only; W is a product over tokens, so long rows that drifted lose their weight. Reads the
    tokens' own log-ratios and TRL's sampler correction, not the ratio stage.
    """

    k_positive: Annotated[float, Range(0.1, 20.0)] = 2.0
    lambda_positive: Annotated[float, Range(0.1, 20.0)] = 3.0
    k_negative: Annotated[float, Range(0.1, 20.0)] = 3.0
    lambda_negative: Annotated[float, Range(0.1, 20.0)] = 2.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {
        "k_positive": (1.0, 3.0),
        "lambda_positive": (1.0, 2.0),
        "k_negative": (1.0, 2.0),
        "lambda_negative": (1.0, 3.0),
    }

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        if r.sampler_ratio is not None:
            r.ship("sampler_ratio", r.sampler_ratio)  # part of W, so not multiplied in a second time
        return torch.ones_like(r.rewards)

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        lowest = math.log(1e-8)
        drift = torch.sum(torch.clamp(m.log_ratio().detach(), -20.0, 20.0) * m.mask, dim=-1, keepdim=True)
        if "sampler_ratio" in m.shipped:
            sampler = torch.clamp(torch.log(m.shipped["sampler_ratio"]), lowest, 20.0)
            per_token = sampler.shape == m.mask.shape
            drift = drift + torch.sum(sampler * m.mask if per_token else sampler, dim=-1, keepdim=True)
        log_w = torch.clamp(drift, lowest, 20.0)
        w = torch.exp(log_w)
        positive = m.advantages >= 0
        k = torch.where(positive, w.new_tensor(self.k_positive), w.new_tensor(self.k_negative))
        rate = torch.where(positive, w.new_tensor(self.lambda_positive), w.new_tensor(self.lambda_negative))
        phi = torch.exp(rate + k * log_w - rate * w).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        return -phi * m.advantages * m.logp


class QuadraticDrift(Mechanism):
    """Policy gradient with a quadratic price on leaving the old policy, no ratio and no clip (DRO, arXiv
    2405.19107).

    l = -(A log pi - beta / 2 (log(pi / pi_old))^2). Default beta as in twinkle's port of verl.

    Acts: everywhere: on-policy it is the plain policy gradient, off-policy a pull that grows with the drift;
    tokens that drifted very far are pulled very hard. Never reads the ratio stage.
    """

    beta: Annotated[float, Range(0.0, 10.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"beta": (0.03, 0.3, 1.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return -(m.advantages * m.logp - self.beta / 2 * m.log_ratio() ** 2)


class GroupRegression(Mechanism):
    """Regress a group's differences in log-probability on its differences in reward: the optimum of the
    KL-regularized reward, from any sampler (GVPO, arXiv 2504.19599).

    L = sum_i (beta (l_i - mean l) - (A_i - mean A))^2 / (2 (G - 1)), l_i = sum over tokens of log(pi /
    pi_old).

    Acts: everywhere, best with NoStd, whose A is r - mean r; on-policy it is beta times the plain gradient,
    which only an optimizer that is blind to scale forgives. Needs whole groups, never reads the ratio stage.
    Default beta ours.
    """

    beta: Annotated[float, Range(0.001, 10.0)] = 0.1
    whole_groups: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"beta": (0.03, 0.3, 1.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        rows = (m.mask.sum(-1) > 0).to(m.advantages.dtype)
        drift = (m.log_ratio() * m.mask).sum(-1)
        advantages = (m.advantages * m.mask).sum(-1) / m.lengths
        weight = m.grouped(rows)
        count = weight.sum(dim=1, keepdim=True)

        def centred(x: Tensor) -> Tensor:
            grouped = m.grouped(x) * weight
            return (grouped - grouped.sum(dim=1, keepdim=True) / count.clamp(min=1.0)) * weight

        residual = self.beta * centred(drift) - centred(advantages)
        # The mean over rows follows: count / (count - 1) makes it the sum over a group divided by G - 1.
        loss = residual**2 / 2 * (count / (count - 1).clamp(min=1.0))
        return loss.view(-1, 1)
