"""How far a ratio may go: hard clips, soft gates, caps, and what becomes of the gradient beyond them."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range


def gradient_only(ratio: Tensor) -> Tensor:
    """Ones whose gradient is that of log(ratio): ratio / sg[ratio]."""
    return ratio / ratio.detach().clamp(min=torch.finfo(ratio.dtype).tiny)


class ClipHigher(Mechanism):
    """PPO's clip with a wider upper bound, room for unlikely tokens (DAPO, arXiv 2503.14476).

    l = -min(rho A, clip(rho, 1 - low, 1 + high) A).

    Acts: off-policy only, on tokens with A > 0 whose ratio lies between the old and the new bound; too wide a
    bound lets single tokens run away.
    """

    low: Annotated[float, Range(0.0, 1.0)] = 0.2
    high: Annotated[float, Range(0.0, 10.0)] = 0.28
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (0.1, 0.3), "high": (0.4, 0.8)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        clipped = torch.clamp(ratio, 1 - self.low, 1 + self.high)
        return -torch.min(ratio * m.advantages, clipped * m.advantages)


class SequenceClip(Mechanism):
    """PPO's clip with the narrow range a sequence-level ratio needs (GSPO, arXiv 2507.18071).

    l = -min(s A, clip(s, 1 - low, 1 + high) A); LUSPO uses low 2e-3 and high 2.5e-3.

    Acts: off-policy only, beside SequenceRatio; on token ratios it clips nearly everything.
    """

    low: Annotated[float, Range(0.0, 1.0)] = 3e-4
    high: Annotated[float, Range(0.0, 10.0)] = 4e-4
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"low": (2e-3, 3e-3, 3e-2), "high": (2.5e-3, 4e-3, 4e-2)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        clipped = torch.clamp(ratio, 1 - self.low, 1 + self.high)
        return -torch.min(ratio * m.advantages, clipped * m.advantages)


class DualClip(Mechanism):
    """Bound the loss of unlikely-made-likely tokens with negative advantage at cap * |A| (dual-clip PPO,
    arXiv 1912.09729).

    l -> min(l, -cap A) where A < 0, l elsewhere.

    Acts: off-policy only, on tokens with A < 0 and rho > cap; beyond the cap a token that should be unlearned
    has no gradient at all.
    """

    cap: Annotated[float, Range(1.0, 100.0)] = 3.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.5, 2.0, 5.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        loss = inner(ratio)
        bound = -self.cap * m.advantages
        return torch.where(m.advantages < 0, torch.min(loss, bound), loss)


class RatioCap(Mechanism):
    """Cap the ratio before any surrogate sees it (INTELLECT-2's two-sided clip, TRL's `delta`, arXiv
    2505.07291).

    rho -> min(rho, delta), delta above 1 + the clip's upper bound.

    Acts: off-policy only, on tokens with A < 0 and rho > delta; with PPO's clip it is DualClip(cap=delta),
    with other surrogates it is not, and one that never reads its ratio does not notice it.
    """

    delta: Annotated[float, Range(1.3, 100.0)] = 4.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"delta": (1.5, 2.0, 10.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(torch.clamp(ratio, max=self.delta))


class ClippedWeight(Mechanism):
    """The clipped ratio only weighs the policy gradient, so that no token loses its gradient (CISPO, arXiv
    2506.13585).

    l = -sg[clip(rho, floor, cap)] A log pi; floor 0 and cap 5 as in TRL, 0.8 and 1.2 as in verl.

    Acts: everywhere, on-policy it is the plain policy gradient; nothing stops a token from moving on and on
    within one batch.
    """

    cap: Annotated[float, Range(1.0, 100.0)] = 5.0
    floor: Annotated[float, Range(0.0, 1.0)] = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.28, 2.0), "floor": (0.5, 0.8)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return -torch.clamp(ratio, min=self.floor, max=self.cap).detach() * m.advantages * m.logp


class SoftGate(Mechanism):
    """A sigmoid gate of the ratio instead of a hard clip, sharper for negative advantages (SAPO, arXiv
    2511.20347).

    l = -(4 / tau) sigmoid(tau (rho - 1)) A, tau = tau_positive where A > 0, tau_negative elsewhere.

    Acts: off-policy only, where the ratio leaves one on either side; tokens that the policy has dropped fade
    as well.
    """

    tau_positive: Annotated[float, Range(0.1, 100.0)] = 1.0
    tau_negative: Annotated[float, Range(0.1, 100.0)] = 1.05
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"tau_positive": (2.0, 4.0), "tau_negative": (2.0, 4.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        positive, negative = (m.advantages.new_tensor(tau) for tau in (self.tau_positive, self.tau_negative))
        tau = torch.where(m.advantages > 0, positive, negative)
        return -torch.sigmoid(tau * (ratio - 1)) * 4 / tau * m.advantages


class FlippedRatio(Mechanism):
    """Positive tokens are weighed by the inverse ratio, softly capped, so that unlikely ones learn most
    (ASPO, arXiv 2510.06062).

    l = -sg[w] (rho / sg[rho]) A, w = min(1 / rho, cap) where A > 0, rho elsewhere; none beyond PPO's clip.
    Cap ours.

    Acts: off-policy only, on tokens with A > 0 whose ratio left one; tokens that the policy drops are pulled
    back up to cap times as hard, which can amplify noise.
    """

    cap: Annotated[float, Range(1.0, 100.0)] = 3.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"cap": (1.5, 2.0, 5.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        positive = m.advantages > 0
        weight = torch.where(positive, torch.clamp(1 / ratio, max=self.cap), ratio).detach()
        beyond = torch.where(positive, ratio > 1 + m.hyper.clip_high, ratio < 1 - m.hyper.clip_low)
        return -torch.where(beyond, torch.zeros_like(weight), weight) * gradient_only(ratio) * m.advantages


class ClippedGradient(Mechanism):
    """Tokens beyond PPO's clip keep a gradient of fixed size instead of none (CE-GPPO, arXiv 2509.20712).

    l = -sg[w] (rho / sg[rho]) A, w = below (1 - low) where A < 0 is clipped, above (1 + high) where A > 0 is,
    rho else.

    Acts: off-policy only, on clipped tokens; below steers exploration and above exploitation, large values of
    both undo the trust region.
    """

    below: Annotated[float, Range(0.0, 2.0)] = 0.75
    above: Annotated[float, Range(0.0, 2.0)] = 1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"below": (0.25, 0.5, 1.0), "above": (0.25, 0.5, 0.75)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        low, high = 1 - m.hyper.clip_low, 1 + m.hyper.clip_high
        straight = gradient_only(ratio)
        kept = torch.where((m.advantages < 0) & (ratio < low), self.below * low * straight, ratio)
        kept = torch.where((m.advantages > 0) & (ratio > high), self.above * high * straight, kept)
        return -kept * m.advantages


class ProbabilityClip(Mechanism):
    """Stop a token once its probability, not its ratio, has moved far enough (DPPO's binary total variation,
    arXiv 2602.04879).

    l = -sg[min(rho, cap)] A log pi, none where A > 0 and pi - pi_old > delta or A <= 0 and pi - pi_old <
    -delta.

    Acts: off-policy only: likely tokens stop sooner than under PPO, rare ones hardly ever; the true
    divergence over the vocabulary may be larger than the sampled token shows.
    """

    delta: Annotated[float, Range(0.001, 1.0)] = 0.2
    cap: Annotated[float, Range(1.0, 1000.0)] = 20.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"delta": (0.05, 0.1, 0.4), "cap": (2.0, 5.0)}

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        moved = torch.exp(m.logp.detach()) - torch.exp(m.old_logp)
        inside = torch.where(m.advantages > 0, moved <= self.delta, moved >= -self.delta)
        weight = torch.clamp(ratio, max=self.cap).detach() * inside.to(ratio.dtype)
        return -weight * m.advantages * m.logp
