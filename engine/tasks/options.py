"""Reading the options of a task set: each either as it should be, or one line that says what is wrong."""

from collections.abc import Mapping
from typing import Any

from engine.errors import PoiseError


def refuse_unknown(tasks: str, options: Mapping[str, Any], known: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Raise for an option that the task set does not have.

    Raises:
        PoiseError: it is named, with those there are.
    """
    if unknown := set(options) - set(known):
        raise PoiseError(f"unknown option {min(unknown)!r} of tasks {tasks!r}: use {', '.join(known)}")


def whole(tasks: str, options: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most`.

    Raises:
        PoiseError: it is something else.
    """
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise PoiseError(f"{name} of tasks {tasks!r} is {value!r}: give a whole number from 1 to {most}")
    return value


def part_weights(tasks: str, options: Mapping[str, Any], default: Mapping[str, float]) -> dict[str, float]:
    """The weights of the reward parts, single ones changed.

    Raises:
        PoiseError: no such part, or no usable weight.
    """
    changed = options.get("part_weights", {})
    if not isinstance(changed, Mapping):
        raise PoiseError(f"part_weights of tasks {tasks!r} is {changed!r}: give a table of part = weight")
    for name, weight in changed.items():
        if name not in default:
            raise PoiseError(f"unknown reward part {name!r} of tasks {tasks!r}: use one of {', '.join(default)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not -100 <= weight <= 100:
            raise PoiseError(f"weight of reward part {name!r} is {weight!r}: give a number from -100 to 100")
    return {**default, **{name: float(weight) for name, weight in changed.items()}}
