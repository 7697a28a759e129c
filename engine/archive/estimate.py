"""When a run will have ended and what it will yet cost, from the medians of what it has done so far."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import open_regular

TAIL_BYTES = 1 << 18
"""How much of llm.jsonl is looked at: its last dozen calls or more."""
UNTRAINED = ("infeasible", "duplicate")
UNFINISHED = ("queued", "training", "scoring", "paused", "waiting")
SETTLED = ("scored", "stopped", "failed")
"""Candidates that have had all the trainings that the search gives them."""
LEAST_LEFT = 0.25
"""Of a mean candidate: what one that has had that much already is still expected to take."""


def recent_calls(path: Path, limit: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The last calls of llm.jsonl, each with "purpose", "seed" (of the decision), "seconds" and "usd"; none if there is
    no such file.
    """
    try:
        handle = open_regular(path)
    except OSError:
        return []
    with open(handle, "rb", buffering=0):
        start = max(0, os.fstat(handle).st_size - limit)
        lines = os.pread(handle, limit, start).split(b"\n")[1 if start else 0 : -1]
    calls = []
    for line in lines:
        try:
            call = orjson.loads(line)
            calls.append(
                {
                    "purpose": str(call["purpose"]),
                    "seed": call["seed"],
                    "seconds": float(call["seconds"]),
                    "usd": float(call["usd"]),
                }
            )
        except (ValueError, KeyError, TypeError):
            continue
    return calls


