"""Directions: what each of a decision's parallel proposals is asked to try, chosen from the evidence and the seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from engine.algorithms.catalogue import catalogue
from engine.search.context import Request
from engine.search.evidence import lineage
from engine.search.symptoms import symptoms

FREE = "free"


@dataclass(frozen=True)
class Direction:
    """One way to go."""

    id: str
    """free, follow, repair, cross, tune, simplify, invent or idea: also the first word of the sentence."""
    sentence: str
    """What the prompt asks for."""


def directions(request: Request, seed: int, number: int) -> list[Direction]:
    """As many directions as there are proposals to make; the same for the same request and seed.

    The directive is always among them; the others that make sense for this parent come in an order drawn from the
    seed, and begin again when there are not enough. A single proposal is free.
    """
    if number == 1:
        return [Direction(FREE, "")]
    found = sensible(request)
    first, rest = [d for d in found if d.id == "follow"], [d for d in found if d.id != "follow"]
    random.Random(f"{seed}:directions").shuffle(rest)
    order = [*first, *rest]
    return [order[i] if i < len(order) else _again(order[i % len(order)], i // len(order)) for i in range(number)]


def sensible(request: Request) -> list[Direction]:
    """Every direction that this parent and archive have something for; at least three."""
    parent = next(c for c in request.candidates if c.id == request.parent)
    found = [Direction(FREE, "free: change what the evidence speaks for most.")]
    if request.directive:
        found.append(
            Direction("follow", "follow: do what the researcher's directive asks for, as directly as you can.")
        )
    worst = symptoms(parent.curves)
    if worst and parent.curves is not None:
        told = f"{worst[0].name} ({worst[0].figures(parent.curves)})"
        found.append(Direction("repair", f"repair: {parent.name} suffers from this: {told}. Cure it."))
    else:
        found.append(Direction("repair", f"repair: find what holds {parent.name} back most and change that alone."))
    family = set(lineage(request.candidates, parent.id))
    if any(c.scored and c.mechanisms and c.id not in family for c in request.candidates):
        found.append(Direction("cross", "cross: bring in what made a candidate of another lineage good."))
    if parent.mechanisms:
        found.append(Direction("tune", "tune: keep the mechanisms, change their constants where the evidence points."))
    if len(parent.mechanisms) > 1:
        found.append(Direction("simplify", "simplify: take out or merge what does not carry its weight."))
    found.append(Direction("invent", f"invent: change the stage `{neglected(request)}`, which was hardly touched yet."))
    if request.ideas:
        found.append(Direction("idea", "idea: pick up one of the open ideas, improved if you can."))
    return found


def _again(direction: Direction, times: int) -> Direction:
    return Direction(
        direction.id, f"{direction.sentence} Proposal {times + 1} of this kind: make it unlike the others."
    )


def neglected(request: Request) -> str:
    """The stage that the fewest candidates hook, among those that library mechanisms hook; the first of equals."""
    entries = catalogue()
    known = Counter(stage for entry in entries.values() for stage in entry.stages)
    used = Counter(
        stage for c in request.candidates for m in c.mechanisms if m.name in entries for stage in entries[m.name].stages
    )
    # A stage with many known mechanisms that nobody tried is more neglected than one with a single mechanism.
    return min(known, key=lambda stage: (used[stage] / known[stage], -known[stage], stage))
