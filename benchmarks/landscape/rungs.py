"""Schedules of rungs, replayed on the landscape of real trainings: what they cost, and what they miss.

    OMP_NUM_THREADS=1 python -P -m benchmarks.landscape.rungs [--searches 200]      # some minutes of one core

A search meets 64 algorithms, in any order or in the one in which the engine's acquisition and composer proposed them.
It sees one training of each, as far as its rungs let it go; the other one is held back and judges. *Missed*: how much
better, held back, the three are that training all to the end would choose. *Cost*: seconds of a core with start-ups
and scoring, of training all to the end. Replicas are tried where the truth is known: the landscape's means, with the
noise of the root's recorded trainings. Writes results/landscape_rungs.json, prints tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.dealing import Array, Deck, Population
from benchmarks.discoveries import CANDIDATES, TINY, Protocol, discover, scheduled, search
from benchmarks.landscape.search_rules import acquisition, composed
from benchmarks.landscape.search_world import Strategy, within_reach, world
from benchmarks.landscape.search_world import search as proposed
from benchmarks.landscape.views import END, STOPS, Landscape, landscape
from engine.errors import PoiseError

OUT = Path(__file__).resolve().parents[1] / "results" / "landscape_rungs.json"

SCHEDULES = ((2,), (4,), (8,), (12,), (24,), (2, 8), (4, 12), (4, 24), (8, 24), (12, 24))
ETAS = (4, 6, 8, 12)
REPLICAS = ((0, 1), (4, 2), (6, 2), (6, 4), (16, 2))
"""Finalists, and whole trainings of each at most."""
CHOSEN = 3
"""Whom a search hands to the confirmation."""
NEAR = 0.5
"""Noise-stds that may be missed."""
START = 0.7
"""Seconds that every part of a training takes to start (idle cores, see docs/benchmarks.md)."""

Meeting = Callable[[Landscape, int], tuple[list[int], list[int]]]
"""The algorithms of a search in their order, and which training of each it sees."""


def in_any_order(table: Landscape, seed: int) -> tuple[list[int], list[int]]:
    """Algorithms drawn at random."""
    rng = np.random.default_rng([61, seed])
    subsets = rng.choice([s for s in within_reach() if s], CANDIDATES, replace=False)
    return subsets.tolist(), rng.integers(table.end.shape[1], size=CANDIDATES).tolist()


def as_proposed(table: Landscape, seed: int) -> tuple[list[int], list[int]]:
    """Those the engine's search proposes when it sees everybody's score at the end."""
    shown, which = world(table, seed)
    order = proposed(Strategy("acquisition", acquisition(), composed()), shown, seed, CANDIDATES)[1:]
    return order, which[order].tolist()


ORDERS: dict[str, Meeting] = {"any order": in_any_order, "as proposed": as_proposed}


def noise_std(table: Landscape) -> float:
    """Of the root's trainings at their end, in points."""
    return float(table.root[:, -1].std(ddof=1))


def seconds(table: Landscape, updates: Sequence[int]) -> list[float]:
    """What it takes to go from each rung to the next, with the start and the scoring; medians of the landscape."""
    # A row's seconds count a start at every stop.
    trained = np.nanmedian(table.train_seconds, axis=(0, 1)) - START * np.arange(1, len(STOPS) + 1)
    scoring = np.nanmedian(table.score_seconds, axis=(0, 1))
    at = [STOPS.index(u) for u in (*updates, END)]
    return [
        float(trained[b] - (trained[a] if a is not None else 0.0) + START + scoring[b])
        for a, b in pairwise([None, *at])
        if b is not None
    ]


def replay(table: Landscape, protocol: Protocol, meetings: Sequence[tuple[list[int], list[int]]]) -> dict[str, float]:
    """One schedule in all the searches: cost, missed noise-stds with the error of its mean, share that is near."""
    costs, missed = [], []
    each, (whole,) = seconds(table, protocol.updates[:-1]), seconds(table, ())
    other = (table.end + table.confirmed)[:, ::-1] / 2
    for r, (subsets, which) in enumerate(meetings):
        rng = np.random.default_rng([62, r])
        root = table.root[rng.choice(len(table.root), protocol.search["baseline_seeds"], replace=False)]
        first = _at(table.early[subsets, which], protocol)
        done = search(protocol, first, _at(root, protocol), lambda _: float("nan"))
        costs.append(sum(n * s for n, s in zip(done.reached, each, strict=True)) / (len(first) * whole))
        held = other[subsets, which]
        ours = sorted(done.ended, key=lambda n: -done.ended[n])[:CHOSEN]
        missed.append(float(held[np.argsort(-first[:, -1], kind="stable")[:CHOSEN]].mean() - held[ours].mean()))
    in_stds = np.array(missed) / noise_std(table)
    return {
        "cost": float(np.mean(costs)),
        "missed": float(in_stds.mean()),
        "error": float(in_stds.std(ddof=1) / len(in_stds) ** 0.5),
        "near": float((in_stds <= NEAR).mean()),
    }


