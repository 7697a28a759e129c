"""Are gains of a known size found? Planted ones, and known algorithms, hidden among copies of the root.

    OMP_NUM_THREADS=1 python -P -m benchmarks.planted [--searches 500] [--out FILE.json] [--picture FILE.svg]

Noise is that of the root's recorded trainings, in the search and in the confirmation. The unit of a gain is the
noise-std: the std of the root's trainings at their end. `docs/evidence.md` reads the tables.
What is planted, and how much of it is there at a rung, is told by `benchmarks.hidden`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dealing import Array, Deck
from benchmarks.discoveries import CANDIDATES, TINY, Confirmation, Discovery, Protocol, discover, scheduled
from benchmarks.hidden import Draw, early, known, known_gains, planted, twice
from benchmarks.landscape.design import ROOT_SEEDS, SUBSETS
from benchmarks.landscape.views import STOPS, Landscape, landscape
from engine.errors import Exit, PoiseError

GAINS = (1.0, 2.0, 3.0, 4.0)
"""Planted, in noise-stds."""
COUNTS = (1, 3)
"""So many at once."""
BANDS = ((0.5, 1.5), (1.5, 2.5), (2.5, 3.5), (3.5, 4.5), (4.5, np.inf))
"""Of known gains, in noise-stds."""
FEWEST_TWICE = 64
"""Subsets trained twice without which nothing is told of rungs."""

SCHEDULES = ((4, 12), (8, 24), (12, 24), (12,), (24,))
"""Of rungs, compared for one planted gain."""
SCHEDULED = (2.0, 3.0)
KINDS = {
    "planted": "planted gains, noise-stds",
    "known": "one known algorithm, by its gain in noise-stds",
    "schedules": "one planted gain, other rungs",
}
"""Tables."""

PANELS = {"planted": "one planted gain", "known": "one known algorithm"}
WAYS = {"ours": ("#0f766e", "rungs, finalists"), "everybody": ("#b45309", "all trained to the end")}


def powers(protocol: Protocol, trainings: Array, draw: Draw, searches: int, seed: int) -> dict[str, Any]:
    """What became of the good ones: figures of ours, and of training everybody to the end once.

    Shares are per good candidate, but those of whole searches: that a copy of the root is confirmed, and costs.
    """
    rng, ours, full = np.random.default_rng(seed), [], []
    for _ in range(searches):
        population, good = draw(rng)
        found = discover(protocol, Deck(rng, trainings, anew=True), population)
        best = found.best()
        ours.append(outcome(found, good, best, found.search.share) | {"ended": share(found.search.ended, good)})
        full.append(outcome(found, good, found.best_of_everybody(), 1.0))
    return {"ours": summary(ours), "everybody": summary(full)}


def outcome(found: Discovery, good: list[int], best: list[int], trained: float) -> dict[str, float]:
    """Of one search whose `best` are confirmed, with fresh trainings."""
    study: Confirmation = found.confirm(best)
    told = {node for node, confirmed in zip(study.nodes, study.confirmed, strict=True) if confirmed}
    return {
        "chosen": share(best, good),
        "confirmed": share(told, good),
        "any confirmed": float(bool(told & set(good))),
        "a copy confirmed": float(bool(told - set(good))),
        "trained": trained,
        "confirmation": float(study.trainings),
    }


def share(of: Any, good: list[int]) -> float:
    """Of the good ones: how many are there."""
    return sum(node in of for node in good) / len(good)


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Means with their standard errors."""
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        name: {"mean": float(v.mean()), "error": float(v.std(ddof=1) / np.sqrt(len(v))) if len(v) > 1 else float("nan")}
        for name, v in values.items()
    }


def lines(table: Landscape) -> Iterator[tuple[dict[str, Any], Protocol, Draw]]:
    """What is hidden among the copies, and how it is searched, line by line."""
    std, gains = noise_std(table), known_gains(table)

    def row(kind: str, name: str, gain: float, protocol: Protocol = TINY, **more: Any) -> dict[str, Any]:
        return {"kind": kind, "name": name, "gain": gain, "rungs": protocol.updates[:-1], "count": 1} | more

    for count in COUNTS:
        for size in GAINS:
            draw = planted(early(TINY, table), size * std, count)
            yield row("planted", f"{count} of +{size:g}", size, count=count), TINY, draw
    for low, high in BANDS:
        if subsets := np.flatnonzero((gains >= low * std) & (gains < high * std)).tolist():
            name = f"+{low:g} to +{high:g}" if np.isfinite(high) else f"above +{low:g}"
            name, mean = f"{name} ({len(subsets)} algorithms)", float(gains[subsets].mean() / std)
            yield row("known", name, mean), TINY, known(TINY, table, gains, subsets)
    for updates in SCHEDULES:
        protocol = scheduled(*updates)
        for size in SCHEDULED:
            name = f"+{size:g}, rungs after {' and '.join(map(str, updates))}"
            yield row("schedules", name, size, protocol), protocol, planted(early(protocol, table), size * std, 1)


def noise_std(table: Landscape) -> float:
    """Of the root's trainings at their end, in points."""
    return float(table.root[:, -1].std(ddof=1))


