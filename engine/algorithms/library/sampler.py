"""Weights against a sampler that is not the trained policy to the last bit; in the place of TRL's own correction."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


def sampler_drift(r: Rollouts) -> Tensor | None:
    """(B,T) log(pi_old / pi_sampler), zero on padding and where the sampler gave none; None without such a sampler."""
    if r.sampler_logp is None or r.old_logp is None:
        return None
    return torch.nan_to_num((r.old_logp - r.sampler_logp) * r.mask, nan=0.0).to(r.rewards.dtype)


class TokenTis(Mechanism):
    """Weigh each token by how likely it is for the trainer against the sampler, truncated (TIS, the V-trace
    truncation of arXiv 1802.01561).

    w_t = min(exp(logp_old - logp_sampler), cap). Default ours.

    Acts: only where a sampler of its own (vLLM) reports log-probabilities, ones elsewhere; biased, since a
    token's weight ignores the tokens before it.
    """

    cap: Annotated[float, Range(1.0, 100.0)] = 2.0
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.5, 3.0, 5.0)}

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        drift = sampler_drift(r)
        return torch.ones_like(r.rewards) if drift is None else torch.exp(drift).clamp(max=self.cap)


class SequenceTis(Mechanism):
    """Weigh each row by how likely it is for the trainer against the sampler, truncated (sequence-level TIS,
    the V-trace truncation of arXiv 1802.01561).

    w_i = min(exp(sum over tokens of logp_old - logp_sampler), cap). Default ours.

    Acts: only where a sampler of its own (vLLM) reports log-probabilities, ones elsewhere; the product over
    tokens makes long rows vanish.
    """

    cap: Annotated[float, Range(1.0, 100.0)] = 2.0
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.5, 3.0, 5.0)}

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        drift = sampler_drift(r)
        return torch.ones_like(r.rewards) if drift is None else torch.exp(drift.sum(-1)).clamp(max=self.cap)


class TokenMis(Mechanism):
    """Tokens on which trainer and sampler disagree too much are left out, the others weighed (token-level
    MIS, IcePop, arXiv 2510.18855).

    w_t = rho_t where low <= rho_t <= high, 0 elsewhere, rho_t = exp(logp_old - logp_sampler).

    Acts: only where a sampler of its own (vLLM) reports log-probabilities, ones elsewhere; rare tokens, where
    the two disagree most, hardly train.
    """

    low: Annotated[float, Range(0.0, 1.0)] = 0.5
    high: Annotated[float, Range(1.0, 100.0)] = 5.0
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.0, 0.8), "high": (1.25, 2.0)}

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        drift = sampler_drift(r)
        if drift is None:
            return torch.ones_like(r.rewards)
        ratio = torch.exp(drift)
        return ratio.masked_fill((ratio < self.low) | (ratio > self.high), 0.0)


class SequenceMis(Mechanism):
    """Rows on which trainer and sampler disagree too much are left out, the others weighed (sequence-level
    MIS, arXiv 2510.26788).

    w_i = rho_i where low <= rho_i <= high, 0 elsewhere, rho_i = exp(sum over tokens of logp_old -
    logp_sampler); high as in TRL.

    Acts: only where a sampler of its own (vLLM) reports log-probabilities, ones elsewhere; long rows leave
    the range by many small steps and are lost.
    """

    low: Annotated[float, Range(0.0, 1.0)] = 0.0
    high: Annotated[float, Range(1.0, 100.0)] = 3.0
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.1, 0.3), "high": (2.0, 5.0)}

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        drift = sampler_drift(r)
        if drift is None:
            return torch.ones_like(r.rewards)
        ratio = torch.exp(drift.sum(-1))
        return ratio.masked_fill((ratio < self.low) | (ratio > self.high), 0.0)
