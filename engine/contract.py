"""The algorithm contract: what a file that defines an algorithm may use.

An algorithm is the root (GRPO) plus an ordered tuple of named mechanisms. A mechanism is a frozen dataclass whose
methods are named like the stages they hook; each hook is `f(ctx, value, inner)`. Calling `inner(value)` asks the rest
of the chain, ending in GRPO; transforming its answer is a *transformer*, never calling it is a *replacer*.

    class HalfKl(Mechanism):
        \"\"\"Halve the KL penalty.\"\"\"
        factor: Annotated[float, Range(0.0, 10.0)] = 0.5
        def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
            return self.factor * inner(ratio)

    algorithm = Algorithm(name="HalfKl-GRPO", mechanisms=(HalfKl(),))

Replacers stand in the place of GRPO's own stage; transformers wrap them in the order of the tuple, the last outermost.
Two replacers of one stage are rejected, unless the file orders them. Shapes: B rows (completions), T completion tokens,
G group size.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, dataclass_transform, get_type_hints

from torch import Tensor

from engine.contexts import Hyper, Inner, Minibatch, Norm, Rollouts, State, StepStats
from engine.stages import CONTRACT_VERSION, CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES

__all__ = [
    "CONTRACT_VERSION",
    "Algorithm",
    "Hyper",
    "Inner",
    "Mechanism",
    "Minibatch",
    "Norm",
    "Range",
    "Rollouts",
    "State",
    "StepStats",
]


@dataclass(frozen=True)
class Range:
    """Bounds of a constant, both included: `tau: Annotated[float, Range(0.1, 10.0)] = 1.0`."""

    low: float
    high: float


@dataclass_transform(frozen_default=True)
class Mechanism:
    """One named change to GRPO. Annotated fields with defaults are its constants (int, float, bool or str).

    Raises:
        TypeError: a constant of another type than its annotation says.
        ValueError: a constant outside its `Range`.
    """

    needs_entropy: ClassVar[bool] = False
    """Ask for `Rollouts.entropy`: costs one extra forward pass a batch."""
    needs_logp: ClassVar[bool] = False
    """Ask for `Rollouts.old_logp` on-policy too: costs one extra forward pass a batch there."""
    whole_groups: ClassVar[bool] = False
    """The loss needs whole groups, rows in order, in one micro-batch (GVPO)."""
    local: ClassVar[bool] = False
    """The loss depends on the split into micro-batches, or on the order of rows (BNPO, quantiles, random masks)."""
    ordered: ClassVar[bool] = False
    """The advantages depend on the order of the rows in a group (KRPO)."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True)(cls)

    def __post_init__(self) -> None:
        hints: dict[str, Any] = _hints(type(self))  # type: ignore[arg-type]
        for name, value in self.params().items():
            problem = _misfit(value, hints[name])
            if problem:
                raise (ValueError if "outside" in problem else TypeError)(f"{self.name}.{name} is {problem}")

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

    @classmethod
    def ranges(cls) -> dict[str, Range]:
        """Bounds by constant, of those that have them."""
        hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]
        found = {f.name: getattr(hints[f.name], "__metadata__", ()) for f in fields(cls)}  # type: ignore[arg-type]
        return {name: bounds for name, data in found.items() for bounds in data if isinstance(bounds, Range)}

    def hooks(self) -> dict[str, Callable[..., Tensor]]:
        """Its stage hooks by name, in the order of the pipeline."""
        return {s: getattr(self, s) for s in (*ROLLOUT_STAGES, *LOSS_STAGES) if hasattr(self, s)}

    def controls(self) -> bool:
        """Whether it changes its state after optimizer updates."""
        return hasattr(self, CONTROLLER)

    def replaces(self, stage: str) -> bool:
        """Whether the hook never uses its `inner`, so that it stands in the place of GRPO's own stage."""
        hook = getattr(type(self), stage)
        inner = hook.__code__.co_varnames[3]
        return not any(inner in _names(i.argval) for i in dis.get_instructions(hook))


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _misfit(value: object, hint: Any) -> str | None:
    wanted = getattr(hint, "__origin__", hint)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = number if wanted is float else isinstance(value, wanted) and (number or wanted is not int)
    if not fits:
        return f"{value!r}, not {wanted.__name__}"
    for bounds in getattr(hint, "__metadata__", ()):
        if isinstance(bounds, Range) and not (bounds.low <= value <= bounds.high):  # type: ignore[operator]
            return f"{value}, outside {bounds.low} to {bounds.high}"
    return None


def _names(argval: object) -> tuple[object, ...]:
    return argval if isinstance(argval, tuple) else (argval,)


@dataclass(frozen=True)
class Algorithm:
    """GRPO plus an ordered tuple of mechanisms; the empty tuple is GRPO itself."""

    name: str
    mechanisms: tuple[Mechanism, ...] = ()
    claims: tuple[str, ...] = ()
    """What it is meant to do that GRPO does not, in the words that verification can measure."""
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By stage: the replacers that may meet there, the last one is the one that stands."""

    def without(self, off: Iterable[str]) -> Algorithm:
        """The same algorithm with the named mechanisms absent.

        Raises:
            KeyError: a name that no mechanism of this algorithm has.
        """
        names = self._known(off)
        return replace(self, mechanisms=tuple(m for m in self.mechanisms if m.name not in names))

    def only(self, on: Iterable[str]) -> Algorithm:
        """The same algorithm with the named mechanisms alone, in their order.

        Raises:
            KeyError: a name that no mechanism of this algorithm has.
        """
        names = self._known(on)
        return replace(self, mechanisms=tuple(m for m in self.mechanisms if m.name in names))

    def crossover(self, other: Algorithm, names: Iterable[str]) -> Algorithm:
        """This algorithm with the named mechanisms of another; one of the same name takes its place.

        Raises:
            KeyError: a name that no mechanism of the other has.
        """
        gifts = {m.name: m for m in other.only(names).mechanisms}
        mine = tuple(gifts.pop(m.name, m) for m in self.mechanisms)
        return replace(self, name=f"{self.name} x {other.name}", mechanisms=(*mine, *gifts.values()))

    def _known(self, names: Iterable[str]) -> set[str]:
        wanted = {names} if isinstance(names, str) else set(names)
        unknown = wanted - {m.name for m in self.mechanisms}
        if unknown:
            raise KeyError(f"{self.name} has no mechanism named {', '.join(sorted(unknown))}")
        return wanted
