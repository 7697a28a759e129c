"""What trains the wrong way, not at all, or far too slowly is found out on a toy within a fifth of a second."""

import time

import pytest
import torch
from torch import Tensor

from engine.algorithms.catalogue import catalogue
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, StepStats
from engine.verify.bandit import FALL, PATIENCE, RATE, RISE, TARGET, Adam, Learning, learn
from tests.verify.library import algorithm

GRPO = Algorithm("GRPO")

SLOW = {"BestOnly": "says nothing once two of a group are right, its known failure"}
"""Mechanisms of the library that do not learn the toy in time, and why."""


class Flip(Mechanism):
    """Every advantage with the wrong sign."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return -inner(value)


class Ascent(Mechanism):
    """The loss with the wrong sign."""

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return -inner(ratio)


class Scaled(Mechanism):
    """Advantages times a factor; only KL penalty and entropy bonus stay as they are."""

    factor: float = 0.0

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(value)


class Everything(Mechanism):
    """The whole loss times a factor."""

    factor: float = 0.01

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(per_token)

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(loss)


class Brevity(Mechanism):
    """Rewards short answers, whatever they say."""

    def shape_rewards(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.parts["brevity"]


class Detached(Mechanism):
    """A loss without a gradient."""

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(ratio).detach()

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(ratio).detach()

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return 0 * inner(loss).detach()


class DropEverything(Mechanism):
    """No row is left."""

    def drop(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(inner(value), dtype=torch.bool)


class HalfWeight(Mechanism):
    """A sampler weight of one half on every row."""

    def sampler_weight(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return 0.5 * inner(value)


def noise(name: str) -> Algorithm:
    """Advantages that know nothing; every name draws other ones."""

    def advantages(self: Mechanism, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.randn(value.shape, generator=r.generator, dtype=value.dtype)

    return algorithm(type(name, (Mechanism,), {"advantages": advantages})())


def test_grpo_learns_and_sets_the_pace() -> None:
    learned = learn(GRPO)
    assert learned.verdict == "fine"
    assert learned.start < 0.5 and learned.end >= TARGET
    assert learned.updates_to is not None and learned.bound == PATIENCE * learned.updates_to
    assert learned.curve[0] == learned.start and learned.curve[-1] == learned.end


@pytest.mark.parametrize("wrong", [Flip(), Ascent(), Brevity()], ids=lambda m: m.name)
def test_what_trains_away_from_the_reward_goes_in_the_wrong_direction(wrong: Mechanism) -> None:
    learned = learn(algorithm(wrong))
    assert learned.verdict == "wrong direction"
    assert learned.end < learned.start - FALL
    assert learned.updates_to is None


@pytest.mark.parametrize("idle", [Scaled(), Detached(), DropEverything()], ids=lambda m: m.name)
def test_what_ignores_the_reward_learns_nothing(idle: Mechanism) -> None:
    learned = learn(algorithm(idle))
    assert learned.verdict == "learns nothing"
    assert learned.end == pytest.approx(learned.start, abs=0.03)


@pytest.mark.parametrize("name", [f"Noise{i}" for i in range(6)])
def test_luck_is_not_taken_for_learning(name: str) -> None:
    assert learn(noise(name)).verdict == "learns nothing"


def test_a_hundredth_of_the_advantages_is_slow_because_kl_and_entropy_outweigh_them() -> None:
    """Adam removes a scale of the whole loss, not one of the advantages beside KL and entropy."""
    learned = learn(algorithm(Scaled(factor=0.01)))
    assert learned.verdict == "slow"
    assert learned.start + RISE < learned.end < 0.6
    whole, grpo = learn(algorithm(Everything())), learn(GRPO)
    assert whole.verdict == "fine"
    assert whole.updates_to == pytest.approx(grpo.updates_to, abs=4)


@pytest.mark.parametrize("name", catalogue())
def test_every_mechanism_of_the_library_learns_or_is_known_to_be_slow(name: str) -> None:
    assert learn(algorithm(name)).verdict == ("slow" if name in SLOW else "fine")


def test_the_optimizer_is_adam() -> None:
    ours, theirs = (torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_() for _ in range(2))
    adam, reference = Adam(ours), torch.optim.Adam([theirs], lr=RATE)
    for _ in range(5):
        for x in (ours, theirs):
            (x.grad,) = torch.autograd.grad((x**4 - x).sum(), [x])
        adam.step()
        reference.step()
    assert torch.allclose(ours, theirs, rtol=1e-12)


def test_the_sampler_weight_reaches_the_loss() -> None:
    assert learn(algorithm(HalfWeight(), Scaled(factor=2.0))).curve == pytest.approx(learn(GRPO).curve)
    assert learn(algorithm(HalfWeight())).curve != pytest.approx(learn(GRPO).curve)


def test_controllers_see_honest_figures_of_every_update() -> None:
    seen: list[StepStats] = []

    class Witness(Mechanism):
        def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
            return inner(loss)

        def on_optimizer_step(self, s: StepStats) -> None:
            seen.append(s)

    learned = learn(algorithm(Witness()))
    assert [s.step for s in seen] == list(range(1, (learned.updates_to or 0) + 1))
    assert [s.progress for s in seen] == sorted(s.progress for s in seen)
    assert learned.curve == learn(GRPO).curve  # watching changes nothing
    assert seen[-1].correct > seen[0].correct and seen[-1].reward > seen[0].reward
    assert seen[-1].entropy < seen[0].entropy and seen[-1].length < seen[0].length
    assert seen[0].kl == 0.0 < seen[1].kl < seen[-1].kl  # the reference is where it starts
    assert seen[0].clip_fraction == 0.0 < max(s.clip_fraction for s in seen[1::2])  # second updates are off-policy
    assert all(s.grad_norm > 0 for s in seen)


def test_the_same_numbers_come_out_in_any_order_and_under_any_global_seed() -> None:
    whole = algorithm("MeanScale", "CovarianceClip", "AdaptiveEntropy")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, grpo = learn(whole), learn(GRPO)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    torch.randn(7)
    assert (learn(GRPO), learn(whole)) == (grpo, first)


def test_even_what_never_learns_takes_less_than_half_a_second() -> None:
    learn(GRPO)
    began = time.process_time()
    learned = learn(algorithm("ValidityMask", "SoftGate", "AdaptiveEntropy", Scaled()))
    assert learned.verdict != "fine"
    assert time.process_time() - began < 0.5


def test_a_verdict_is_read_from_the_figures_alone() -> None:
    def verdict(end: float, updates_to: int | None = None) -> str:
        return Learning(0.4, end, updates_to, 100, (0.4, end)).verdict

    assert verdict(0.85, 40) == "fine"
    assert [verdict(x) for x in (0.79, 0.50, 0.48, 0.17, 0.15)] == [
        *("slow", "slow", "learns nothing", "learns nothing", "wrong direction")
    ]
