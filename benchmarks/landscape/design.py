"""What is in the landscape: every subset of eight switches that a search can propose, and the root many times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from engine.algorithms.catalogue import MechanismChoice
from engine.algorithms.render import render
from engine.search.moves import MOST

SWITCHES = (
    MechanismChoice("SilenceAllFail", {}),
    MechanismChoice("HistoryWeight", {}),
    MechanismChoice("TokenMean", {}),
    MechanismChoice("NoStd", {}),
    MechanismChoice("ClipHigher", {}),
    MechanismChoice("InvalidPenalty", {"penalty": 0.5}),
    MechanismChoice("TopEntropyTokens", {}),
    MechanismChoice("RelativeLengthDamping", {}),
)
"""Any of them can be combined; chosen by their effects alone on tiny, from +15 points to -17, some of none.

`ValidityMask` and `CorrectnessGate` are left out on purpose: either alone reaches the profile's ceiling, and a table of
which half is within noise of its best has no ranking to search for.
"""
SUBSETS = 1 << len(SWITCHES)
REACHED = tuple(subset for subset in range(SUBSETS) if subset.bit_count() <= MOST)
"""What a search can propose: the composer puts no more than `MOST` mechanisms into a file. Others are not trained, but
for one of the pilot.
"""
SEEDS = 2
"""Trainings of each of these."""
ROOT_SEEDS = 256
"""Distinct trainings of the root: a small pool of noise would hide false discoveries."""
RUNGS = (2, 4, 8, 12, 24)
"""Updates, of 48, after which a training is scored on the way."""
SMALL = {"problems": 40, "samples": 8}
"""Of each task, at those; at the end it is the profile's own."""


@dataclass(frozen=True, order=True)
class Entry:
    """One training: which switches are on (bit i is `SWITCHES[i]`), and the number of its seed."""

    subset: int
    seed: int


def chosen(subset: int) -> tuple[MechanismChoice, ...]:
    """The mechanisms of a subset, in the order of `SWITCHES`."""
    return tuple(m for i, m in enumerate(SWITCHES) if subset >> i & 1)


def source(subset: int) -> str:
    """The algorithm's file."""
    return render(f"Landscape-{subset:03d}", "Some of eight switches.", chosen(subset))


def pilot() -> tuple[int, ...]:
    """Sixteen subsets in which each switch is on in half, balanced against every other one.

    The fractional factorial 2^(8-4) of resolution IV: four switches free, the others their sums in threes.
    """
    return tuple(sorted(_generated(free) for free in range(16)))


def _generated(free: int) -> int:
    bits = [free >> i & 1 for i in range(4)]
    bits += [(bits[a] + bits[b] + bits[c]) % 2 for a, b, c in combinations(range(4), 3)]
    return sum(bit << i for i, bit in enumerate(bits))


def order() -> Iterator[Entry]:
    """Every entry: the pilot, some of the root's, the subsets, the root's others."""
    seen: set[Entry] = set()
    for entry in (
        *(Entry(subset, seed) for seed in range(SEEDS) for subset in pilot()),
        *(Entry(0, seed) for seed in range(ROOT_SEEDS // 8)),
        *(Entry(subset, seed) for seed in range(SEEDS) for subset in REACHED),
        *(Entry(0, seed) for seed in range(ROOT_SEEDS)),
    ):
        if entry not in seen:
            seen.add(entry)
            yield entry
