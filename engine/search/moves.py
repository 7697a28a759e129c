"""Every change of a parent that is one step away: add, pair, cross over, tune, swap, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.algorithms.catalogue import Entry, MechanismChoice, conflicts
from engine.search.evidence import Evidence, lineage
from engine.search.gains import Gain

MOST = 5
"""Mechanisms in one algorithm: it should fit on a screen."""


@dataclass(frozen=True)
class Move:
    """One change of the parent."""

    kind: str
    mechanisms: tuple[MechanismChoice, ...]
    donor: str | None = None
    """Name of the candidate it crosses over with."""


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
    """By mechanism: how much directive and reflection ask for it, in points; below zero to be left alone."""
    own: Mapping[str, str]
    """The parent's file, by name of each mechanism that only it has."""


def legal(now: Situation, mechanisms: Sequence[MechanismChoice]) -> bool:
    """Whether these mechanisms may be proposed together: few enough, known, and none in the way of another."""
    if not 0 < len(mechanisms) <= MOST or any(m.name not in now.pool for m in mechanisms):
        return False
    keys = {m.key for m in mechanisms}
    return not (any(inert <= keys for inert in now.inert) or conflicts([now.pool[m.name] for m in mechanisms]))


def _variants(entry: Entry) -> Iterator[MechanismChoice]:
    """The mechanism with its defaults, then with each other value of one constant."""
    yield entry.choice()
    for name, values in entry.tunable.items():
        yield from (entry.choice(**{name: v}) for v in values if v != entry.params[name])


def _add(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for entry in now.pool.values():
        if entry.name not in have:
            yield from (Move("add", (*base, choice)) for choice in _variants(entry))


def _pair(now: Situation) -> Iterator[Move]:
    """Two mechanisms at once that act on different stages: a bundle, as POISE's AV-GRPO was."""
    base, have = now.parent.mechanisms, {m.name for m in now.parent.mechanisms}
    new = [entry for entry in now.pool.values() if entry.name not in have]
    for i, a in enumerate(new):
        for b in new[i + 1 :]:
            if not set(a.stages) & set(b.stages):
                yield Move("pair", (*base, a.choice(), b.choice()))


def _cross(now: Situation) -> Iterator[Move]:
    """What another lineage has and the parent has not, one mechanism or all of it."""
    base, have = now.parent.mechanisms, {m.name for m in now.parent.mechanisms}
    family = set(lineage(now.candidates, now.parent.id))
    for donor in now.candidates:
        if donor.scored and donor.id not in family:
            foreign = tuple(m for m in donor.mechanisms if m.name not in have)
            for gift in [(m,) for m in foreign] + ([foreign] if len(foreign) > 1 else []):
                yield Move("cross", (*base, *gift), donor.name)


def _tune(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    for i, m in enumerate(base):
        for name, values in now.pool[m.name].tunable.items() if m.name in now.pool else ():
            for value in values:
                if value != m.params.get(name):
                    changed = MechanismChoice(m.name, {**m.params, name: value})
                    yield Move("tune", (*base[:i], changed, *base[i + 1 :]))


def _swap(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    """Another mechanism of a stage in the place of one that hooks it."""
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for i, m in enumerate(base):
        mine = set(now.pool[m.name].stages) if m.name in now.pool else set()
        for entry in now.pool.values():
            if entry.name not in have and mine & set(entry.stages):
                yield Move("swap", (*base[:i], entry.choice(), *base[i + 1 :]))


def _remove(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    yield from (Move("remove", base[:i] + base[i + 1 :]) for i in range(len(base)))


MAKERS: dict[str, Callable[..., Iterator[Move]]] = {
    "add": _add,
    "pair": _pair,
    "cross": _cross,
    "tune": _tune,
    "swap": _swap,
    "remove": _remove,
}
"""By kind: all changes of that kind, legal or not."""
