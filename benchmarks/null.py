"""How often is a discovery announced where there is none? Every candidate of whole discoveries is secretly the root.

    OMP_NUM_THREADS=1 python -P -m benchmarks.null [--discoveries 2000] [--out FILE.json]

Each candidate's scores at rungs and at the end are those of a real training of the root from the landscape, and so are
the fresh ones of its confirmation; no training is used twice in a discovery. `docs/evidence.md` reads the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.dealing import FRESH, Array, Deck, Population
from benchmarks.discoveries import CANDIDATES, TINY, discover, levels, plan
from benchmarks.landscape.design import ROOT_SEEDS
from benchmarks.landscape.views import landscape
from benchmarks.protocol_simulation import at_looks
from engine.errors import PoiseError
from engine.stats.noise import gain

BY_HAND = 4
"""Confirmations of the best that somebody asks for besides, each for a half of the error that is left."""
RULES = (
    "best score above the root's mean",
    "best score, its 95 % interval above 0",
    "best mean of the finalists, its 95 % interval above 0",
    "everybody trained to the end: best score above the root's mean",
    "everybody trained to the end: best score, its 95 % interval above 0",
    "**confirmation: any of the best three**",
    f"the same, and the best confirmed {BY_HAND} times more by hand",
    "confirmation tells any of the three apart, for better or worse",
)
CONFIRMED = RULES[5]
POOLS, CONFIRMATIONS = 200, 2000
"""Drawn anew from the pool, and confirmations of three with each."""


def announced(deck: Deck, population: Population) -> dict[str, bool]:
    """One discovery: which rules announce one."""
    found = discover(TINY, deck, population)
    root, best = fmean(found.root), max(found.search.ended.values())
    finalist, own = next(iter(found.search.finalists.items()))
    batch = found.confirm(found.best())
    asked = [batch]
    for _ in range(BY_HAND):
        asked.append(found.confirm([finalist], *asked, automatic=False))

    def above(scores: list[float]) -> bool:
        interval = gain(scores, found.root)
        return interval is not None and interval.low > 0

    said = (
        best > root,
        above([best]),
        above(own),
        max(found.everybody) > root,
        above([max(found.everybody)]),
        bool(batch.confirmed.any()),
        any(study.confirmed.any() for study in asked),
        bool(batch.differs.any()),
    )
    return dict(zip(RULES, map(bool, said), strict=True))


def smoothed(rng: np.random.Generator, trainings: Array, bandwidth: float | None = None) -> Array:
    """As many trainings, each moved by a normal kernel with the pool's covariance; mean and covariance stay.

    The bandwidth is Scott's, n^(-1/(d+4)), unless given: the smoothed bootstrap with shrinkage (Silverman and Young
    1987).
    """
    n, d = trainings.shape
    h = n ** (-1 / (d + 4)) if bandwidth is None else bandwidth
    middle, covariance = trainings.mean(0), np.cov(trainings.T)
    moved = rng.multivariate_normal(np.zeros(d), covariance, n, method="eigh")
    return np.asarray(middle + (trainings - middle + h * moved) / np.sqrt(1 + h * h))


def scenarios(trainings: Array) -> dict[str, tuple[Population, Callable[[np.random.Generator], Array]]]:
    """Copies of the root by how they are noisy, and where a discovery's trainings come from."""
    same = Population(np.zeros((CANDIDATES, trainings.shape[1])), middle=trainings.mean(0))
    kept = {
        "recorded noise": same,
        "candidates' spread 0.5": replace(same, spread=0.5),
        "candidates' spread 0.13": replace(same, spread=0.13),
        "candidates' spread 2": replace(same, spread=2.0),
        "seeds correlate by 0.5": replace(same, same_seed=0.5),
    }
    recorded = {name: (population, lambda _: trainings) for name, population in kept.items()}
    return recorded | {"smoothed pool": (same, lambda rng: smoothed(rng, trainings))}


def rates(
    population: Population, source: Callable[[np.random.Generator], Array], n: int, seed: int
) -> dict[str, dict[str, float]]:
    """How often each rule announces a discovery."""
    rng, counts = np.random.default_rng(seed), dict.fromkeys(RULES, 0)
    for _ in range(n):
        for rule, said in announced(Deck(rng, source(rng), anew=True), population).items():
            counts[rule] += said
    return {rule: figure(count, n) for rule, count in counts.items()}


def figure(count: int, n: int) -> dict[str, float]:
    """A share with its standard error and the one-sided upper 95 % bound of Clopper and Pearson (1934)."""
    share = count / n
    upper = float(stats.beta.ppf(0.95, count + 1, n - count)) if count < n else 1.0
    return {"share": share, "error": (share * (1 - share) / n) ** 0.5, "at_most": upper}


