"""A profile on this machine: who samples, settings that make it fit, and how many trainings may run side by side."""

from __future__ import annotations

from typing import Any

from engine.errors import Exit, PoiseError
from engine.generation.choice import settled
from engine.loop.machine import gpu_names, this_machine
from engine.profiles.forecast import GIB, Machine, fitted, training_memory, trainings_at_once
from engine.profiles.shapes import shape_of


def fit(profile: dict[str, Any], machine: Machine | None = None) -> dict[str, Any]:
    """A resolved profile as it runs here, see `engine.generation.choice.settled` and `engine.profiles.forecast.fitted`.

    Raises:
        PoiseError: refused (4), not even the smallest micro-batch fits the card; or vLLM is asked for, not there (2).
    """
    machine, shape = machine or this_machine(), shape_of(profile["model"])
    made = fitted(settled(profile, bool(machine.gpu)), shape, machine)
    if shape is not None and machine.gpu and not trainings_at_once(made, shape, machine):
        needed = training_memory(made, shape, machine)
        parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in needed.parts().items())
        raise PoiseError(
            f"a training of {profile['name']} takes about {needed.total / GIB:.1f} GiB ({parts}), {machine.gpu} has "
            f"{machine.memory / GIB:.1f}: `poise doctor --profile {profile['name']}` says what to change",
            Exit.REFUSED,
        )
    return made


def bounded_workers(asked: int, profile: dict[str, Any], machine: Machine | None = None, cards: int = 0) -> int:
    """So many workers, or as many as fit into the memory of all cards (of the machine, where there is none).

    Args:
        asked: by the user, or the default.
        profile: resolved and fitted.
        cards: 0 for those of this machine.
    """
    machine, shape = machine or this_machine(), shape_of(profile["model"])
    if shape is None:
        return asked
    return min(asked, max(1, trainings_at_once(profile, shape, machine) * (cards or len(gpu_names()) or 1)))
