"""What each mechanism of a candidate pays, from trainings with some of them switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from engine.loop.confirming import overall_of, told_failures
from engine.stats.attribution import Arms, Attribution, Subset, attribute

Document = dict[str, Any]


def attribution(study: Document, names: Sequence[str], trials: Sequence[Sequence[Document]]) -> Document:
    """The field `attribution` of a candidate.

    Args:
        study: its document; the first arm has no mechanism.
        names: all mechanisms of the candidate.
        trials: of each arm, in the order of the study's arms, by seed; all of them over.
    """
    subsets: list[Subset] = [frozenset(), *(frozenset(names) - set(arm["off"]) for arm in study["arms"][1:])]
    overall = {subset: [overall_of(t) for t in arm] for subset, arm in zip(subsets, trials, strict=True)}
    margin = stdev(overall[frozenset()])
    found = attribute(names, overall, _by_task(subsets, trials), margin=margin)
    all = [trial for arm in trials for trial in arm]
    failed = sum(t["status"] == "failed" for t in all)
    told = "; ".join(f"{one.name} {_in_words(one)}" for one in found)
    return {
        "study": study["id"],
        "mechanisms": [asdict(one) | {"shapley": _shapley(one)} for one in found],
        "subsets": [
            {"on": [name for name in names if name in on], "mean": fmean(own), "std": stdev(own), "n": len(own)}
            for on, own in overall.items()
        ],
        "margin": margin,
        "failed": failed,
        "seconds": round(sum(t["cost"]["train_seconds"] + t["cost"]["score_seconds"] for t in all), 3),
        "line": told + told_failures(failed),
    }


def _by_task(subsets: Sequence[Subset], trials: Sequence[Sequence[Document]]) -> Mapping[str, Arms]:
    tasks = {task for arm in trials for trial in arm for task in trial["benchmarks"]}
    return {
        task: {
            on: [float(t["benchmarks"][task]["value"]) if t["status"] == "scored" else 0.0 for t in arm]
            for on, arm in zip(subsets, trials, strict=True)
        }
        for task in sorted(tasks)
    }


def _shapley(one: Attribution) -> Document | None:
    value = one.shapley
    return None if value is None else {"value": value.effect, "low": value.low, "high": value.high}


def _in_words(one: Attribution) -> str:
    off = one.off
    return f"{one.verdict} ({off.effect:+.1f} points, {off.low:+.1f} to {off.high:+.1f})"
