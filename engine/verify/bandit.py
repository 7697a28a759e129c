"""Does training with an algorithm raise the probability of what is rewarded? Shown on a toy that learns in a blink.

Sixteen prompts, a table of logits for each prompt and position, five symbols of which one ends the answer. An answer is
right when it starts with its prompt's own symbol and ends in time. Rewards, reference, clipping and two updates a batch
are those of a real training, and so is the way through the pipeline; only the model is a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Minibatch, StepStats
from engine.verify.behave import SEED
from engine.verify.case import Case, minibatch, rollouts
from engine.verify.regimes import HYPER, WEIGHTS

PROMPTS, TOKENS, SYMBOLS, END = 16, 6, 5, 0
HEAD_START = 1.0
"""Added to the right symbol's first logit: the mean probability starts at about 0.42, high enough to show a fall."""
RATE = 0.15
"""Adam's learning rate: large enough for a batch's second update to meet the clip, as in training."""
UPDATES_PER_BATCH = 2
TARGET = 0.8
"""Mean probability of the right symbol that counts as learned."""
PATIENCE = 10
"""How many times GRPO's own number of updates an algorithm may take; with the top fifth of tokens alone it is seven."""
RISE, FALL = 0.09, 0.24
"""What luck can do: 48 trainings of 100 updates on advantages of pure noise ended 0.22 below to 0.09 above their start
(noise flattens the head start); a wrong sign ends 0.25 to 0.39 below it.
"""


@dataclass(frozen=True)
class Learning:
    """How one training on the toy went."""

    start: float
    """Mean probability of the right symbol before the first update."""
    end: float
    updates_to: int | None
    """Updates until it passed TARGET; None if it never did."""
    bound: int
    """Updates it was given."""
    curve: tuple[float, ...]
    """The probability before the first batch and after every batch, up to the one that passed."""

    @property
    def verdict(self) -> str:
        """`fine`, `slow`, `learns nothing` or `wrong direction`."""
        if self.updates_to is not None:
            return "fine"
        if self.end > self.start + RISE:
            return "slow"
        return "wrong direction" if self.end < self.start - FALL else "learns nothing"


def learn(algorithm: Algorithm, updates: int | None = None) -> Learning:
    """Train on the toy until it is learned, or the updates are used up (PATIENCE times GRPO's own without a number)."""
    bound = PATIENCE * _grpo() if updates is None else updates
    g = torch.Generator().manual_seed(SEED)
    pipeline = Pipeline(algorithm, SEED)
    right = torch.randint(1, SYMBOLS, (PROMPTS,), generator=g)
    reference = 0.5 * torch.randn(PROMPTS, TOKENS, SYMBOLS, generator=g, dtype=torch.float64)
    reference[torch.arange(PROMPTS), 0, right] += HEAD_START
    logits = reference.clone().requires_grad_()
    adam = Adam(logits)
    curve = [_probability(logits, right)]
    step = 0
    while step < bound and curve[-1] < TARGET:
        symbols = _sample(logits.detach(), g)
        case = _graded(symbols, right)
        with torch.no_grad():
            case = _seen(case, logits, symbols, step / bound, step)
            case = replace(case, old_logp=case.logp, ref_logp=_read(reference, symbols)[0])
        r = rollouts(case)
        with torch.no_grad():
            made = pipeline.advantages(r)
        for _ in range(UPDATES_PER_BATCH):
            logp, entropy = _read(logits, symbols)
            now = replace(case, logp=logp.detach(), entropy=entropy.detach(), step=step, progress=step / bound)
            m = minibatch(now, r, made.values, made.dropped)
            loss = pipeline.loss(m, made.sampler_weight)
            logits.grad = None
            if loss.value.requires_grad:
                leaves = torch.autograd.grad(loss.value, [m.logp, m.entropy], allow_unused=True)
                # A product, because giving backward() its gradients imports sympy (0.6 s).
                total = torch.stack(
                    [(x * d).sum() for x, d in zip((logp, entropy), leaves, strict=True) if d is not None]
                )
                (logits.grad,) = torch.autograd.grad(total.sum(), [logits])
                adam.step()
            step += 1
            pipeline.on_optimizer_step(_stats(m, r.rewards, loss.ratio, loss.kl, logits.grad, step, step / bound))
        curve.append(_probability(logits, right))
    return Learning(curve[0], curve[-1], step if curve[-1] >= TARGET else None, bound, tuple(curve))


