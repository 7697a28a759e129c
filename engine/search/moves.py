"""Every change of a parent that is one step away: add, pair, cross over, tune, swap, remove, or take up an idea."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from engine.algorithms.catalogue import Entry, MechanismChoice, catalogue, conflicts
from engine.search.evidence import Evidence, lineage
from engine.search.gains import Gain

MOST = 5
"""Mechanisms in one algorithm: it should fit on a screen."""
MOST_GIFTS = 3
"""Mechanisms that one crossing brings over."""


@dataclass(frozen=True)
class Move:
    """One change of the parent."""

    kind: str
    mechanisms: tuple[MechanismChoice, ...]
    added: tuple[MechanismChoice, ...] = ()
    removed: tuple[MechanismChoice, ...] = ()
    tuned: tuple[MechanismChoice, ...] = ()
    """As they are afterwards."""
    donor: str | None = None
    """Name of the candidate, or the idea, that it crosses over with."""


@dataclass(frozen=True)
class Situation:
    """The evidence block of a prompt, read."""

    parent: Evidence
    candidates: tuple[Evidence, ...]
    tried: frozenset[str]
    """Digests of the sets of mechanisms that were proposed."""
    gains: Mapping[str, Gain]
    pool: Mapping[str, Entry]
    """The library, and the parent's own mechanisms."""
    inert: Sequence[frozenset[str]]
    """Sets of mechanisms in which verification found one that does nothing."""
    asked: Mapping[str, float]
    """By mechanism: how much the directive asks for it, in points; below zero to be left alone."""
    advised: Mapping[str, float]
    """By mechanism: how much symptoms, reflections and findings speak for it, in points."""
    own: Mapping[str, str]
    """The parent's file, by name of each mechanism that only it has."""
    direction: str = ""
    """What this proposal is asked to try, in a sentence that begins with the direction's id."""
    ideas: Sequence[tuple[str, tuple[MechanismChoice, ...]]] = ()
    """Open ideas: what they are called, and their mechanisms."""


def legal(now: Situation, mechanisms: Sequence[MechanismChoice]) -> bool:
    """Whether these mechanisms may be proposed together: few enough, known, and none in the way of another."""
    if not 0 < len(mechanisms) <= MOST or any(m.name not in now.pool for m in mechanisms):
        return False
    keys = {m.key for m in mechanisms}
    return not (any(inert <= keys for inert in now.inert) or conflicts([now.pool[m.name] for m in mechanisms]))


def crossed(
    base: Sequence[MechanismChoice], gifts: Sequence[MechanismChoice], kind: str = "cross", donor: str | None = None
) -> Move:
    """The base with mechanisms of another algorithm; one of the same name takes its place (`Algorithm.crossover`)."""
    left = {m.name: m for m in gifts}
    mine = tuple(left.pop(m.name, m) for m in base)
    new = tuple(left.values())
    return Move(kind, (*mine, *new), new, (), tuple(m for m, b in zip(mine, base, strict=True) if m is not b), donor)


def variants(entry: Entry) -> tuple[MechanismChoice, ...]:
    """The mechanism with its defaults, then with each other value of one constant."""
    return _library()[entry.name] if catalogue().get(entry.name) is entry else _variants(entry)


def _variants(entry: Entry) -> tuple[MechanismChoice, ...]:
    tunable = entry.tunable.items()
    others = (entry.choice(**{name: v}) for name, values in tunable for v in values if v != entry.params[name])
    return (entry.choice(), *others)


@cache
def _library() -> dict[str, tuple[MechanismChoice, ...]]:
    return {entry.name: _variants(entry) for entry in catalogue().values()}


def _add(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for entry in now.pool.values():
        if entry.name not in have:
            yield from (Move("add", (*base, choice), (choice,)) for choice in variants(entry))


def _pair(now: Situation) -> Iterator[Move]:
    """Two mechanisms at once that act on different stages: a bundle, as POISE's AV-GRPO was."""
    base, have = now.parent.mechanisms, {m.name for m in now.parent.mechanisms}
    new = [(variants(entry)[0], frozenset(entry.stages)) for entry in now.pool.values() if entry.name not in have]
    for (a, mine), (b, theirs) in combinations(new, 2):
        if mine.isdisjoint(theirs):
            yield Move("pair", (*base, a, b), (a, b))


def _cross(now: Situation) -> Iterator[Move]:
    """What another lineage has and the parent has not, or has with other constants: one mechanism, or some."""
    base, keys = now.parent.mechanisms, set(now.parent.keys.values())
    family = set(lineage(now.candidates, now.parent.id))
    for donor in now.candidates:
        if donor.scored and donor.id not in family:
            foreign = [m for m in donor.mechanisms if m.key not in keys]
            for number in range(1, min(len(foreign), MOST_GIFTS) + 1):
                yield from (crossed(base, gifts, donor=donor.name) for gifts in combinations(foreign, number))


def _tune(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    for i, m in enumerate(base):
        for name, values in now.pool[m.name].tunable.items() if m.name in now.pool else ():
            for value in values:
                if value != m.params.get(name):
                    changed = MechanismChoice(m.name, {**m.params, name: value})
                    yield Move("tune", (*base[:i], changed, *base[i + 1 :]), tuned=(changed,))


def _swap(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    """Another mechanism of a stage in the place of one that hooks it."""
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for i, m in enumerate(base):
        mine = set(now.pool[m.name].stages) if m.name in now.pool else set()
        for entry in now.pool.values():
            if entry.name not in have and not mine.isdisjoint(entry.stages):
                new = variants(entry)[0]
                yield Move("swap", (*base[:i], new, *base[i + 1 :]), (new,), (m,))


def _remove(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    yield from (Move("remove", base[:i] + base[i + 1 :], removed=(m,)) for i, m in enumerate(base))


def _idea(now: Situation) -> Iterator[Move]:
    """An open idea's mechanisms brought over to the parent, all of them."""
    keys = set(now.parent.keys.values())
    for name, mechanisms in now.ideas:
        if foreign := [m for m in mechanisms if m.key not in keys]:
            yield crossed(now.parent.mechanisms, foreign, "idea", name)


MAKERS: dict[str, Callable[..., Iterator[Move]]] = {
    "add": _add,
    "pair": _pair,
    "cross": _cross,
    "tune": _tune,
    "swap": _swap,
    "remove": _remove,
    "idea": _idea,
}
"""By kind: all changes of that kind, legal or not."""
