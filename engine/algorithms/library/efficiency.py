"""Length in the advantage: what a row earns or loses by being short once outcomes are settled."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Range, Rollouts


class SolvedLengthPenalty(Mechanism):
    """Length counts only where the group already succeeds: correct rows earn by their z-scored brevity
    times the pass rate (the efficiency part of POISE DACE-GRPO, arXiv 2603.23951).

    A = A + weight * p * (mean - L) / (std + 1e-4) for correct rows, mean and population std of L over the
    correct of the group. Default ours.

    Acts: in groups with two correct rows of different length; a weight near 1 overrules the outcome in
    solved groups.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 0.2
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.1, 0.4)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        lengths = r.lengths.to(a.dtype)
        mean, std = _over_correct(r, lengths)
        bonus = r.pass_rate().to(a.dtype) * (mean - lengths) / (std + 1e-4)
        return a + self.weight * _beside(bonus * r.correct, a)


class CorrectBrevity(Mechanism):
    """A stream of its own for efficiency, normalised among the correct rows whatever the pass rate: a
    reconstructed part of CDA-GRPO (POISE, arXiv 2603.23951, prose only).

    A = A + weight * (mean - L) / (std + 1e-4) for correct rows, mean and population std of L over the
    correct of the group. Default ours.

    Acts: in groups with two correct rows of different length; weighs brevity in hard groups as much as in
    solved ones.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 0.1
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.05, 0.2, 0.4)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        lengths = r.lengths.to(a.dtype)
        mean, std = _over_correct(r, lengths)
        return a + self.weight * _beside((mean - lengths) / (std + 1e-4) * r.correct, a)


class LongCorrectPenalty(Mechanism):
    """Correct rows longer than the correct ones' mean lose, shorter ones gain nothing, and only as far as
    the group succeeds (POISE CAG-GRPO, arXiv 2603.23951).

    A = A + beta p^2 min((mu_L - L) / mu_L, 0) for correct rows, mu_L = mean length of the group's correct
    rows. Default ours.

    Acts: in groups with two correct rows of different length; pays for brevity only by punishing its
    absence.
    """

    beta: Annotated[float, Range(0.0, 10.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"beta": (0.1, 0.25, 1.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        lengths = r.lengths.to(a.dtype)
        mean, _ = _over_correct(r, lengths)
        excess = ((mean - lengths) / mean.clamp(min=1.0)).clamp(max=0.0)
        return a + self.beta * _beside(r.pass_rate().to(a.dtype) ** 2 * excess * r.correct, a)


class RelativeBrevity(Mechanism):
    """Correct rows earn or lose by their length relative to the correct ones' mean, scaled by the squared
    pass rate (POISE DCBE-GRPO, arXiv 2603.23951).

    A = A + weight p^2 (mu_L - L) / (mu_L + 1e-4) for correct rows, mu_L = mean length of the group's
    correct rows. Default ours.

    Acts: in groups with two correct rows of different length; the paper's DCBE collapsed to 27.8, answers
    grew.
    """

    weight: Annotated[float, Range(0.0, 10.0)] = 0.2
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"weight": (0.1, 0.5, 1.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        lengths = r.lengths.to(a.dtype)
        mean, _ = _over_correct(r, lengths)
        index = torch.where(r.correct, (mean - lengths) / (mean + 1e-4), 0.0)
        return a + self.weight * _beside(r.pass_rate().to(a.dtype) ** 2 * index, a)


class LengthExponent(Mechanism):
    """Weigh successes by their relative length and failures by its inverse, so that long reasoning is
    trusted (POISE MSA-GRPO, arXiv 2603.23951).

    A = A ratio^power if A > 0, A ratio^-power if A < 0; ratio = L / mean length of the group. Default ours.

    Acts: where lengths of a group differ; length may grow, a negative power turns it round.
    """

    power: Annotated[float, Range(-2.0, 2.0)] = 0.2
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"power": (-0.2, 0.1, 0.5)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * _beside(_relative_length(r, a), a) ** (self.power * torch.sign(a))


class GroupLengthAdjustment(Mechanism):
    """Divide advantages by the row's length relative to its group: a GLA-GRPO reconstructed from nothing
    but its letters, read as group length adjusted (POISE, arXiv 2603.23951).

    A = A / clip(L / mean length of the group, 1 / limit, limit). Default ours.

    Acts: where lengths of a group differ; short rows of both signs weigh more, on top of GRPO's mean over
    tokens.
    """

    limit: Annotated[float, Range(1.0, 20.0)] = 2.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"limit": (1.25, 4.0)}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a / _beside(_relative_length(r, a), a).clamp(1 / self.limit, self.limit)


def _relative_length(r: Rollouts, like: Tensor) -> Tensor:
    """(B,) length over the mean length of the row's group; a row has a token at least."""
    x = r.grouped(r.lengths.to(like.dtype)).clamp(min=1.0)
    return (x / x.mean(dim=1, keepdim=True)).flatten()


def _over_correct(r: Rollouts, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population std of figures (B,) over the correct rows of each row's group, both (B,); 0 without any."""
    correct, x = r.grouped(r.correct.to(x.dtype)), r.grouped(x)
    n = correct.sum(dim=1, keepdim=True).clamp(min=1.0)
    mean = (correct * x).sum(dim=1, keepdim=True) / n
    std = ((correct * (x - mean) ** 2).sum(dim=1, keepdim=True) / n).sqrt()
    return r.spread(mean.squeeze(1)), r.spread(std.squeeze(1))


def _beside(rows: Tensor, a: Tensor) -> Tensor:
    """Figures of rows (B,) in the precision of advantages (B,) or (B,T), shaped to meet them."""
    return rows.to(a.dtype) if a.dim() == 1 else rows.to(a.dtype).unsqueeze(1)
