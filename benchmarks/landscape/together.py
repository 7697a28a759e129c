"""Search and rungs together on the landscape: what is found for how much training, by schedule and by candidates.

    OMP_NUM_THREADS=1 python -P -m benchmarks.landscape.together [--searches 100]      # some minutes of one core

The engine's selection and composer propose, its promotions say who goes on, and decisions see what they would see in a
run: of who stopped at a rung the score that is expected at the end. *Found*: how much better, in noise-stds, the best
algorithm of the landscape is than the best of the three that go to confirmation, by the truth. *Cost*: seconds of a
core, as a multiple of training one candidate to its end. Writes results/landscape_together.json, prints a table.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.discoveries import Climb, Protocol, scheduled
from benchmarks.landscape.rungs import CHOSEN, noise_std, seconds
from benchmarks.landscape.search_rules import acquisition, composed
from benchmarks.landscape.search_world import (
    PARENTS,
    Seen,
    evidence,
    number_of,
    within_reach,
)
from benchmarks.landscape.views import STOPS, Array, Landscape, landscape
from engine.errors import PoiseError
from engine.loop.settled import visible
from engine.search.evidence import Evidence
from engine.search.fidelity import Scale, scale
from engine.search.select import round_of

OUT = Path(__file__).resolve().parents[1] / "results" / "landscape_together.json"
SCHEDULES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((), 4),
    *(((u,), eta) for u in (4, 8, 12, 24) for eta in (4, 12)),
    *(((a, b), 4) for a, b in ((4, 12), (8, 24))),
)
"""Rungs and eta."""
CANDIDATES = (8, 16, 24, 32, 48, 64)


@dataclass(frozen=True)
class Searched:
    """One search."""

    order: list[int]
    """Subsets as they were proposed, the root first."""
    chosen: list[int]
    """Those that go to confirmation, the best first."""
    reached: list[int]
    """How many candidates reached each rung, and the end."""


def run(table: Landscape, protocol: Protocol, candidates: int, seed: int) -> Searched:
    """A search that shows one training of each algorithm, the same ones for the same seed."""
    rng = random.Random(f"together:{seed}")
    dice = np.random.default_rng([64, seed])
    which = dice.integers(table.end.shape[1], size=len(table.end))
    at = [STOPS.index(u) for u in protocol.updates]
    root = table.root[dice.choice(len(table.root), protocol.search["baseline_seeds"], replace=False)][:, at]
    climb, rule, child = Climb(protocol, root), acquisition()(seed), composed()
    order, parents, tasks = [0], [0], [np.nanmean(table.tasks[0], axis=0)]
    for slot in range(1, candidates + 1):
        number, first = round_of(slot, PARENTS)
        if slot == first:
            settled = {0, *visible(first, int(protocol.search["lag"]))}
            seen = _seen(number, order, parents, tasks, settled, climb, protocol, root.mean(axis=0))
            chosen = list(rule(seen, rng))
        parent, subset = child(seen, frozenset(order), chosen[slot - first], rng)
        order.append(subset)
        parents.append(order.index(number_of(parent)))
        tasks.append(table.tasks[subset, which[subset]])
        climb.start(slot, table.early[subset, which[subset], at].tolist())
    climb.end()
    ended = climb.at[-1]
    best = sorted(ended, key=lambda s: (-ended[s], s))[:CHOSEN]
    return Searched(order, [order[slot] for slot in best], list(map(len, climb.at)))


def _seen(
    round: int,
    order: Sequence[int],
    parents: Sequence[int],
    tasks: Sequence[Array],
    settled: set[int],
    climb: Climb,
    protocol: Protocol,
    root: Array,
) -> Seen:
    """What the decisions of a round see; a stopped candidate has the Overall that is expected of it."""
    rungs = [u / protocol.updates[-1] for u in protocol.updates]
    reached = {
        slot: [
            {"rung": r, "overall": at[slot], "benchmarks": {}}
            for r, at in zip(rungs, climb.at, strict=True)
            if slot in at
        ]
        for slot in settled
        if slot
    }
    means = {r: {"overall": float(x), "benchmarks": {}} for r, x in zip(rungs, root, strict=True)}
    scales: Scale = scale(means, reached.values())
    found = [evidence(0, None, float(root[-1]), tasks[0])]
    for slot in range(1, len(order)):
        mother = found[parents[slot]]
        if slot not in settled:
            made = replace(evidence(order[slot], mother, 1.0, ()), status="queued", overall=None)
        else:
            fields: dict[str, Any] = scales.at_the_end(reached[slot])
            whole = fields["fidelity"] == 1.0
            made = _with(evidence(order[slot], mother, fields["overall"], tasks[slot] if whole else ()), fields)
        found.append(made)
    return Seen(round, tuple(found))


def _with(made: Evidence, fields: dict[str, Any]) -> Evidence:
    status = "scored" if fields["fidelity"] == 1.0 else "stopped"
    return replace(made, status=status, fidelity=fields["fidelity"], by_rung=fields["by_rung"])


def study(table: Landscape, searches: int) -> Iterator[dict[str, Any]]:
    """A row for each schedule and number of candidates.

    Raises:
        PoiseError: an algorithm that a search may propose was not trained twice.
    """
    if lacking := int((~np.isfinite(table.end[list(within_reach())])).sum()):
        raise PoiseError(f"{lacking} trainings are missing: python -P -m benchmarks.landscape.train run")
    best = table.truth[list(within_reach())].max()
    (whole,) = seconds(table, ())
    for updates, eta in SCHEDULES:
        protocol = scheduled(*updates, eta=eta)
        each = seconds(table, updates)
        for candidates in CANDIDATES:
            missed, costs = [], []
            for r in range(searches):
                found = run(table, protocol, candidates, r)
                missed.append((best - table.truth[found.chosen].max()) / noise_std(table))
                costs.append(sum(n * s for n, s in zip(found.reached, each, strict=True)) / whole)
            yield {
                "updates": updates,
                "eta": eta,
                "candidates": candidates,
                "cost": float(np.mean(costs)),
                "missed": float(np.mean(missed)),
                "error": float(np.std(missed, ddof=1) / searches**0.5),
            }


def told(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """As Markdown: a schedule a line, candidates across."""
    yield f"| rungs after, eta | {' | '.join(map(str, CANDIDATES))} |"
    yield "|---" * (len(CANDIDATES) + 1) + "|"
    for updates, eta in SCHEDULES:
        mine = [r for r in rows if (tuple(r["updates"]), r["eta"]) == (updates, eta)]
        name = f"{', '.join(map(str, updates))}; {eta}" if updates else "none"
        cells = (f"{r['cost']:.1f}: {r['missed']:.2f} +- {r['error']:.2f}" for r in mine)
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=100)
    searches = parser.parse_args().searches
    try:
        rows = list(study(landscape(), searches))
    except PoiseError as e:
        sys.exit(str(e))
    found = {"command": "python -P -m benchmarks.landscape.together", "searches": searches, "rows": rows}
    OUT.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print("\n".join(told(rows)))


if __name__ == "__main__":
    main()
