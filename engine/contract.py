"""The algorithm contract: what a file that defines an algorithm may use.

An algorithm is the root (GRPO) plus an ordered tuple of named mechanisms. A mechanism is a frozen dataclass whose
methods are named like the stages they hook; each hook is `f(ctx, value, inner)`. Calling `inner(value)` asks the rest
of the chain, ending in GRPO; transforming its answer is a *transformer*, never calling it is a *replacer*.

    class HalfKl(Mechanism):
        \"\"\"Halve the KL penalty.\"\"\"
        factor: float = 0.5
        def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
            return self.factor * inner(ratio)

    algorithm = Algorithm(name="HalfKl-GRPO", mechanisms=(HalfKl(),))

Replacers stand in the place of GRPO's own stage; transformers wrap them in the order of the tuple, the last outermost.
Two replacers of one stage are rejected. Shapes: B rows (completions), T completion tokens, G group size.
"""

from __future__ import annotations

import copy
import dis
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, dataclass_transform

import torch
from torch import Tensor

__all__ = [
    "CONTRACT_VERSION",
    "LOSS_STAGES",
    "ROLLOUT_STAGES",
    "Algorithm",
    "Hyper",
    "Inner",
    "Mechanism",
    "Minibatch",
    "Norm",
    "Rollouts",
    "State",
    "StepStats",
]

CONTRACT_VERSION = 1

ROLLOUT_STAGES: dict[str, str] = {
    "shape_rewards": "total rewards (B,) -> shaped rewards (B,)",
    "drop": "shaped rewards (B,) -> bool (B,): True removes the row from every denominator of the loss",
    "baseline": "shaped rewards (B,) -> baseline (B,) or (B,T), subtracted from them",
    "scale": "centred rewards -> the divisor (B,) or (B,T)",
    "advantages": "centred / divisor -> advantages (B,) or (B,T)",
    "sampler_weight": "advantages -> weight of each row or token against the sampler's bias (B,) or (B,T)",
}
LOSS_STAGES: dict[str, str] = {
    "ratio": "log(policy / old policy) (B,T) -> importance ratio (B,T) or (B,1)",
    "kl": "ratio -> per-token KL to the reference (B,T); only called when beta > 0",
    "surrogate": "ratio -> per-token policy loss (B,T) or (B,1), to minimise",
    "weights": "surrogate -> factor of each token's policy loss (B,T), numerator only",
    "aggregate": "per-token loss (B,T) -> this micro-batch's share of the loss (scalar)",
    "regularize": "aggregated loss -> scalar added to it (GRPO: minus entropy_coef times the mean entropy)",
}

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
    """(B,T) of the policy that generated; None when training is on-policy."""
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


@dataclass_transform(frozen_default=True)
class Mechanism:
    """One named change to GRPO. Annotated fields with defaults are its constants (int, float, bool or str)."""

    needs_entropy: ClassVar[bool] = False
    """Ask for `Rollouts.entropy`: costs one extra forward pass a batch."""
    whole_groups: ClassVar[bool] = False
    """The loss needs whole groups in one micro-batch (GVPO)."""
    local: ClassVar[bool] = False
    """The value depends on the split into micro-batches (BNPO, quantiles)."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True)(cls)

    @property
    def name(self) -> str:
        """The name it is switched off by: its class's."""
        return type(self).__name__

    def initial_state(self) -> State:
        """The declared state at the start of a training."""
        return {}

    def params(self) -> dict[str, Any]:
        """Its constants by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def hooks(self) -> dict[str, Callable[..., Tensor]]:
        """Its stage hooks by name, in the order of the pipeline."""
        return {s: getattr(self, s) for s in (*ROLLOUT_STAGES, *LOSS_STAGES) if hasattr(self, s)}

    def replaces(self, stage: str) -> bool:
        """Whether the hook never uses its `inner`, so that it stands in the place of GRPO's own stage."""
        hook = getattr(type(self), stage)
        inner = hook.__code__.co_varnames[3]
        return not any(inner in _names(i.argval) for i in dis.get_instructions(hook))


def _number(value: float | list[float]) -> float:
    if isinstance(value, list):
        raise TypeError("this state is a list of numbers")
    return value


def _names(argval: object) -> tuple[object, ...]:
    return argval if isinstance(argval, tuple) else (argval,)


@dataclass(frozen=True)
class Algorithm:
    """GRPO plus an ordered tuple of mechanisms; the empty tuple is GRPO itself."""

    name: str
    mechanisms: tuple[Mechanism, ...] = ()

    def without(self, off: tuple[str, ...] | list[str]) -> Algorithm:
        """The same algorithm with the named mechanisms absent.

        Raises:
            KeyError: a name that no mechanism of this algorithm has.
        """
        unknown = set(off) - {m.name for m in self.mechanisms}
        if unknown:
            raise KeyError(f"{self.name} has no mechanism named {', '.join(sorted(unknown))}")
        return Algorithm(self.name, tuple(m for m in self.mechanisms if m.name not in off))
