"""Rules of a search: which parents, which child. Ours as the engine has them, and the plainest ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.landscape.search_world import (
    PARENTS,
    ChildRule,
    ParentRule,
    Seen,
    digest,
    mechanisms,
    name_of,
    situation,
    subset_of,
    within_reach,
)
from engine.algorithms.catalogue import MechanismChoice
from engine.errors import PoiseError
from engine.search import beliefs, composer, screen, select
from engine.search.evidence import Evidence, distance
from engine.search.gains import expected_gain
from engine.search.moves import MAKERS
from engine.search.potential import Potential
from engine.search.select import DEFAULT_WEIGHTS, NO_POTENTIAL, Weights, select_round

ONE_STEP = "one step"
"""A direction that is none: any one change of the parent, as a mutation makes it, and no combination."""
FOUR = ("free", "cross", "simplify", "invent: `advantages`")
"""Directions of a population that need neither curves, constants, ideas nor a directive."""


def acquisition(weights: Weights = DEFAULT_WEIGHTS) -> Callable[[int], ParentRule]:
    """The engine's own selection. Its Gaussian process sees mechanisms, scores and place; there are no curves here."""

    def start(seed: int) -> ParentRule:
        potential = Potential()

        def rule(seen: Seen, rng: random.Random) -> list[str]:
            beliefs = potential.beliefs(seen.candidates) if weights.bayes else NO_POTENTIAL
            chosen = select_round(
                seen.candidates, seed=seed, round=seen.round, parents=PARENTS, weights=weights, potential=beliefs
            )
            return [s.parent for s in chosen]

        return rule

    return start


def anybody(seed: int) -> ParentRule:
    """Any of those that may be parents."""
    return lambda seen, rng: [c.id for c in rng.choices(seen.settled, k=PARENTS)]


def the_best(seed: int) -> ParentRule:
    """Whoever has the best score seen, for the whole round."""
    return lambda seen, rng: [max(seen.settled, key=lambda c: c.overall or 0.0).id] * PARENTS


def the_root(seed: int) -> ParentRule:
    """For children that need no parent."""
    return lambda seen, rng: [name_of(0)] * PARENTS


def drawn(seen: Seen, proposed: frozenset[int], parent: str, rng: random.Random) -> tuple[str, int]:
    """Any subset that was not proposed before."""
    return parent, rng.choice([s for s in within_reach() if s not in proposed])


def composed(population: int = 1, directions: Sequence[str] = FOUR) -> ChildRule:
    """The composer's next move in the first direction; of a population, in several, the one that screening prefers.

    What screening measures of composed proposals that differs here is their gain, their novelty by mechanisms and
    their number of mechanisms; it weighs these as the engine does.
    """

    def rule(seen: Seen, proposed: frozenset[int], parent: str, rng: random.Random) -> tuple[str, int]:
        mother = next(c for c in seen.candidates if c.id == parent)
        tried = frozenset(map(digest, proposed))
        wanted = directions[:1] if population == 1 else rng.sample(directions, min(population, len(directions)))
        now = situation(mother, seen.candidates, tried, seen.gains)
        try:
            drafts = [composer.next_move(replace(now, direction=d), rng).mechanisms for d in wanted]
        except PoiseError:  # everything around this parent was tried
            return drawn(seen, proposed, parent, rng)
        best = drafts[0] if population == 1 else max(drafts, key=lambda d: screened(seen, mother, d))
        return parent, subset_of(best)

    return rule


stepped = composed(directions=(ONE_STEP,))
"""The composer as it was before it learnt from all trainings together."""


def screened(seen: Seen, parent: Evidence, draft: Sequence[MechanismChoice]) -> float:
    """A draft's score by the terms of screening that tell composed proposals apart here."""
    points = expected_gain(parent.mechanisms, draft, seen.gains)
    mine = Evidence("#", "#", None, "queued", tuple(draft))
    terms = {
        "gain": 1 / (1 + math.exp(-points)),
        "novelty": min(distance(mine, c) for c in seen.candidates),
        "feasibility": 0.9 - 0.05 * max(len(draft) - 3, 0),
    }
    return sum(screen.WEIGHTS[name] * value for name, value in terms.items())


@contextmanager
def constants(temperature: float | None = None, spread: float | None = None) -> Iterator[None]:
    """The engine's, of selection and of a draw of beliefs, changed for a while."""
    before = select.TEMPERATURE, beliefs.SPREAD
    select.TEMPERATURE, beliefs.SPREAD = temperature or before[0], spread or before[1]
    try:
        yield
    finally:
        select.TEMPERATURE, beliefs.SPREAD = before


def one_step(parent: int) -> frozenset[int]:
    """What a parent's moves lead to: add, pair, swap, remove (nothing to tune, nobody to cross with)."""
    now = situation(Evidence(name_of(parent), "", None, "scored", mechanisms(parent), 0.0), (), frozenset(), {})
    reach = set(within_reach()) - {0, parent}
    return frozenset(
        s
        for kind in ("add", "pair", "swap", "remove")
        for m in MAKERS[kind](now)
        if (s := subset_of(m.mechanisms)) in reach
    )