class Adam:
    """Adam with torch's defaults; torch.optim's own takes a second to import at its first step."""

    def __init__(self, weights: Tensor) -> None:
        self.weights, self.steps = weights, 0
        self.mean, self.square = (torch.zeros_like(weights, requires_grad=False) for _ in range(2))

    def step(self) -> None:
        """Move the weights by their gradient."""
        grad = self.weights.grad
        assert grad is not None
        self.steps += 1
        self.mean.lerp_(grad, 0.1)
        self.square.lerp_(grad * grad, 0.001)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        self.weights.data -= RATE * mean / (square.sqrt() + 1e-8)


@cache
def _grpo() -> int:
    done = learn(Algorithm("GRPO"), updates=1000).updates_to
    assert done is not None
    return done


def _sample(logits: Tensor, g: torch.Generator) -> Tensor:
    """(B,T) symbols, G rows a prompt, without the global generator."""
    cumulative = torch.softmax(logits, -1).cumsum(-1).unsqueeze(1)  # (P,1,T,S)
    drawn = torch.rand(PROMPTS, HYPER.group_size, TOKENS, 1, generator=g, dtype=torch.float64)
    return (drawn > cumulative).sum(-1).clamp(max=SYMBOLS - 1).view(-1, TOKENS)


def _read(logits: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies (B,T) of sampled symbols."""
    logp = torch.log_softmax(logits, -1)
    entropy = -(logp.exp() * logp).sum(-1)
    rows = logp.repeat_interleave(HYPER.group_size, 0)
    return rows.gather(-1, symbols.unsqueeze(-1)).squeeze(-1), entropy.repeat_interleave(HYPER.group_size, 0)


def _graded(symbols: Tensor, right: Tensor) -> Case:
    ended = symbols == END
    truncated = ~ended.any(1)
    lengths = torch.where(truncated, TOKENS, ended.double().argmax(1) + 1).double()
    correct = (symbols[:, 0] == right.repeat_interleave(HYPER.group_size)) & ~truncated
    empty = torch.zeros(symbols.shape, dtype=torch.float64)
    return Case(
        name="toy bandit",
        hyper=replace(HYPER, max_length=TOKENS),
        parts={"correct": correct.double(), "format": (~truncated).double(), "brevity": 1.0 - lengths / TOKENS},
        part_weights=WEIGHTS,
        correct=correct,
        valid=~truncated,
        truncated=truncated,
        lengths=lengths,
        mask=(torch.arange(TOKENS) < lengths.unsqueeze(1)).long(),
        logp=empty,
        old_logp=empty,
        entropy=empty,
    )


def _seen(case: Case, logits: Tensor, symbols: Tensor, progress: float, step: int) -> Case:
    logp, entropy = _read(logits, symbols)
    return replace(case, logp=logp, entropy=entropy, progress=progress, step=step)


def _probability(logits: Tensor, right: Tensor) -> float:
    first = torch.softmax(logits.detach()[:, 0], -1)
    return first.gather(1, right.unsqueeze(1)).mean().item()


def _stats(
    m: Minibatch, rewards: Tensor, ratio: Tensor, kl: Tensor | None, grad: Tensor | None, step: int, progress: float
) -> StepStats:
    """What the trainer tells controllers: means over the update's tokens or rows."""
    tokens = m.mask.sum().clamp(min=1.0)
    low, high = 1 - m.hyper.clip_low, 1 + m.hyper.clip_high
    clipped = ((ratio < low) & (m.advantages < 0)) | ((ratio > high) & (m.advantages > 0))

    def mean(x: Tensor) -> float:
        return ((x * m.mask).sum() / tokens).item()

    return StepStats(
        step=step,
        progress=progress,
        reward=rewards.mean().item(),
        correct=m.correct.double().mean().item(),
        entropy=mean(m.entropy.detach()),
        kl=0.0 if kl is None else mean(kl),
        length=m.lengths.mean().item(),
        clip_fraction=mean(clipped.double()),
        grad_norm=0.0 if grad is None else grad.norm().item(),
    )
