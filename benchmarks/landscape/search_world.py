"""The landscape as a search meets it: what may be proposed, what a training shows, what a decision sees.

Decisions go by the engine's rules: in rounds of `PARENTS`, each seeing the scores settled `LAG` slots before the first
of its round. A set that was proposed before is not proposed again, in the same round neither: the engine finds such
twins before they are trained, and what is counted here are trainings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.design import SUBSETS, SWITCHES
from benchmarks.landscape.table import TASKS
from benchmarks.landscape.views import Landscape
from engine.algorithms.catalogue import Entry, MechanismChoice, catalogue, digest_of
from engine.loop.settled import visible
from engine.profiles.schema import load_profile
from engine.search.evidence import Benchmark, Evidence
from engine.search.gains import Gain, mechanism_gains
from engine.search.moves import Situation, legal
from engine.search.select import round_of

Array = npt.NDArray[np.float64]

_SEARCH: dict[str, Any] = load_profile("tiny").resolved()["search"]
PARENTS, LAG = int(_SEARCH["parents"]), int(_SEARCH["lag"])
BUDGET = 64
"""Trainings of one search, the root's not counted."""


@cache
def pool() -> dict[str, Entry]:
    """The switches as the composer's whole library: the landscape's constants, and no others to tune."""
    entries = {m.name: catalogue()[m.name] for m in SWITCHES}
    return {
        m.name: replace(e, params={**e.params, **m.params}, tunable={}) for m in SWITCHES for e in [entries[m.name]]
    }


@cache
def mechanisms(subset: int) -> tuple[MechanismChoice, ...]:
    """Of a subset, with all constants spelled out, as moves have them."""
    return tuple(pool()[m.name].choice() for i, m in enumerate(SWITCHES) if subset >> i & 1)


def subset_of(made: Sequence[MechanismChoice]) -> int:
    """The reverse."""
    names = {m.name for m in made}
    return sum(1 << i for i, m in enumerate(SWITCHES) if m.name in names)


@cache
def digest(subset: int) -> str:
    """As the composer knows what was tried."""
    return digest_of(mechanisms(subset))


@cache
def within_reach() -> tuple[int, ...]:
    """Subsets that may be proposed, and the root: not those with more mechanisms than the engine puts in one file."""
    now = situation(evidence(0, None, 0.0, ()), (), frozenset(), {})
    return (0, *(s for s in range(1, SUBSETS) if legal(now, mechanisms(s))))


def name_of(subset: int) -> str:
    """Its id, and its name; a search never has a subset twice."""
    return f"s{subset:03d}"


def number_of(id: str) -> int:
    """The reverse."""
    return int(id[1:])


def evidence(subset: int, parent: Evidence | None, overall: float, tasks: Sequence[float]) -> Evidence:
    """A candidate as it stands in the archive once it has settled; a score of 0 is a training that failed."""
    rows = {t: Benchmark(float(v), float(v), float(v), "") for t, v in zip(TASKS, tasks, strict=False)}
    id = name_of(subset)
    done = Evidence(id, id, parent.id if parent else None, "scored", mechanisms(subset), float(overall), rows)
    done = replace(done, depth=parent.depth + 1 if parent else 0)
    return done if overall > 0 or parent is None else replace(done, status="failed", overall=None, benchmarks={})


def situation(
    parent: Evidence,
    candidates: tuple[Evidence, ...],
    tried: frozenset[str],
    gains: dict[str, Gain],
    direction: str = "",
) -> Situation:
    """What the composer is told: the archive and nothing of curves, reflections, ideas or a directive."""
    return Situation(parent, candidates, tried, gains, pool(), (), {}, {}, {}, direction)


@dataclass(frozen=True)
class Seen:
    """What the decisions of a round see."""

    round: int
    candidates: tuple[Evidence, ...]
    """In the order of decisions, the root first; without a result where that has not settled."""

    @cached_property
    def settled(self) -> tuple[Evidence, ...]:
        """Those that may be parents."""
        return tuple(c for c in self.candidates if c.eligible)

    @cached_property
    def gains(self) -> dict[str, Gain]:
        """The record of each mechanism."""
        return mechanism_gains(self.candidates)

    @cached_property
    def scores(self) -> dict[int, float]:
        """By subset, of all that settled with one."""
        return {number_of(c.id): c.overall for c in self.candidates if c.overall is not None}


ParentRule = Callable[[Seen, random.Random], Sequence[str]]
"""The parents of a round, `PARENTS` of them."""
ChildRule = Callable[[Seen, frozenset[int], str, random.Random], tuple[str, int]]
"""The parent and the next subset, from what is seen, what was proposed so far (never again) and the round's parent."""


@dataclass(frozen=True)
class Strategy:
    """A way to search; `parents` makes a rule for one search, which may remember."""

    name: str
    parents: Callable[[int], ParentRule]
    child: ChildRule


@dataclass(frozen=True)
class World:
    """One repetition: which training of each subset a search would see."""

    seen: Array
    """(SUBSETS,)"""
    tasks: Array
    """(SUBSETS, tasks)"""


def world(landscape: Landscape, seed: int, common: bool = False) -> tuple[World, npt.NDArray[np.intp]]:
    """A repetition's, with the seed of each subset that it shows: drawn each on its own, or one for all (`common`)."""
    rng = np.random.default_rng([20, seed])
    shape = landscape.end.shape
    which = rng.integers(shape[1], size=1 if common else shape[0]).repeat(shape[0] if common else 1)
    rows = np.arange(shape[0])
    return World(landscape.end[rows, which], landscape.tasks[rows, which]), which


def search(strategy: Strategy, world: World, seed: int, budget: int = BUDGET) -> list[int]:
    """The subsets in the order they were trained, the root first; `budget` + 1 of them."""
    rng = random.Random(f"{strategy.name}:{seed}")
    rule = strategy.parents(seed)
    found = [evidence(0, None, world.seen[0], world.tasks[0])]
    order = [0]
    seen, chosen = Seen(0, ()), list[str]()
    for k in range(1, budget + 1):
        number, first = round_of(k, PARENTS)
        if k == first:
            settled = {0, *visible(first, LAG)}
            seen = Seen(number, tuple(c if i in settled else _hidden(c) for i, c in enumerate(found)))
            chosen = list(rule(seen, rng))
        parent, subset = strategy.child(seen, frozenset(order), chosen[k - first], rng)
        by_id = found[order.index(number_of(parent))]
        found.append(evidence(subset, by_id, world.seen[subset], world.tasks[subset]))
        order.append(subset)
    return order


def _hidden(c: Evidence) -> Evidence:
    return replace(c, status="queued", overall=None, benchmarks={})
