"""Parent selection in a large archive, and what each of its terms does.

    python -P -m benchmarks.selection speed [--candidates 10000] [--rounds 100]
    python -P -m benchmarks.selection terms [--seeds 40]

`speed`: documents as the engine stores them, with curves from metrics and fingerprints from signatures, read by the
same functions as a decision reads them; rounds with three new results between them; times are of CPU, since other work
may share the machine. `terms`: a search of 60 candidates on a made-up landscape with a trap, under several weights;
what it measures is the direction of each term and no more.
"""

import argparse
import math
import os
import random
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psutil

from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.search.curves import NAMES, Curves, summarize
from engine.search.evidence import Benchmark, Evidence, Reader, branches, fingerprint_of, fronts
from engine.search.potential import Potential
from engine.search.select import Weights, round_of, select_round

TASKS = ("add", "chain", "mod", "mul", "hop", "sort")
REGIMES = ("mixed", "all_fail", "all_pass", "two_sizes", "two micro-batches", "consecutive updates")


def document(k: int, earlier: Sequence[dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    """Candidate k: a change of one earlier candidate, preferably a recent one; a tenth have failed."""
    parent = earlier[max(int(len(earlier) * (1 - rng.random() ** 2)) - 1, 0)] if earlier else None
    while parent is not None and parent["status"] != "scored":
        parent = next(d for d in earlier if d["id"] == parent["parent"])
    mechanisms = list(parent["proposal"]["mechanisms"])[-4:] if parent else []
    if parent:
        mechanisms.append(rng.choice(list(catalogue().values())).choice().document())
    base = parent["overall"] if parent else 45.0
    failed = parent is not None and rng.random() < 0.1
    values = {task: min(max(rng.gauss(base, 4), 0), 100) for task in TASKS}
    rows = {t: {"metric": "avg@4", "value": v, "n": 120, "ci": [v - 4, v + 4]} for t, v in values.items()}
    return {
        "id": f"c{k:03d}", "name": f"n{k}-GRPO", "parent": parent["id"] if parent else None,
        "depth": parent["depth"] + 1 if parent else 0, "status": "failed" if failed else "scored",
        "cause": "diverged: loss is nan" if failed else None,
        "proposal": {"hypothesis": "h" * 300, "mechanisms": mechanisms},
        "overall": None if failed else statistics.fmean(values.values()), "benchmarks": {} if failed else rows,
        "reflection": "r" * 1500, "findings": [{"about": ["NoStd"], "effect": "helps"}], "pinned": False,
    }  # fmt: skip


def curves_of(k: int) -> Curves:
    """Of a training of 48 updates."""
    rng = random.Random(f"curves {k}")
    points = [{"step": i, **{name: rng.random() for name in NAMES}} for i in range(48)]
    return replace(summarize(points), rows={})


def fingerprint(k: int) -> tuple[float, ...] | None:
    """Of a signature of six regimes."""
    rng = random.Random(f"signature {k}")
    entry = lambda: {"group_size": 8, "policy": [rng.gauss(0, 1) for _ in range(8)], "rest": [0.1] * 8}  # noqa: E731
    return fingerprint_of({"signature": {regime: entry() for regime in REGIMES}})


def speed(size: int, rounds: int) -> None:
    """Time and memory of whole rounds."""
    rng = random.Random(1)
    documents: list[dict[str, Any]] = []
    for k in range(size):
        documents.append(document(k, documents, rng))
    known = {d["id"]: (curves_of(k), fingerprint(k)) for k, d in enumerate(documents)}
    process, lag, parents = psutil.Process(), 4, 3
    reader, potential = Reader(), Potential()
    spent: dict[str, list[float]] = {name: [] for name in ("read", "learn", "select")}
    memory = []
    for number in range(rounds):
        first = size - (rounds - number) * parents + 1
        rows = [{**d} for d in documents[:first]]  # new dictionaries each time, as the engine makes them
        started = time.thread_time()
        candidates = reader.seen(rows, range(first - lag), lambda id: known[id][0], lambda id: known[id][1])
        read = time.thread_time()
        beliefs = potential.beliefs(candidates)
        learnt = time.thread_time()
        select_round(candidates, seed=1, round=number, parents=parents, potential=beliefs)
        chosen = time.thread_time()
        for name, seconds in (("read", read - started), ("learn", learnt - read), ("select", chosen - learnt)):
            spent[name].append(seconds)
        memory.append(process.memory_info().rss / 2**20)
    print(f"{size} candidates, {rounds} rounds, seconds of CPU, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, times in spent.items():
        rest = sorted(times[1:])
        print(f"{name:8} first {times[0]:.3f} s, median {statistics.median(rest):.3f}, slowest {rest[-1]:.3f}")
    path = [r + s for r, s in zip(spent["read"], spent["select"], strict=True)][1:]
    print(f"on the event loop: median {statistics.median(path):.3f} s, slowest {max(path):.3f} s")
    tenths = " ".join(f"{memory[i]:.0f}" for i in range(0, rounds, max(rounds // 10, 1)))
    print(f"memory: {tenths} MiB after every tenth of the rounds")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


TRAP, KEY, LOCKED = 6, ("K0", "K1", "K2"), 6
ARMS = {
    "random parents": None,
    "the root alone": None,
    "performance": Weights(1, 0, 0, 0),
    "diversity": Weights(0, 1, 0, 0),
    "pareto": Weights(0, 0, 1, 0),
    "bayes": Weights(0, 0, 0, 1),
    "performance and bayes": Weights(1, 0, 0, 1),
    "all but bayes": Weights(0.4, 0.2, 0.2, 0.0),
    "all (default)": Weights(),
}


def truth(names: frozenset[str]) -> float:
    """Overall without noise. Easy mechanisms give half a point each and no more than three points together. Keys cost
    four points, and only with a key do locked mechanisms give three points each instead of taking one: who has a key
    scores low, and has the better descendants.
    """
    easy = min(sum(n.startswith("E") for n in names) * 0.5, 3.0)
    locked = sum(n.startswith("L") for n in names)
    has_key = any(n in KEY for n in names)
    return 40 + easy + (3.0 * locked - 4.0 if has_key else -1.0 * locked)


def landscape_search(arm: str, weights: Weights | None, seed: int, candidates: int, lag: int) -> list[Evidence]:
    """Rounds of three; a child adds one mechanism at random; every task has noise of its own (1.3 on Overall)."""
    rng = random.Random(f"{arm} {seed}")
    pool = [*(f"E{i}" for i in range(TRAP)), *KEY, *(f"L{i}" for i in range(LOCKED))]
    potential, found = Potential(), [_made("c000", None, frozenset(), 0, rng)]
    for k in range(1, candidates + 1):
        number, first = round_of(k, 3)
        if k == first:
            shown = [
                c if i <= first - lag else replace(c, status="queued", overall=None, benchmarks={})
                for i, c in enumerate(found)
            ]
            if weights:
                beliefs = potential.beliefs(shown) if weights.bayes else {}
                chosen = [
                    s.parent for s in select_round(shown, seed=seed, round=number, weights=weights, potential=beliefs)
                ]
            elif arm == "random parents":
                chosen = rng.choices([c.id for c in shown if c.eligible], k=3)
            else:
                chosen = ["c000"] * 3
        parent = next(c for c in found if c.id == chosen[k - first])
        names = frozenset(m.name for m in parent.mechanisms)
        child = names | {rng.choice([n for n in pool if n not in names] or pool)}
        found.append(_made(f"c{k:03d}", parent.id, child, parent.depth + 1, rng))
    return found


def _made(id: str, parent: str | None, names: frozenset[str], depth: int, rng: random.Random) -> Evidence:
    value = truth(names)
    rows = {t: Benchmark(v := value + rng.gauss(0, 3.2), v - 4, v + 4, "avg@4") for t in TASKS}
    choices = tuple(MechanismChoice(name, {}) for name in sorted(names))
    overall = statistics.fmean(b.value for b in rows.values())
    return Evidence(id, id, parent, "scored", choices, overall, rows, depth=depth)


def terms(seeds: int, candidates: int) -> None:
    """One row an arm: what it found, whom it chose, how far it spread."""
    print(f"{candidates} candidates, {seeds} seeds; mean +- standard error")
    print("| weights | best true Overall | parents with a key | lineages with children | parents on the Pareto front |")
    print("|---|---|---|---|---|")
    for arm, weights in ARMS.items():
        rows = []
        for seed in range(seeds):
            found = landscape_search(arm, weights, seed, candidates, lag=4)
            by_id = {c.id: c for c in found}
            parents = [by_id[c.parent] for c in found if c.parent is not None]
            names = [{m.name for m in p.mechanisms} for p in parents]
            front = fronts(found)
            rows.append((
                max(truth(frozenset(m.name for m in c.mechanisms)) for c in found),
                100 * statistics.fmean(bool(n & set(KEY)) for n in names),
                len({branches(found)[p.id] for p in parents}),
                100 * statistics.fmean(front[p.id] == 0 for p in parents),
            ))  # fmt: skip
        cells = [_with_error([row[i] for row in rows]) for i in range(4)]
        print(f"| {arm} | {cells[0]} | {cells[1]} % | {cells[2]} | {cells[3]} % |", flush=True)


def _with_error(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f} +- {error:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "terms"))
    parser.add_argument("--candidates", type=int, help="10,000 for speed, 60 for terms")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=40)
    options = parser.parse_args()
    if options.what == "speed":
        speed(options.candidates or 10_000, options.rounds)
    else:
        terms(options.seeds, options.candidates or 60)


if __name__ == "__main__":
    main()