def between_pools(trainings: Array, draws: int, confirmations: int, seed: int) -> dict[str, float]:
    """How much the false confirmations of a batch of three depend on which trainings happen to be in the pool.

    The pool is drawn anew with replacement (and smoothed, or equal scores would meet each other), and batches of three
    copies of the root are confirmed with each. There is no search here: fresh trainings know nothing of it.
    """
    rng, seeds, nodes = np.random.default_rng(seed), TINY.confirm["seeds"], TINY.confirm["candidates"]
    shares, size = [], max(len(trainings), seeds * (nodes + 1))
    for _ in range(draws):
        ends = smoothed(rng, trainings[rng.integers(0, len(trainings), size)])[:, FRESH]
        dealt = rng.permuted(np.tile(ends, (confirmations, 1)), axis=1)[:, : seeds * (nodes + 1)]
        arms = dealt.reshape(confirmations, nodes + 1, seeds)
        shares.append(any_of(arms).mean())
    mean, between = float(np.mean(shares)), float(np.var(shares, ddof=1))
    return {"share": mean, "std_between_pools": max(between - mean * (1 - mean) / confirmations, 0.0) ** 0.5}


def any_of(arms: Array) -> Array:
    """(batches, 1 + candidates, seeds), the root's first: whether any candidate of a batch is confirmed."""
    batches, count, seeds = arms.shape
    looks, alpha = plan(TINY, count - 1, (), True)
    root = np.repeat(arms[:, 0], count - 1, axis=0)
    confirmed = at_looks(arms[:, 1:].reshape(-1, seeds), root, looks, levels(looks, alpha))[1]
    return np.asarray(confirmed.reshape(batches, count - 1).any(axis=1))


def markdown(document: dict[str, Any]) -> str:
    """For the docs."""
    every = document["scenarios"]
    first, *others = every
    lines = [f"| a discovery is announced by | {first} | at most | " + " | ".join(others) + " |"]
    lines += ["|---" * (len(every) + 2) + "|"]
    for rule in RULES:
        one = every[first][rule]
        cells = [f"{percent(one['share'])} ± {percent(one['error'])}", percent(one["at_most"])]
        lines.append(f"| {rule} | " + " | ".join([*cells, *(percent(every[o][rule]["share"]) for o in others)]) + " |")
    pools = document["pools"]
    return "\n".join(lines) + (
        f"\n\n{document['discoveries']} discoveries each of {document['candidates']} copies of the root, noise of "
        f"{document['trainings']} real trainings; *at most*: one-sided upper 95 % bound (Clopper and Pearson).\n"
        f"With the pool itself drawn anew {pools['draws']} times, {percent(pools['share'])} of the confirmations are "
        f"false, with a std of {percent(pools['std_between_pools'])} between pools; both errors together: at most "
        f"{percent(pools['at_most'])}."
    )


def percent(share: float) -> str:
    """With as many digits as matter."""
    return f"{100 * share:.1f} %"


def run(trainings: Array, discoveries: int, draws: int = POOLS, confirmations: int = CONFIRMATIONS) -> dict[str, Any]:
    """All figures."""
    began = time.process_time()
    found = {}
    for seed, (name, (population, source)) in enumerate(scenarios(trainings).items()):
        found[name] = rates(population, source, discoveries, seed)
        print(f"{name}: {percent(found[name][CONFIRMED]['share'])} confirmed", file=sys.stderr, flush=True)
    pools = between_pools(trainings, draws, confirmations, 99)
    one = found["recorded noise"][CONFIRMED]
    # Of draws from this pool, and of this pool among those that might have been recorded.
    both = (one["error"] ** 2 + pools["std_between_pools"] ** 2) ** 0.5
    return {
        "trainings": len(trainings),
        "candidates": CANDIDATES,
        "discoveries": discoveries,
        "cpu_seconds": round(time.process_time() - began, 1),
        "scenarios": found,
        "pools": {
            "draws": draws,
            "confirmations": confirmations,
            **pools,
            "at_most": max(one["at_most"], one["share"] + 1.645 * both),
        },
    }


def main() -> None:
    """Run all, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--discoveries", type=int, default=2000)
    parser.add_argument("--anyway", action="store_true", help="with however few trainings of the root there are")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "null.json")
    options = parser.parse_args()
    try:
        trainings = TINY.root(landscape(), options.anyway)
    except PoiseError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
    print(f"{len(trainings)} of {ROOT_SEEDS} trainings of the root", file=sys.stderr)
    document = run(trainings, options.discoveries)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(markdown(document))


if __name__ == "__main__":
    main()
