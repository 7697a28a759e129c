"""Which scores are too good to be taken at once: rules over settled results and the trial's own files, in sentences.

A flagged score is no accusation. It is measured again on fresh problems, and that figure counts: whoever knew the first
problems, or was lucky with them, loses what it gained by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any

from engine.search.curves import Curves, Trend

JUMP = 3.0
"""Standard errors above the best score known that are a jump."""
RISE = 2.0
"""Standard errors above the parent's score that are a rise."""
ODD_SHARE = 0.25
"""By which the shares of truncated or invalid responses may differ between the end of training and the scoring."""
ODD_LENGTH = 2.0
"""The factor by which mean lengths may differ."""


@dataclass(frozen=True)
class Known:
    """What the candidate's decision had seen, so the same at any timing.

    Attributes:
        best: the highest Overall of all results; None where none had settled.
        parent: the parent's Overall, where its result was among them.
        adapters: sha256 of earlier adapters, with the candidate they belong to.
    """

    best: float | None
    parent: float | None
    adapters: Mapping[str, str]


def flags(score: Mapping[str, Any], curves: Curves | None, adapter: str | None, known: Known) -> list[str]:
    """Why a score should be measured again; empty where nothing is odd.

    Args:
        score: the scorer's data: "overall", "standard_error" and "responses".
        curves: of the training, as its process wrote them.
        adapter: sha256 of its weights.
        known: what to compare with.
    """
    overall, noise = float(score["overall"]), sqrt(2) * float(score["standard_error"])
    found = []
    if known.best is not None and overall - known.best > JUMP * noise:
        found.append(
            f"jump: Overall {overall:.2f} is {overall - known.best:.2f} above the best result before it, more than "
            f"{JUMP:g} standard errors ({noise:.2f})"
        )
    if known.parent is not None and overall - known.parent > RISE * noise and not _learned(curves):
        found.append(
            f"no gain in training: neither reward nor correct answers rose, but Overall by {overall - known.parent:.2f}"
        )
    found += _odd_responses(score["responses"], curves)
    if adapter is not None and adapter in known.adapters:
        found.append(f"copy: its adapter is that of {known.adapters[adapter]}, byte for byte")
    return found


def against(base: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A control's score beside the base it was trained from.

    Returns:
        `{"warm_start", "overall", "difference", "standard_error", "verdict"}`; the verdict is "at", "below" or "above"
        the warm start, at RISE standard errors of the difference.
    """
    difference = float(after["overall"]) - float(base["overall"])
    error = hypot(base["standard_error"], after["standard_error"])
    verdict = "at" if abs(difference) <= RISE * error else "above" if difference > 0 else "below"
    return {
        "warm_start": base["overall"],
        "overall": after["overall"],
        "difference": difference,
        "standard_error": error,
        "verdict": verdict,
    }


def _learned(curves: Curves | None) -> bool:
    if curves is None:
        return False
    trends = (curves.trends.get(name) for name in ("reward", "correct"))
    return any(trend is not None and trend.change > 0 for trend in trends)


def _odd_responses(said: Mapping[str, float], curves: Curves | None) -> list[str]:
    ends = {name: _end(curves, name) for name in ("length", "truncated", "invalid")}
    found = []
    for name in ("truncated", "invalid"):
        end = ends[name]
        if end is not None and abs(said[name] - end) > ODD_SHARE:
            found.append(f"responses: {said[name]:.0%} {name} when scored, {end:.0%} at the end of training")
    length = ends["length"]
    if length is not None and not length / ODD_LENGTH <= said["length"] <= length * ODD_LENGTH:
        found.append(f"responses: {said['length']:.1f} tokens when scored, {length:.1f} at the end of training")
    return found


def _end(curves: Curves | None, name: str) -> float | None:
    trend: Trend | None = curves.trends.get(name) if curves is not None else None
    return None if trend is None else trend.end