def run(table: Landscape, searches: int, log: Callable[[str], None] = lambda _: None) -> Any:
    """All figures.

    Raises:
        PoiseError: see `Protocol.scores`.
    """
    began, rows = time.process_time(), []
    for seed, (row, protocol, draw) in enumerate(lines(table)):
        rows.append(row | powers(protocol, protocol.root(table, anyway=True), draw, searches, seed))
        log(f"{row['name']}: {100 * rows[-1]['ours']['confirmed']['mean']:.0f} % confirmed")
    stops = scheduled(*STOPS[:-1])
    model, root = early(stops, table), stops.root(table, anyway=True)
    return {
        "trainings": len(table.root),
        "algorithms_trained_twice": int(twice(table).sum()),
        "candidates": CANDIDATES,
        "searches": searches,
        "noise_std": noise_std(table),
        "noise_std_confirmation": float(table.root_confirmed.std(ddof=1)),
        "after_updates": {
            str(updates): {
                "part_of_the_gain": float(model.slope[i]),
                "own_way": float(np.sqrt((model.own_way[i] ** 2).sum())),
                "noise": float(root[:, i].std(ddof=1) / noise_std(table)),
            }
            for i, updates in enumerate(STOPS)
        },
        "cpu_seconds": round(time.process_time() - began, 1),
        "rows": rows,
    }


def markdown(document: dict[str, Any]) -> str:
    """For the docs."""
    said = (
        f"{document['searches']} searches a line, {document['candidates']} candidates each, noise of "
        f"{document['trainings']} real trainings of the root: std {document['noise_std']:.2f} points at the end, "
        f"{document['noise_std_confirmation']:.2f} on confirmation problems.\n"
    )
    text = [said, "| after updates | part of a gain that is there | goes its own way | noise |", "|---" * 4 + "|"]
    for updates, at in document["after_updates"].items():
        text.append(f"| {updates} | {at['part_of_the_gain']:.2f} | {at['own_way']:.2f} | {at['noise']:.2f} |")
    for kind, told in KINDS.items():
        head = f"| {told} | reach the end | among the best three | **confirmed** | trained | "
        head += "all trained: best three | all trained: confirmed | a copy confirmed |"
        text += ["", head, "|---" * 8 + "|"]
        for row in (r for r in document["rows"] if r["kind"] == kind):
            ours, full = row["ours"], row["everybody"]
            cells = [ours["ended"], ours["chosen"], ours["confirmed"], ours["trained"]]
            cells += [full["chosen"], full["confirmed"], ours["a copy confirmed"]]
            text.append(f"| {row['name']} | " + " | ".join(f"{100 * cell['mean']:.0f} %" for cell in cells) + " |")
    worst = max(cell["error"] for row in document["rows"] for cell in (row["ours"]["confirmed"], row["ours"]["chosen"]))
    ours, full = (np.mean([row[way]["confirmation"]["mean"] for row in document["rows"]]) for way in WAYS)
    return "\n".join(text) + (
        f"\n\nStandard errors at most {100 * worst:.1f} %. *Trained*: updates of the search with its finalists, as a "
        "share of training all candidates to the end once; the root's apart. "
        f"Confirmation is apart too: {ours:.0f} trainings on average, {full:.0f} where all were trained."
    )


def picture(document: dict[str, Any]) -> str:
    """Chance to be found and confirmed by gain, as SVG."""
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "planted", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    with mpl.rc_context(style | {"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(8, 3), layout="constrained")
        for axes, (kind, told) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
            rows = [row for row in document["rows"] if row["kind"] == kind and row["count"] == 1]
            for way, (colour, name) in WAYS.items():
                cells = [row[way]["confirmed"] for row in rows]
                y, error = [100 * cell["mean"] for cell in cells], [196 * cell["error"] for cell in cells]
                axes.errorbar(
                    [row["gain"] for row in rows], y, error, label=name, color=colour, marker="o", ms=4, capsize=2
                )
            axes.set(title=told, xlabel="gain, noise-stds", ylim=(-2, 102))
        figure.axes[0].set_ylabel("found and confirmed, %")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def check(table: Landscape, anyway: bool) -> None:
    """Whether the landscape says enough.

    Raises:
        PoiseError: refused (4): not yet, and not `anyway`.
    """
    TINY.root(table, anyway)
    both = int(twice(table).sum())
    if both < FEWEST_TWICE and not anyway:
        raise PoiseError(
            f"{both} of {SUBSETS} algorithms are trained twice, {FEWEST_TWICE} are needed: go on with "
            "`python -P -m benchmarks.landscape.train run`",
            Exit.REFUSED,
        )


def log(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Run all, print the tables, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=500)
    parser.add_argument("--anyway", action="store_true", help="with however little there is of the landscape")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "planted.json")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    table = landscape()
    try:
        check(table, options.anyway)
        log(f"{len(table.root)} of {ROOT_SEEDS} trainings of the root, {twice(table).sum()} of {SUBSETS} twice")
        document = run(table, options.searches, log)
    except PoiseError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        options.picture.write_text(picture(document))
    print(markdown(document))


if __name__ == "__main__":
    main()
