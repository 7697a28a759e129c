"""What an algorithm does to a case: its advantages, its loss, and the gradients an optimizer would get."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, StepStats
from engine.verify.case import Case, minibatch, part_of, rollouts

SEED = 20260


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What an algorithm does to one case."""

    advantages: Tensor
    """(B,) or (B,T)."""
    loss: Tensor
    """Scalar."""
    grad_logp: Tensor
    """(B,T) gradient of the loss with respect to the policy's log-probabilities."""
    grad_entropy: Tensor
    """(B,T)."""

    def flat(self) -> Tensor:
        """Everything the optimizer could notice, as one vector of 2*B*T doubles."""
        return torch.cat([x.flatten().double() for x in (self.grad_logp, self.grad_entropy)])


def behave(algorithm: Algorithm, case: Case, pieces: int = 1, pipeline: Pipeline | None = None) -> Behaviour:
    """Run one case through all stages.

    Args:
        algorithm: what to run.
        case: what it sees.
        pieces: equal micro-batches the loss is computed in; B must divide by it.
        pipeline: runs in this one, whose state moves on; a fresh one without.
    """
    pipeline = Pipeline(algorithm, SEED) if pipeline is None else pipeline
    r = rollouts(case, pipeline.needs_logp, pipeline.needs_entropy)
    with torch.no_grad():
        made = pipeline.advantages(r)
    m = minibatch(case, r, made.values, made.dropped)
    size = len(case.correct) // pieces
    loss = torch.zeros((), dtype=m.logp.dtype)
    for rows in [slice(i * size, (i + 1) * size) for i in range(pieces)]:
        weight = None if made.sampler_weight is None else made.sampler_weight[rows]
        loss = loss + pipeline.loss(part_of(m, rows, pieces) if pieces > 1 else m, weight).value
    grads: list[Tensor | None] = [None, None]
    if loss.requires_grad:
        grads = list(torch.autograd.grad(loss, [m.logp, m.entropy], allow_unused=True))
    logp, entropy = (torch.zeros_like(x) if g is None else g for g, x in zip(grads, (m.logp, m.entropy), strict=True))
    return Behaviour(made.values.detach(), loss.detach(), logp, entropy)


def update_figures(step: int) -> StepStats:
    """What controllers are told of update `step` of five: entropy twice below and once far above any sane target."""
    return StepStats(
        step=step + 1,
        progress=step / 5,
        reward=0.2 * step,
        correct=0.1 + 0.2 * step,
        entropy=(0.05, 0.05, 4.0, 0.3, 0.1)[step % 5],
        kl=0.01 * step,
        length=8.0 + step,
        clip_fraction=0.05 * step,
        grad_norm=1.0 + step,
    )
