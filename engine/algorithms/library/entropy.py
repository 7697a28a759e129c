"""What the loss adds for entropy: fixed bonuses and controllers."""

from typing import Annotated, ClassVar

from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range, State, StepStats


class EntropyBonusScale(Mechanism):
    """Scale GRPO's entropy bonus; below one is POISE AV-GRPO's third change (arXiv 2603.23951).

    extra = -factor * entropy_coef * mean H. Default ours.

    Acts: only where the profile has an entropy coefficient; the mean is one of the micro-batch, as GRPO's
    own.
    """

    factor: Annotated[float, Range(0.0, 100.0)] = 0.25
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.0, 4.0, 10.0)}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(loss)


class EntropyBonus(Mechanism):
    """Add an entropy bonus of its own beside whatever GRPO adds, over all tokens of the optimizer step (PPO's
    entropy bonus, arXiv 1707.06347).

    extra -> extra - coefficient * sum over tokens of H / N, N the tokens of all rows of the optimizer step.

    Acts: everywhere; a coefficient that is right at the start is too large at the end, where it rewards
    noise.
    """

    coefficient: Annotated[float, Range(0.0, 1.0)] = 0.01
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"coefficient": (0.001, 0.003, 0.03)}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return inner(loss) - self.coefficient * (m.entropy * m.mask).sum() / max(m.norm.tokens, 1.0)


class AdaptiveEntropy(Mechanism):
    """Move the entropy coefficient by a step towards a target entropy, applied only below it (Skywork-OR1,
    arXiv 2505.22312).

    extra = -c * mean H where the last update's entropy <= target, 0 elsewhere; c -> c + step there, c - step
    above.

    Acts: from the second update on, where entropy has fallen to the target; a target far above what the
    policy has pays for noise until c reaches 0.05. Step ours.
    """

    target: Annotated[float, Range(0.0, 10.0)] = 0.3
    step: Annotated[float, Range(0.0, 0.05)] = 0.002
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"target": (0.1, 0.2, 0.5)}

    def initial_state(self) -> State:
        return {"coefficient": self.step, "entropy": 1e9}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        below = m.number("entropy") <= self.target
        mean = (m.entropy * m.mask).sum() / m.mask.sum().clamp(min=1.0) / m.hyper.accumulation
        return -((m.number("coefficient") if below else 0.0) * mean)

    def on_optimizer_step(self, s: StepStats) -> None:
        change = self.step if s.entropy <= self.target else -self.step
        s.state["coefficient"] = min(max(s.number("coefficient") + change, 0.0), 0.05)
        s.state["entropy"] = s.entropy


class AnnealedEntropy(Mechanism):
    """Hold entropy at a target that falls over the training, reconstructed: explore first, commit later
    (POISE DACE-GRPO, arXiv 2603.23951).

    extra = -c * mean H; after an update c -> c + step where entropy < start + (end - start) * progress, c -
    step above, within [0, cap]. Defaults ours.

    Acts: everywhere, the coefficient begins at one step; the fall of the target is the profile's length, so a
    short training anneals fast.
    """

    start: Annotated[float, Range(0.0, 10.0)] = 0.6
    end: Annotated[float, Range(0.0, 10.0)] = 0.1
    step: Annotated[float, Range(0.0, 0.05)] = 0.002
    cap: Annotated[float, Range(0.0, 1.0)] = 0.05
    local: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"start": (0.3, 1.0), "end": (0.0, 0.3)}

    def initial_state(self) -> State:
        return {"coefficient": self.step}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        mean = (m.entropy * m.mask).sum() / m.mask.sum().clamp(min=1.0) / m.hyper.accumulation
        return -(m.number("coefficient") * mean)

    def on_optimizer_step(self, s: StepStats) -> None:
        target = self.start + (self.end - self.start) * s.progress
        change = self.step if s.entropy < target else -self.step
        s.state["coefficient"] = min(max(s.number("coefficient") + change, 0.0), self.cap)
