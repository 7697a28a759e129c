"""What a candidate's document says of its trainings: the score at every rung it reached, and its gain over the root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from engine.archive.store import Document
from engine.loop.book import Book, root_id
from engine.stats.noise import gain


def derive(book: Book, candidate: str) -> None:
    """Take a candidate's figures from its own trainings; the root's change those of everybody compared with it."""
    book.update(candidate, **figures(book, candidate))
    if candidate == root_id():
        complete = {at for at in rungs_of(book.root_trials()) if noise_known(book, at)}
        for other in book.candidates.values():
            stale = other["gain"] is None or other["gain"]["root_seeds"] != len(book.root_trials())
            if other["id"] != root_id() and not other.get("prior") and other["fidelity"] in complete and stale:
                book.update(other["id"], gain=_gain(book, other["rungs"][-1]))


def figures(book: Book, candidate: str) -> Document:
    """The fields that depend on trials; a score is the mean over the trainings that reached the furthest rung."""
    trials = book.root_trials() if candidate == root_id() else book.own_trials(candidate)
    every = book.trials_of(candidate)
    cost = dict(book.candidates[candidate]["cost"])
    cost["train_seconds"] = round(sum(t["cost"]["train_seconds"] for t in every), 3)
    cost["gpu_seconds"] = round(sum(t["cost"]["gpu_seconds"] for t in every), 3)
    fields: Document = {"cost": cost, "flags": [flag for t in every for flag in t.get("flags", ())]}
    reached = rungs_of(trials)
    fields["rungs"] = list(reached.values())
    fields["seeds"] = [t["seed"] for t in trials if t["status"] == "scored"]
    if reached:
        last = fields["rungs"][-1]
        fields |= {"fidelity": last["rung"], "overall": fmean(last["overalls"])}
        fields["benchmarks"] = mean_benchmarks(
            r["benchmarks"] for t in trials for r in t["rungs"] if r["rung"] == last["rung"]
        )
        fields["gain"] = None if candidate == root_id() else _gain(book, last)
    return fields


def result_of(book: Book, candidate: str) -> Document | None:
    """What decisions and reflections see of a candidate: its means at every rung. None without any score.

    Trainings that come later, to tell the best apart, do not change it.
    """
    rungs = means(book.own_trials(candidate))
    return {"rung": rungs[-1]["rung"], "rungs": rungs} if rungs else None


def means(trials: Iterable[Document]) -> list[dict[str, Any]]:
    """`{"rung", "overall", "benchmarks"}` of every rung that these trials reached, ascending: means over them."""
    found: dict[float, list[Document]] = {}
    for trial in trials:
        for r in trial["rungs"]:
            found.setdefault(r["rung"], []).append(r)
    return [
        {
            "rung": rung,
            "overall": fmean(r["overall"] for r in scores),
            "benchmarks": mean_benchmarks(r["benchmarks"] for r in scores),
        }
        for rung, scores in sorted(found.items())
    ]


def rungs_of(trials: Iterable[Document]) -> dict[float, dict[str, Any]]:
    """`{"rung", "updates", "seeds", "overalls"}` of every rung that some of these trials reached, ascending."""
    found: dict[float, dict[str, Any]] = {}
    for trial in trials:
        for r in trial["rungs"]:
            entry = {"rung": r["rung"], "updates": r["updates"], "seeds": [], "overalls": []}
            at = found.setdefault(r["rung"], entry)
            at["seeds"].append(trial["seed"])
            at["overalls"].append(r["overall"])
    return dict(sorted(found.items()))


def scores_at(trials: Iterable[Document], rung: float) -> list[float]:
    """Overall of those trials that reached a rung, in their order."""
    return [float(r["overall"]) for t in trials for r in t["rungs"] if r["rung"] == rung]


def noise_known(book: Book, rung: float) -> bool:
    """Whether every training of the root has its score at this rung, or never will."""
    return all(
        t["status"] in ("scored", "failed", "stopped") or any(r["rung"] == rung for r in t["rungs"])
        for t in book.root_trials()
    )


def mean_benchmarks(benchmarks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The tasks' scores over several trainings: means, of the intervals' ends too (these are over problems)."""
    found: Sequence[Mapping[str, Any]] = list(benchmarks)
    if len(found) < 2:
        return dict(found[0]) if found else {}
    return {
        task: {
            **first,
            "value": fmean(b[task]["value"] for b in found),
            "ci": [fmean(b[task]["ci"][end] for b in found) for end in (0, 1)],
        }
        for task, first in found[0].items()
    }


def _gain(book: Book, last: Mapping[str, Any]) -> Document | None:
    """Over the root at the same rung; None until all of its trainings are there, so that it changes once only."""
    if not noise_known(book, last["rung"]):
        return None
    found = gain(last["overalls"], scores_at(book.root_trials(), last["rung"]))
    return None if found is None else {"rung": last["rung"], **asdict(found)}
