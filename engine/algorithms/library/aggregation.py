"""From per-token losses to one number, and what is added to it."""

from typing import ClassVar

from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, State, StepStats


class ConstantLength(Mechanism):
    """Sum over tokens divided by rows times the length limit: no length bias (Dr.GRPO, arXiv 2503.20783)."""

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        total = (per_token * m.mask).sum()
        if m.keep is None:
            return total / (per_token.size(0) * m.hyper.max_length) / m.hyper.accumulation
        return total / max(m.norm.rows * m.hyper.max_length, 1.0)


class TokenMean(Mechanism):
    """Mean over all tokens of the optimizer step, long rows weigh more (DAPO, arXiv 2503.14476)."""

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return (per_token * m.mask).sum() / max(m.norm.tokens, 1.0)


class EntropyBonusScale(Mechanism):
    """Scale GRPO's entropy bonus; below one is POISE AV-GRPO's third change (arXiv 2603.23951)."""

    factor: float = 0.25
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.0, 0.25, 4.0, 10.0)}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(loss)


class AdaptiveEntropy(Mechanism):
    """Move the entropy coefficient by a step towards a target entropy, applied only below it (Skywork-OR1, arXiv
    2505.22312).
    """

    target: float = 0.3
    step: float = 0.002
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"target": (0.2, 0.3, 0.5)}

    def initial_state(self) -> State:
        return {"coefficient": self.step, "entropy": 1e9}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        below = m.number("entropy") <= self.target
        mean = (m.entropy * m.mask).sum() / m.mask.sum().clamp(min=1.0) / m.hyper.accumulation
        return -(m.number("coefficient") if below else 0.0) * mean

    def on_optimizer_step(self, s: StepStats) -> None:
        change = self.step if s.entropy <= self.target else -self.step
        s.state["coefficient"] = min(max(s.number("coefficient") + change, 0.0), 0.05)
        s.state["entropy"] = s.entropy


class KlScale(Mechanism):
    """Scale the KL penalty; zero removes the pull to the reference (DAPO, arXiv 2503.14476)."""

    factor: float = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.0, 0.3, 3.0)}

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(ratio)


class UnsolvedKl(Mechanism):
    """Keep the KL penalty only on rows of groups that mostly fail: solved groups may move (after POISE RF-GRPO's gate,
    arXiv 2603.23951).
    """

    pass_rate: float = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"pass_rate": (0.1, 0.5, 0.9)}

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(ratio) * (m.pass_rate < self.pass_rate).to(ratio.dtype).unsqueeze(1)
