"""The verdict of a confirmation: at each look the candidate's fresh scores against the root's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.archive.files import read_limited
from engine.scoring.estimators import problem_values
from engine.stats.bootstrap import Values, crossed
from engine.stats.confirm import Plan, judge
from engine.tasks import load_taskset

Document = dict[str, Any]
MOST_BYTES = 1 << 26
"""Of scores.json: the outcome of every sample of every problem."""
LOOK = ("seeds", "verdict", "gain", "low", "high", "p", "nominal")


def overall_of(trial: Mapping[str, Any]) -> float:
    """A training's score; one that failed counts as 0, so that an algorithm that sometimes fails is that much worse."""
    return float(trial["overall"]) if trial["status"] == "scored" else 0.0


def judge_look(
    study: Document,
    own: Mapping[str, Sequence[Document]],
    root: Sequence[Document],
    tasks: Mapping[str, Any],
    scores: Callable[[str], Path],
) -> tuple[dict[str, Document], dict[str, Document | None]]:
    """What the coming look says of each candidate, and the crossed interval of those on whom it decides.

    Args:
        study: its document.
        own: trials of each candidate that is open; `root`: of the root; see `judge_node`.
        tasks: the profile's table.
        scores: the file of a trial's outcomes, by its id.
    """
    weights = load_taskset(tasks["name"], tasks.get("options")).weights
    judged = {node: judge_node(study, node, found, root, study["look"]) for node, found in own.items()}
    decided = [node for node, look in judged.items() if look["verdict"] != "continue"]
    return judged, {node: crossed_interval(own[node], root, scores, weights) for node in decided}


def judge_node(study: Document, node: str, own: Sequence[Document], root: Sequence[Document], look: int) -> Document:
    """What a look says of one candidate.

    Args:
        study: its document.
        own, root: the trials of both arms up to this look, by seed; all of them over, the root's scored.
        look: 0 is the first.

    Returns:
        `{"seeds", "verdict", "gain", "low", "high", "p", "nominal", "power", "failed", "line"}`; the verdict may be
        "continue".
    """
    plan = Plan(tuple(study["looks"]), study["alpha"][node])
    judged = judge([overall_of(t) for t in own], [overall_of(t) for t in root], plan, look)
    failed = sum(t["status"] == "failed" for t in own)
    return {name: getattr(judged, name) for name in LOOK} | {
        "power": asdict(judged.power),
        "failed": failed,
        "line": judged.line + told_failures(failed),
    }


def confirmed(study: Document, node: str, looks: Sequence[Document], bootstrap: Document | None) -> Document:
    """The field `confirmed` of a candidate, once its last look has decided.

    Args:
        study: its document.
        looks: of this candidate, see `judge_node`.
        bootstrap: see `crossed_interval`.
    """
    last = looks[-1]
    return {
        "verdict": last["verdict"],
        "study": study["id"],
        **{name: last[name] for name in ("gain", "low", "high", "p", "nominal", "seeds", "power", "failed", "line")},
        "root_seeds": last["seeds"],
        "alpha": study["alpha"][node],
        "looks": [{name: look[name] for name in LOOK} for look in looks],
        "bootstrap": bootstrap,
    }


def crossed_interval(
    own: Sequence[Document], root: Sequence[Document], scores: Callable[[str], Path], weights: Mapping[str, float]
) -> Document | None:
    """`{"low", "high"}` of the gain by drawing seeds and problems anew; None where outcomes cannot be read.

    Args:
        own, root: the trials of both arms.
        scores: the file of a trial's outcomes, by its id.
        weights: of the tasks in Overall.
    """
    try:
        reference = _by_task(root, scores, {})
        sizes = {task: len(rows[0]) for task, rows in reference.items()}
        low, high = crossed(_by_task(own, scores, sizes), reference, weights)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return {"low": low, "high": high}


def told_failures(failed: int) -> str:
    """What to add to a line about trainings that failed."""
    match failed:
        case 0:
            return ""
        case 1:
            return "; a training of it failed and counts as 0"
        case _:
            return f"; {failed} trainings of it failed and count as 0"


def _by_task(trials: Sequence[Document], scores: Callable[[str], Path], sizes: Mapping[str, int]) -> Values:
    """One row a training, one value a problem; where the training failed it is zeros, so many as `sizes` says."""
    rows: dict[str, list[Sequence[float]]] = {}
    for trial in trials:
        if trial["status"] == "failed":
            found: dict[str, Sequence[float]] = {task: [0.0] * size for task, size in sizes.items()}
        else:
            outcomes = json.loads(read_limited(scores(trial["id"]), MOST_BYTES))["outcomes"]
            found = {
                task: problem_values(table, _k(trial["benchmarks"][task]["metric"])) for task, table in outcomes.items()
            }
        for task, values in found.items():
            rows.setdefault(task, []).append(values)
    return rows


def _k(metric: str) -> int:
    """The k of "pass@k"; avg@n is pass@1."""
    kind, _, number = metric.partition("@")
    return int(number) if kind == "pass" else 1
