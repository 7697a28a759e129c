"""Searches replayed on real trainings of library algorithms: what a schedule of rungs costs, and what it misses.

    OMP_NUM_THREADS=1 python -P -m benchmarks.rung_replay benchmarks/results/rung_landscape.jsonl [--searches 40]

Each search meets 40 algorithms, by the engine's rules, in random order or in one that gets better: sorted by their
scores at the end plus so much noise. *Missed*: how much better the best three of all are at their end than the best
three that were trained to it. *Cost*: seconds of a core, start-ups and scoring included, of training all to the end.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.discoveries import TINY, Protocol, search
from benchmarks.rung_landscape import UPDATES
from benchmarks.tiny_ranking import ROOT, rows

SCHEDULES = ((), (4,), (6,), (8,), (12,), (24,), (4, 12), (6, 16), (8, 24))
ETAS = (4, 6, 8, 12, 16)
ORDERS = {"any order": None, "getting better": 15.0, "nearly sorted": 5.0}
"""Points of noise on the scores that an order goes by."""
START, WHOLE_SCORING = 0.7, 3.3
"""Seconds that each part of a training takes to start, and that the scoring at the end takes (2 idle cores)."""
NOISE = 3.7
"""Std of the root at its end, in points, see docs/profiles.md."""


def scheduled(updates: Sequence[int], eta: int) -> Protocol:
    """The profile tiny with other rungs."""
    table = TINY.search["rungs"] | {"at": [u / 48 for u in updates], "seeds": [1] * (len(updates) + 1), "eta": eta}
    return Protocol({**TINY.profile, "search": {**TINY.search, "rungs": table}})


def scores(row: dict[str, Any], updates: Sequence[int]) -> list[float]:
    """At each rung with the small scoring, and at the end."""
    at = {r["updates"]: r["scores"] for r in row["rungs"]}
    return [*(at[u]["small"] for u in updates), at[48]["whole"]]


def seconds(found: list[dict[str, Any]], updates: Sequence[int]) -> list[float]:
    """What it takes to go from each rung to the next, with its scoring; medians."""
    trained = {u: median(_trained(row, u) for row in found) for u in (*UPDATES, 48)}
    scoring = median(r["score_seconds"]["small"] for row in found for r in row["rungs"][:-1])
    stops = [0, *updates, 48]
    each = [trained[b] - (trained[a] if a else 0.0) + START for a, b in pairwise(stops)]
    return [s + (WHOLE_SCORING if i == len(updates) else scoring) for i, s in enumerate(each)]


def _trained(row: dict[str, Any], updates: int) -> float:
    """Seconds of training in one go: every part was started anew."""
    return sum(float(r["train_seconds"]) - START for r in row["rungs"] if r["updates"] <= updates)


def replay(found: list[dict[str, Any]], updates: Sequence[int], eta: int, order: float | None, searches: int) -> str:
    """One cell of the table: cost, missed points, and how often less than half a noise-std is missed."""
    protocol, rng = scheduled(updates, eta), random.Random(0)
    by: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        by.setdefault(row["name"], []).append(row)
    root = np.array([scores(row, updates) for row in by[ROOT]])
    costs, missed = [], []
    whole = sum(seconds(found, ()))
    for _ in range(searches):
        first = [scores(rng.choice(of), updates) for of in rng.sample(list(by.values()), len(by))]
        if order is not None:
            first.sort(key=lambda s: s[-1] + rng.gauss(0.0, order))
        done = search(protocol, np.array(first), root, lambda _: 0.0)
        parts = zip(done.reached, seconds(found, updates), strict=True)
        costs.append(sum(n * s for n, s in parts) / (len(first) * whole))
        best = sorted((s[-1] for s in first), reverse=True)[:3]
        missed.append(fmean(best) - fmean(sorted(done.ended.values(), reverse=True)[:3]))
    near = fmean(m < NOISE / 2 for m in missed)
    return f"{100 * fmean(costs):.0f} %, {fmean(missed):.1f}, {100 * near:.0f} %"


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--searches", type=int, default=40)
    options = parser.parse_args()
    found = rows(options.file)
    print(f"| rungs after | eta | {' | '.join(ORDERS)} |\n|---|---|{'---|' * len(ORDERS)}")
    for updates in SCHEDULES:
        for eta in ETAS if updates else ETAS[:1]:
            cells = [replay(found, updates, eta, order, options.searches) for order in ORDERS.values()]
            print(f"| {', '.join(map(str, updates)) or 'none'} | {eta} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
