"""The rungs of a run: where a training is scored before its end, with how many problems, and by how many trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rung:
    """One of them; the last is the whole training.

    Attributes:
        fraction: of a whole training, in (0, 1].
        updates: after which a training is scored here.
        seeds: trainings of each candidate that gets here.
        score: the profile's table for the scorer.
    """

    fraction: float
    updates: int
    seeds: int
    score: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """As the run's document has it."""
        return {"rung": self.fraction, "updates": self.updates, "seeds": self.seeds}


def ladder(profile: Mapping[str, Any]) -> tuple[Rung, ...]:
    """The rungs of a resolved profile, ascending; the whole training alone where it names none.

    A rung lies at a whole number of batches; those that fall together in a short training are one.
    """
    train, score, rungs = profile["train"], profile["score"], profile["search"].get("rungs") or {}
    each, whole, at = train["updates_per_batch"], train["updates"], rungs.get("at", ())
    fewer = {**score, **{key: rungs[key] for key in ("problems", "samples") if key in rungs}}
    seeds = [*rungs.get("seeds", ()), *[1] * (len(at) + 1)]
    below: dict[int, Rung] = {}
    for fraction, count in zip(at, seeds, strict=False):
        updates = max(1, round(fraction * whole / each)) * each
        if updates < whole:
            below.setdefault(updates, Rung(updates / whole, updates, count, fewer))
    return (*below.values(), Rung(1.0, whole, seeds[len(at)], score))
