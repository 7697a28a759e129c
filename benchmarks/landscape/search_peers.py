"""How two other systems choose the next parent, written anew from their published descriptions.

OpenEvolve 0.3 (its README, docs and `configs/default_config.yaml`, github.com/algorithmicsuperintelligence/openevolve):
5 islands in turn; on each a MAP-Elites grid, by default of complexity and diversity with 10 bins a dimension, keeps the
best of every cell. A parent is, with probability 0.2, any elite of the island (exploration), 0.7 one of the archive of
the best 100 programs (exploitation), else one of the island's with a chance in proportion to its score. Islands
exchange after 50 generations each, which in 64 evaluations never comes. An archive of 100 holds everybody here, so a
second reading has one of a tenth of the programs, the share that the defaults give it (100 of 1000).

ShinkaEvolve (arXiv 2509.19349, "weighted" sampling, and its configuration guide): 2 islands; parents from the archive
of the best 40, with p_i ~ s_i h_i, s_i = sigmoid(lambda (F_i - median F)), lambda = 10, and h_i = 1 / (1 + offspring).
No migration by default. F is in units of the median absolute deviation: what lambda's unit is the paper does not say.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from benchmarks.landscape.search_world import PARENTS, ParentRule, Seen
from engine.search.evidence import Evidence, distance

ISLANDS, BINS = 5, 10
EXPLORE, EXPLOIT = 0.2, 0.7
ARCHIVE, TENTH = 1.0, 0.1
"""Share of all programs in OpenEvolve's archive: at its default size, and at its default share."""
SHARPNESS, SHINKA_ISLANDS, SHINKA_ARCHIVE = 10.0, 2, 40


def openevolve(archive: float = ARCHIVE) -> Callable[[int], ParentRule]:
    """Islands of MAP-Elites grids, sampled 20/70/10.

    Args:
        archive: share of the programs that the elite archive holds.
    """

    def rule(seen: Seen, rng: random.Random) -> list[str]:
        return [_from_grids(seen, (seen.round * PARENTS + i) % ISLANDS, archive, rng) for i in range(PARENTS)]

    return lambda seed: rule


def _from_grids(seen: Seen, island: int, archive: float, rng: random.Random) -> str:
    elites = _grid(_inhabitants(seen, island, ISLANDS), seen.settled)
    chance = rng.random()
    if chance < EXPLORE:
        return rng.choice(elites).id
    if chance < EXPLORE + EXPLOIT:
        return rng.choice(_best(seen.settled, max(1, round(archive * len(seen.settled))))).id
    return rng.choices(elites, [max(_score(c), 1e-9) for c in elites])[0].id


def _grid(inhabitants: Sequence[Evidence], reference: Sequence[Evidence]) -> list[Evidence]:
    """The best of every cell; both features scaled by what has been seen so far."""
    complexity = {c.id: float(len(c.mechanisms)) for c in inhabitants}
    diversity = {c.id: statistics.fmean(distance(c, other) for other in reference[:20]) for c in inhabitants}
    cells: dict[tuple[int, int], Evidence] = {}
    for c in inhabitants:
        cell = _bin(complexity[c.id], complexity.values()), _bin(diversity[c.id], diversity.values())
        if cell not in cells or _score(c) > _score(cells[cell]):
            cells[cell] = c
    return list(cells.values())


def _bin(value: float, values: Collection[float]) -> int:
    low, high = min(values), max(values)
    return min(int(BINS * (value - low) / (high - low)), BINS - 1) if high > low else 0


def shinka(seed: int) -> ParentRule:
    """Sigmoid of the score over the median, times one over 1 + offspring."""

    def rule(seen: Seen, rng: random.Random) -> list[str]:
        children = Counter(c.parent for c in seen.candidates)
        archive = {c.id for c in _best(seen.settled, SHINKA_ARCHIVE)}
        found = []
        for i in range(PARENTS):
            island = _inhabitants(seen, (seen.round * PARENTS + i) % SHINKA_ISLANDS, SHINKA_ISLANDS)
            able = [c for c in island if c.id in archive] or island
            middle = statistics.median(map(_score, able))
            spread = statistics.median(abs(_score(c) - middle) for c in able) or 1.0
            weights = [_sigmoid(SHARPNESS * (_score(c) - middle) / spread) / (1 + children[c.id]) for c in able]
            found.append(rng.choices(able, weights)[0].id)
        return found

    return rule


def _inhabitants(seen: Seen, island: int, islands: int) -> list[Evidence]:
    """Those that may be parents on an island: islands take turns, so the number of a decision says where it was made.
    The root is on all of them.
    """
    return [c for k, c in enumerate(seen.candidates) if c.eligible and (k == 0 or (k - 1) % islands == island)]


def _best(of: Sequence[Evidence], many: int) -> list[Evidence]:
    return sorted(of, key=_score, reverse=True)[:many]


def _score(c: Evidence) -> float:
    return c.overall or 0.0


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-max(min(x, 500.0), -500.0)))