def cost_to_go(
    run: Mapping[str, Any],
    candidates: Sequence[Mapping[str, Any]],
    trials: Sequence[Mapping[str, Any]],
    calls: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What is left of a run, as if nobody steered it any more and what comes is like what came.

    A decision waits for the results of all but the last `lag` candidates, decisions are made one at a time, and
    `workers` train side by side; the slowest of the three sets the pace. Where trainings stop at rungs, a candidate is
    expected to take the mean of what the settled ones took over all their trainings; what the root's seeds and the
    studies still lack counts in whole trainings, the confirmation at the end included; it may be over earlier.

    Args:
        run: the run's document.
        candidates, trials: the archive's documents.
        calls: of the language model, see `recent_calls`.

    Returns:
        `{"eta_seconds": float | None, "ends_by": "candidates" | "hours" | "gpu_hours" | "usd" | None,
        "to_go": {"candidates", "trials", "wall_seconds", "gpu_seconds", "llm_usd"},
        "medians": {"trial_seconds", "decision_seconds", "reflection_seconds", "candidate_usd"}}`. `to_go` is what the
        remaining candidates would take; the ETA also knows the other budgets. What nothing is known of yet is None.
    """
    done = [t for t in trials if t["status"] == "scored"]
    own = _by_candidate(trials)
    begun = [c for c in candidates if c["parent"] is not None and c["id"].startswith("c")]
    trial_seconds = _median(_busy(t) for t in done)
    decision_seconds = _median(_by_decision(calls, ("propose", "screen", "repair", "consistency"))) or 0.0
    decision_seconds += _median(c["verification"]["seconds"] for c in begun if _verified(c)) or 0.0
    reflection_seconds = _median(_by_decision(calls, ("reflect",))) or 0.0
    usd = _median(c["cost"]["llm_usd"] for c in begun if c["reflection"]) or 0.0
    left = 0 if run.get("closed") else max(0, run["budget"]["candidates"] - len(begun))
    # The share of decisions that lead to a training; all of them until one did not.
    trained = sum(c["status"] not in UNTRAINED for c in begun) / len(begun) if begun else 1.0
    settled = [own[c["id"]] for c in begun if c["status"] in SETTLED and c["id"] in own]
    each = statistics.fmean(map(sum, settled)) if settled else trial_seconds
    many = statistics.fmean(map(len, settled)) if settled else 1.0
    open_, planned = [t for t in trials if t["status"] in UNFINISHED], _planned(run, trials)
    to_go: dict[str, Any] = {
        "candidates": left,
        "trials": round(left * trained * many + len(open_) + planned, 1),
        "wall_seconds": None,
        "gpu_seconds": None,
        "llm_usd": round(left * usd, 6),
    }
    medians = {
        "trial_seconds": trial_seconds,
        "decision_seconds": decision_seconds,
        "reflection_seconds": reflection_seconds,
        "candidate_usd": usd,
    }
    eta, ends_by = None, None
    if trial_seconds is not None and each is not None:
        unsettled = {c["id"] for c in begun if c["status"] not in SETTLED} if settled else set()
        waiting = _waiting(open_, trial_seconds, unsettled) + planned * trial_seconds
        waiting += sum(max(each - sum(own[node]), LEAST_LEFT * each) for node in unsettled & {*map(_owner, open_)})
        one = decision_seconds + trained * (each + reflection_seconds)
        pace = max(trained * each / run["workers"], decision_seconds, one / run["lag"])
        wall = waiting / run["workers"] + ((left - 1) * pace + one if left else 0.0)
        gpus = _median(t["cost"]["gpu_seconds"] / _busy(t) for t in done if _busy(t)) or 0.0
        gpu = (waiting + left * trained * each) * gpus
        to_go |= {"wall_seconds": round(wall, 1), "gpu_seconds": round(gpu, 1)}
        eta, ends_by = _end(run, wall, gpu, to_go["llm_usd"])
    return {"eta_seconds": eta, "ends_by": ends_by, "to_go": to_go, "medians": medians}


def _end(run: Mapping[str, Any], wall: float, gpu: float, usd: float) -> tuple[float, str]:
    """Seconds to the end, and the budget that brings it."""
    budget, spent = run["budget"], run["spent"]
    ends = {"candidates": wall}
    if budget.get("hours"):
        ends["hours"] = budget["hours"] * 3600 - spent["wall_seconds"]
    # Money and GPU time run out in proportion.
    if budget.get("gpu_hours") and gpu:
        ends["gpu_hours"] = wall * (budget["gpu_hours"] * 3600 - spent["gpu_seconds"]) / gpu
    if budget.get("usd") and usd:
        ends["usd"] = wall * (budget["usd"] - spent["llm_usd"]) / usd
    by = min(ends, key=lambda name: ends[name])
    return round(max(0.0, ends[by]), 1), by


def _busy(trial: Mapping[str, Any]) -> float:
    return float(trial["cost"]["train_seconds"] + trial["cost"]["score_seconds"])


def _owner(trial: Mapping[str, Any]) -> str | None:
    return trial.get("candidate") if trial.get("purpose") in ("search", "control") else None


def _by_candidate(trials: Iterable[Mapping[str, Any]]) -> dict[str | None, list[float]]:
    """Seconds of each of the trainings that the search has given a candidate; the root's are a whole one each."""
    seconds: dict[str | None, list[float]] = defaultdict(list)
    for trial in trials:
        if (owner := _owner(trial)) is not None:
            seconds[owner].append(_busy(trial))
    return seconds


def _waiting(open_: Iterable[Mapping[str, Any]], whole: float, unsettled: set[Any]) -> float:
    """Seconds of the trainings under way that are whole ones: the root's, those of studies, all where none stops."""
    half = ("training", "scoring")
    return sum((0.5 if t["status"] in half else 1.0) * whole for t in open_ if _owner(t) not in unsettled)


def _planned(run: Mapping[str, Any], trials: Iterable[Mapping[str, Any]]) -> int:
    """Trainings of studies that are not made yet, if they go to their last look: of those that run, and of the one that
    will begin by itself.
    """
    wanted = {s["id"]: len(s["arms"]) * s["seeds"] for s in run.get("studies") or () if s["status"] == "running"}
    last = (run.get("closed") or run["budget"])["candidates"]
    confirm = run.get("confirm") or {"candidates": 0, "seeds": 0}
    if confirm["candidates"] and run.get("confirmed_after") != last:
        wanted["at the end"] = (confirm["candidates"] + 1) * confirm["seeds"]
    for trial in trials:
        if trial.get("study") in wanted:
            wanted[trial["study"]] -= 1
    return sum(max(0, left) for left in wanted.values())


def _verified(candidate: Mapping[str, Any]) -> bool:
    return bool(candidate["verification"]) and "seconds" in candidate["verification"]


def _by_decision(calls: Iterable[Mapping[str, Any]], purposes: Sequence[str]) -> list[float]:
    """Seconds of each decision's calls together."""
    seconds: dict[Any, float] = defaultdict(float)
    for call in calls:
        if call["purpose"] in purposes:
            seconds[call["seed"]] += call["seconds"]
    return list(seconds.values())


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
