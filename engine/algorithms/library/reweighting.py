"""Which advantages count more: by size, by sign, by the group's pass rate, by likelihood, by history."""

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts, State


class AdvantageClip(Mechanism):
    """Clip advantages, so that no row moves the policy alone (POISE BN-GRPO and FA-GRPO, arXiv 2603.23951).

    A = clip(A, -limit, limit); the paper's limit is 3.

    Acts: on rare successes and rare failures; at G = 8 GRPO's largest is 2.47, so a limit of 3 needs
    another divisor.
    """

    limit: Annotated[float, Range(0.1, 20.0)] = 2.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"limit": (1.0, 1.5)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).clamp(-self.limit, self.limit)


class NegativeWeight(Mechanism):
    """Scale negative advantages, between positive-only and negative-heavy reinforcement (after PSR/NSR,
    arXiv 2506.01347).

    A = factor * A where A < 0. Default ours.

    Acts: on every row below its baseline; a small factor sharpens the policy early, a large one keeps it
    wide.
    """

    factor: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.1, 0.25, 2.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return torch.where(a < 0, self.factor * a, a)


class HardPromptWeight(Mechanism):
    """Weigh positive advantages of groups that rarely succeed, and negative ones of groups that rarely fail
    (GRPO-LEAD's difficulty weight, arXiv 2504.09696).

    w(p) = low + gain / (1 + exp(10 (p - 0.75))); A = A w(p) if A > 0, else A w(1 - p).

    Acts: in groups far from p = 0.75 above zero, far from p = 0.25 below; rare successes may be lucky
    guesses.
    """

    low: Annotated[float, Range(0.0, 5.0)] = 0.4
    gain: Annotated[float, Range(0.0, 10.0)] = 1.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"gain": (0.6, 2.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        p = _beside(r.pass_rate(), a)
        success = self.low + self.gain / (1 + torch.exp(10 * (p - 0.75)))
        failure = self.low + self.gain / (1 + torch.exp(10 * (0.25 - p)))
        return torch.where(a > 0, a * success, a * failure)


class DifficultyBoost(Mechanism):
    """Weigh a group's advantages by how often it fails (the accuracy part of POISE DACE-GRPO, arXiv
    2603.23951).

    A = A (1 + alpha (1 - p)). Default ours.

    Acts: in groups that are not solved, on all-fail ones most, where it scales style; combine with
    SilenceAllFail.
    """

    alpha: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (0.25, 1.0, 2.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * (1 + self.alpha * (1 - _beside(r.pass_rate(), a)))


class SilenceAllFail(Mechanism):
    """Scale advantages of groups without a correct row: what is left there is style, not signal
    (conditional normalization by group regime, POISE, arXiv 2603.23951).

    A = factor * A where p = 0. Default ours.

    Acts: on all-fail groups; a format that is still to be learned is learned only where something is right.
    """

    factor: Annotated[float, Range(0.0, 10.0)] = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.1, 0.3)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return torch.where(_beside(r.pass_rate(), a) == 0, self.factor * a, a)


class UniformDamping(Mechanism):
    """Scale advantages of groups that all fail or all pass, where only style is left (the regime factor of
    POISE MSA-GRPO, arXiv 2603.23951).

    A = alpha * A where p = 0 or p = 1, 1 * A in mixed groups. Default ours.

    Acts: on uniform groups; inert where rewards are correctness alone, as their advantages are zero there.
    """

    alpha: Annotated[float, Range(0.0, 10.0)] = 0.3
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"alpha": (0.0, 0.1, 0.6)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        p = _beside(r.pass_rate(), a)
        return torch.where((p == 0) | (p == 1), self.alpha * a, a)


class RegimeAdvantages(Mechanism):
    """Silence solved groups, penalise all-fail ones, leave mixed ones to the normalised residual: a
    reconstructed PR-GRPO (POISE, arXiv 2603.23951, prose only).

    A = 0 where p = 1; -penalty where p = 0; A elsewhere. Default ours.

    Acts: on uniform groups; the penalty has no direction, it only lowers what was sampled, so entropy may
    rise.
    """

    penalty: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"penalty": (0.1, 0.25, 1.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        p = _beside(r.pass_rate(), a)
        return torch.where(p == 0, -self.penalty, a * (p < 1))


class HistoryWeight(Mechanism):
    """Correct the bias of small groups by a weight against a running estimate of ability: more for
    successes on hard prompts, less for those on easy ones (HA-DW, arXiv 2601.08521).

    A = A * gain * exp(-sgn(A) sgn(p - C) |p - C|); then C <- (1 - e) C + e * accuracy, e = step * std of
    the last 50 C and this accuracy.

    Acts: in groups far from the ability C; needs some batches of memory. C starts at 0.5 (ours), and the
    accuracy counts in the std (ours), as a C that never moved would never move.
    """

    gain: Annotated[float, Range(0.1, 10.0)] = 1.3
    step: Annotated[float, Range(0.0, 10.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"gain": (1.0, 2.0), "step": (0.5, 1.0)}

    def initial_state(self) -> State:
        return {"ability": 0.5, "history": [0.5]}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a, ability = inner(value), r.number("ability")
        easier = _beside(r.pass_rate(), a) - ability
        self.learn(r, ability)
        return a * self.gain * torch.exp(-torch.sign(a) * easier)  # sgn(x) |x| = x

    def learn(self, r: Rollouts, ability: float) -> None:
        """Move the ability towards this batch's accuracy."""
        known = ~torch.isnan(r.rewards)
        history = r.state["history"]
        if not isinstance(history, list) or not known.any():
            return
        accuracy = r.correct[known].double().mean().item()
        past = [*history[-50:], accuracy]
        mean = sum(past) / len(past)
        weight = min(self.step * math.sqrt(sum((c - mean) ** 2 for c in past) / len(past)), 1.0)
        moved = (1 - weight) * ability + weight * accuracy
        r.state["ability"] = moved
        r.state["history"] = [*history, moved][-50:]


class UnlikelyReward(Mechanism):
    """Pay likely correct answers less than unlikely ones, so that training does not only sharpen what is
    already said (unlikeliness reward, arXiv 2506.02355).

    r = r (1 - beta (G - rank) / G) for correct rows, rank 1 = the highest sequence log-probability of the
    group.

    Acts: in groups with correct rows; long rows count as unlikely, so length may grow.
    """

    beta: Annotated[float, Range(0.0, 1.0)] = 0.25
    needs_logp: ClassVar[bool] = True
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"beta": (0.1, 0.5)}

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        shaped = inner(rewards)
        if r.old_logp is None:
            return shaped
        logp = r.grouped((r.old_logp.to(shaped.dtype) * r.mask).sum(dim=1))
        likelier = (logp.unsqueeze(1) > logp.unsqueeze(2)).sum(dim=2).flatten()
        size = r.hyper.group_size
        factor = 1 - self.beta * (size - 1 - likelier).to(shaped.dtype) / size
        return torch.where(r.correct, shaped * factor, shaped)


def _beside(rows: Tensor, a: Tensor) -> Tensor:
    """Figures of rows (B,) in the precision of advantages (B,) or (B,T), shaped to meet them."""
    return rows.to(a.dtype) if a.dim() == 1 else rows.to(a.dtype).unsqueeze(1)