def _at(stops: Array, protocol: Protocol) -> Array:
    return stops[..., [STOPS.index(u) for u in protocol.updates]]


def replicas(table: Landscape, searches: int) -> Iterator[dict[str, Any]]:
    """Finalists with more seeds, and everybody trained to the end, against the known truth."""
    near = [s for s in within_reach() if s]
    means = TINY.scores(table.early, table.confirmed).mean(axis=1)
    means[:, -2:] = table.truth[:, None]
    gains = means[near] - means[0]
    trainings = TINY.root(table, anyway=True)
    for finalists, seeds in REPLICAS:
        protocol = scheduled(*TINY.updates[:-1], finalists=finalists, finalist_seeds=seeds)
        ours, full, cost = [], [], []
        for r in range(searches):
            rng = np.random.default_rng([63, r])
            own = gains[rng.choice(len(near), CANDIDATES, replace=False)]
            found = discover(protocol, Deck(rng, trainings, anew=True), Population(own))
            truth, best = own[:, -1], np.sort(own[:, -1])[-CHOSEN:].mean()
            ours.append(best - truth[list(found.search.finalists)[:CHOSEN]].mean())
            full.append(best - truth[np.argsort(found.everybody)[-CHOSEN:]].mean())
            cost.append(found.search.share)
        std = noise_std(table)
        yield {
            "finalists": finalists,
            "seeds": seeds,
            "regret": float(np.mean(ours)) / std,
            "regret_of_all": float(np.mean(full)) / std,
            "trained": float(np.mean(cost)),
        }


def correlations(table: Landscape) -> list[dict[str, float]]:
    """By stop: how well one training's scores there rank the algorithms as the other training's end does."""
    there = np.flatnonzero(np.isfinite(table.end).all(axis=1))
    end, best = table.end[there], np.argsort(-table.truth[there])[: len(there) // 4]
    rows = []
    for i, updates in enumerate(STOPS):
        early = table.early[there, :, i]

        def ranks(who: Any, early: Array = early) -> float:
            pairs = [spearmanr(early[who, a], end[who, 1 - a]).statistic for a in (0, 1)]
            return float(np.mean(pairs))

        noise = float(table.root[:, i].std(ddof=1))
        rows.append(
            {
                "updates": updates,
                "all": ranks(slice(None)),
                "best_quarter": ranks(best),
                "noise_std": noise,
                "algorithms_std": float(max(early.mean(axis=1).var(ddof=1) - noise**2 / early.shape[1], 0.0) ** 0.5),
            }
        )
    return rows


def study(table: Landscape, searches: int) -> dict[str, Any]:
    """Everything the tables tell.

    Raises:
        PoiseError: an algorithm that a search may propose was not trained twice.
    """
    if lacking := int((~np.isfinite(table.end[list(within_reach())])).sum()):
        raise PoiseError(f"{lacking} trainings are missing: python -P -m benchmarks.landscape.train run")
    meetings = {name: [meet(table, r) for r in range(searches)] for name, meet in ORDERS.items()}
    rows = []
    for updates in SCHEDULES:
        for eta in ETAS:
            found = {name: replay(table, scheduled(*updates, eta=eta), met) for name, met in meetings.items()}
            rows.append({"updates": updates, "eta": eta, "orders": found})
    return {
        "command": "python -P -m benchmarks.landscape.rungs",
        "searches": searches,
        "noise_std": noise_std(table),
        "root_trainings": len(table.root),
        "correlations": correlations(table),
        "schedules": rows,
        "replicas": list(replicas(table, searches)),
    }


def tables(found: dict[str, Any]) -> Iterator[str]:
    """As Markdown."""
    yield "| after | ranks, all | ranks, best quarter | std of the root | between algorithms |\n|---|---|---|---|---|"
    for row in found["correlations"]:
        yield (
            f"| {row['updates']} | {row['all']:.2f} | {row['best_quarter']:.2f} | {row['noise_std']:.2f} | "
            f"{row['algorithms_std']:.2f} |"
        )
    yield f"\n| rungs after | eta | {' | '.join(ORDERS)} |\n|---|---|{'---|' * len(ORDERS)}"
    for row in found["schedules"]:
        cells = [
            f"{100 * c['cost']:.0f} %, {c['missed']:.2f} +- {c['error']:.2f}, {100 * c['near']:.0f} %"
            for c in row["orders"].values()
        ]
        yield f"| {', '.join(map(str, row['updates']))} | {row['eta']} | {' | '.join(cells)} |"
    yield "\n| finalists, seeds | regret | all to the end once | updates trained |\n|---|---|---|---|"
    for row in found["replicas"]:
        yield (
            f"| {row['finalists']}, {row['seeds']} | {row['regret']:.2f} | {row['regret_of_all']:.2f} | "
            f"{100 * row['trained']:.0f} % |"
        )


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    try:
        found = study(landscape(), parser.parse_args().searches)
    except PoiseError as e:
        sys.exit(str(e))
    OUT.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print("\n".join(tables(found)))


if __name__ == "__main__":
    main()
