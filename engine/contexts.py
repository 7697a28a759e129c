"""What the hooks of a mechanism see: a batch of rollouts, a micro-batch in the loss, the figures of an update.

Part of the contract; algorithm files import these names from `engine.contract`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

State = dict[str, float | list[float]]
"""A mechanism's own memory: JSON numbers, saved and restored with every checkpoint."""


class Inner(Protocol):
    """The rest of the chain: takes the stage's value, gives what the stage would be without this hook."""

    def __call__(self, value: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Hyper:
    """What the profile fixes for every algorithm."""

    group_size: int
    max_length: int
    beta: float
    entropy_coef: float
    clip_low: float
    clip_high: float
    accumulation: int = 1
    """Micro-batches of one optimizer step."""


@dataclass(frozen=True)
class Norm:
    """Denominators of one whole optimizer step, expected over the generation batch: independent of the micro-batch
    split.
    """

    rows: float
    tokens: float


@dataclass
class _Context:
    hyper: Hyper
    step: int
    """Optimizer updates done so far."""
    progress: float
    """Share of the training that is done, in [0, 1]."""
    state: State = field(default_factory=dict)
    """The calling mechanism's own state."""
    generator: torch.Generator | None = None
    """The calling mechanism's own random generator: the global one moves the sampling."""

    def view(self, state: State, generator: torch.Generator | None) -> Any:
        """This context as one mechanism sees it: shared tensors, its own state and generator."""
        seen = copy.copy(self)
        seen.state, seen.generator = state, generator
        return seen

    def number(self, name: str) -> float:
        """A number of the calling mechanism's own state."""
        return _number(self.state[name])


@dataclass
class Rollouts(_Context):
    """One whole batch of rollouts before training on it; groups are consecutive rows."""

    rewards: Tensor = field(kw_only=True)
    """(B,) weighted sum of the reward parts."""
    parts: Mapping[str, Tensor] = field(kw_only=True)
    """Each (B,); NaN where a part does not apply."""
    part_weights: Mapping[str, float] = field(kw_only=True)
    valid: Tensor = field(kw_only=True)
    """(B,) bool: the answer could be read."""
    correct: Tensor = field(kw_only=True)
    """(B,) bool."""
    truncated: Tensor = field(kw_only=True)
    """(B,) bool: cut at max_length."""
    group: Tensor = field(kw_only=True)
    """(B,) long: index of the row's group."""
    lengths: Tensor = field(kw_only=True)
    """(B,) float: completion tokens."""
    mask: Tensor = field(kw_only=True)
    """(B,T): 1 on completion tokens."""
    old_logp: Tensor | None = field(default=None, kw_only=True)
    """(B,T) of the policy that generated; None when training is on-policy, unless a mechanism sets `needs_logp`."""
    sampler_logp: Tensor | None = field(default=None, kw_only=True)
    """(B,T) as the sampler reported them; None without vLLM."""
    ref_logp: Tensor | None = field(default=None, kw_only=True)
    """(B,T) of the reference; None when beta is 0."""
    entropy: Tensor | None = field(default=None, kw_only=True)
    """(B,T) token entropies, only when a mechanism sets `needs_entropy`: they cost an extra forward pass."""
    sampler_ratio: Tensor | None = field(default=None, kw_only=True)
    """TRL's own sampler correction, already clipped; None without vLLM."""
    shaped: Tensor = field(init=False)
    """(B,) the rewards after `shape_rewards`; set before the later stages run."""
    shipped: dict[str, Tensor] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        self.shaped = self.rewards

    def grouped(self, x: Tensor) -> Tensor:
        """(B,) -> (B/G, G)."""
        return x.view(-1, self.hyper.group_size)

    def spread(self, x: Tensor) -> Tensor:
        """One value a group (B/G,) -> one a row (B,)."""
        return x.repeat_interleave(self.hyper.group_size, dim=0)

    def pass_rate(self) -> Tensor:
        """(B,) share of correct rows in each row's group."""
        return self.spread(self.grouped(self.correct.float()).mean(dim=1))

    def ship(self, name: str, value: Tensor) -> None:
        """Send a per-row tensor (B, ...) along to the loss, where it is `m.shipped[name]`."""
        self.shipped[name] = value


@dataclass
class Minibatch(_Context):
    """One micro-batch inside the loss. Groups are torn across micro-batches: group facts come per row."""

    logp: Tensor = field(kw_only=True)
    """(B,T) with gradient."""
    old_logp: Tensor = field(kw_only=True)
    """(B,T); equal to logp.detach() when on-policy."""
    ref_logp: Tensor | None = field(kw_only=True)
    entropy: Tensor = field(kw_only=True)
    """(B,T) with gradient."""
    mask: Tensor = field(kw_only=True)
    """(B,T): 1 on completion tokens of rows that were not dropped."""
    advantages: Tensor = field(kw_only=True)
    """(B,1) or (B,T)."""
    group: Tensor = field(kw_only=True)
    """(B,) long: index of the row's group in the generation batch."""
    rewards: Tensor = field(kw_only=True)
    correct: Tensor = field(kw_only=True)
    valid: Tensor = field(kw_only=True)
    truncated: Tensor = field(kw_only=True)
    pass_rate: Tensor = field(kw_only=True)
    keep: Tensor | None = field(kw_only=True)
    """(B,) bool, or None when no row of the batch was dropped."""
    norm: Norm = field(kw_only=True)
    shipped: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)

    @property
    def lengths(self) -> Tensor:
        """(B,) kept completion tokens, at least 1."""
        return self.mask.sum(-1).clamp(min=1.0)

    def log_ratio(self) -> Tensor:
        """(B,T) log(policy / old policy)."""
        return self.logp - self.old_logp

    def grouped(self, x: Tensor) -> Tensor:
        """(B,) -> (B/G, G), for mechanisms with `whole_groups`."""
        return x.view(-1, self.hyper.group_size)


@dataclass(frozen=True)
class StepStats:
    """What a controller may see after an optimizer update; means over the update's tokens or rows."""

    step: int
    progress: float
    reward: float
    correct: float
    entropy: float
    kl: float
    length: float
    clip_fraction: float
    grad_norm: float
    state: State = field(default_factory=dict)

    def number(self, name: str) -> float:
        """A number of the calling mechanism's own state."""
        return _number(self.state[name])


def _number(value: float | list[float]) -> float:
    if isinstance(value, list):
        raise TypeError("this state is a list of numbers")
    return value
