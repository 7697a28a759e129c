"""What the composer makes when it is free: the best by one draw of what may be true, a few changes from the parent."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import combinations

from engine.algorithms.catalogue import MechanismChoice, digest_of
from engine.search.beliefs import Beliefs, beliefs
from engine.search.gains import changes
from engine.search.moves import MOST, Move, Situation, crossed, legal, variants

REACH = 3
"""Mechanisms that are added, taken out or tuned, at most: a child that resembles its parent can be compared with it."""
UNKNOWN = 2
"""Of these, so many that were never tried: more would hide each other's effects."""
IN_VIEW = {True: 10, False: 4}
"""Known mechanisms, and unknown ones, that are tried in all combinations: the best of the draw."""


def combined(now: Situation, rng: random.Random) -> Move | None:
    """The best set in one draw that was never proposed and may be; None if there is none.

    What the directive asks for, and what symptoms, reflections and findings speak for, counts in points.
    """
    believed = beliefs(now.candidates)
    choices = _choices(now)
    drawn = believed.draw(choices, rng)
    worth = {
        m.key: value + now.asked.get(m.name, 0.0) + now.advised.get(m.name, 0.0)
        for m, value in zip(choices, drawn, strict=True)
    }
    parent = now.parent.mechanisms
    made = list(_within(parent, _in_view(choices, parent, worth, believed), believed))
    values = [sum(worth.get(m.key, 0.0) for m in mechanisms) for mechanisms in made]
    for i in sorted(range(len(made)), key=lambda i: (-values[i], i)):
        if digest_of(made[i]) not in now.tried and legal(now, made[i]):
            added, removed, tuned = changes(parent, made[i])
            return Move("combine", made[i], tuple(added), tuple(removed), tuple(tuned))
    return None


def _choices(now: Situation) -> list[MechanismChoice]:
    """The library's variants, and what candidates have of it; each once, in an order that repeats."""
    seen = (m for c in now.candidates for m in c.mechanisms if m.name in now.pool)
    return list({m.key: m for m in (*(v for e in now.pool.values() for v in variants(e)), *seen)}.values())


def _in_view(
    choices: Sequence[MechanismChoice],
    parent: Sequence[MechanismChoice],
    worth: Mapping[str, float],
    believed: Beliefs,
) -> list[MechanismChoice]:
    """The best that the parent has not; of unknown ones no two constants of the same mechanism."""
    mine = {m.key for m in parent}
    found: list[MechanismChoice] = []
    for known, number in IN_VIEW.items():
        able = [m for m in choices if m.key not in mine and believed.known(m) == known]
        if not known:  # sorted upwards, the best of a name is the one that stays
            able = list({m.name: m for m in sorted(able, key=lambda m: worth[m.key])}.values())
        found += nlargest(number, able, key=lambda m: worth[m.key])
    return found


def _within(
    parent: Sequence[MechanismChoice], gifts: Sequence[MechanismChoice], believed: Beliefs
) -> Iterator[tuple[MechanismChoice, ...]]:
    """All sets that these make of the parent by at most `REACH` changes."""
    for number in range(REACH + 1):
        for gone in combinations(range(len(parent)), number):
            kept = [m for i, m in enumerate(parent) if i not in gone]
            left = {parent[i].name for i in gone}
            for more in range(min(REACH - number, MOST) + 1):
                for new in combinations(gifts, more):
                    names = {m.name for m in new}
                    clean = len(names) == more and not names & left  # to take out and put back is to tune
                    if clean and number + more > 0 and sum(not believed.known(m) for m in new) <= UNKNOWN:
                        yield crossed(kept, new).mechanisms
