"""Token means: of an optimizer update, from the sums of its micro-batches, and of a batch's sampler."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.contract import Minibatch, Rollouts


def token_sums(m: Minibatch, ratio: Tensor, kl: Tensor | None) -> dict[str, Tensor]:
    """Sums over one micro-batch's tokens; `ratio` (B,T) or (B,1), `kl` the same or None.

    Clipped are tokens that GRPO's own clip would stop, whatever the algorithm does with them.
    """
    low, high = 1 - m.hyper.clip_low, 1 + m.hyper.clip_high
    clipped = ((ratio < low) & (m.advantages < 0)) | ((ratio > high) & (m.advantages > 0))
    ones = torch.ones_like(m.mask, dtype=torch.float32)
    return {
        "tokens": m.mask.sum(),
        "entropy": (m.entropy.detach() * m.mask).sum(),
        "kl": torch.zeros(()) if kl is None else (kl * ones * m.mask).sum(),
        "ratio": (ratio * ones * m.mask).sum(),
        "clipped": (clipped * ones * m.mask).sum(),
    }


def token_means(sums: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over the tokens of one optimizer update."""
    total = {k: float(sum(s[k].item() for s in sums)) for k in ("tokens", "entropy", "kl", "ratio", "clipped")}
    tokens = max(total["tokens"], 1.0)
    return {
        "entropy": total["entropy"] / tokens,
        "kl": total["kl"] / tokens,
        "ratio_mean": total["ratio"] / tokens,
        "clip_fraction": total["clipped"] / tokens,
    }


SAMPLER_CAP = 3.0
"""At which the ratio of trainer to sampler is cut off, token by token (TRL's default cap, token_truncate)."""


def sampler_means(r: Rollouts) -> dict[str, float]:
    """How far the sampler is from the trainer; nothing where the trainer itself sampled.

    Returns:
        `sampler_gap`, the mean absolute difference of their log-probabilities a token, in nats, and `sampler_kept`, the
        share of tokens whose ratio is not cut off.
    """
    if r.sampler_logp is None or r.old_logp is None:
        return {}
    drift = torch.nan_to_num((r.old_logp - r.sampler_logp) * r.mask, nan=0.0)
    tokens = max(r.mask.sum().item(), 1.0)
    cut = ((drift.exp() > SAMPLER_CAP) * r.mask).sum().item()
    return {"sampler_gap": drift.abs().sum().item() / tokens, "sampler_kept": 1.0 - cut / tokens}
