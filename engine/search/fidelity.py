"""Scores of different rungs on one scale: what a candidate that stopped early would be expected to score at the end.

A gain over the root at a rung, times the slope that the run's own candidates show between gains there and gains at the
end, on top of the root's final score. It is an expectation and marked as one (`Evidence.fidelity` < 1); two candidates
are compared at the highest rung that both reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

WHOLE = 1.0
PRIOR_PAIRS = 2.0
"""Pairs of gains, each as large as the typical one at the rung, that a slope of 1 counts as."""
Rungs = Sequence[Mapping[str, Any]]
"""`{"rung", "overall", "benchmarks"}` of one candidate, ascending."""


@dataclass(frozen=True)
class Scale:
    """How rungs translate into final scores.

    Attributes:
        root: the root's mean results by rung; the whole training's among them.
        slopes: points at the end for each point of gain at a rung.
    """

    root: Mapping[float, Mapping[str, Any]]
    slopes: Mapping[float, float]

    def at_the_end(self, rungs: Rungs) -> dict[str, Any]:
        """A candidate's fields for `engine.search.evidence`: `{"overall", "benchmarks", "fidelity", "by_rung"}`.

        `by_rung` is the expected final Overall from each rung. A rung the root has no score at says nothing.
        """
        end = self.root.get(WHOLE)
        known = [r for r in rungs if r["rung"] == WHOLE or (r["rung"] in self.root and end is not None)]
        if not known:
            return {"overall": None, "benchmarks": {}, "fidelity": 0.0, "by_rung": {}}
        last = known[-1]
        return {
            "overall": self._overall(last),
            "benchmarks": self._benchmarks(last),
            "fidelity": last["rung"],
            "by_rung": {r["rung"]: self._overall(r) for r in known},
        }

    def _overall(self, at: Mapping[str, Any]) -> float:
        if at["rung"] == WHOLE:
            return float(at["overall"])
        gain = at["overall"] - self.root[at["rung"]]["overall"]
        return _within(self.root[WHOLE]["overall"] + self.slopes.get(at["rung"], 1.0) * gain)

    def _benchmarks(self, at: Mapping[str, Any]) -> dict[str, Any]:
        if at["rung"] == WHOLE:
            return dict(at["benchmarks"])
        before, end = self.root[at["rung"]]["benchmarks"], self.root[WHOLE]["benchmarks"]
        found = {}
        for task, b in at["benchmarks"].items():
            if task in before and task in end:
                value = _within(
                    end[task]["value"] + self.slopes.get(at["rung"], 1.0) * (b["value"] - before[task]["value"])
                )
                shift = value - b["value"]
                found[task] = {**b, "value": value, "ci": [_within(edge + shift) for edge in b["ci"]]}
        return found


def scale(root: Mapping[float, Mapping[str, Any]], others: Iterable[Rungs]) -> Scale:
    """Learn the slopes from those who were trained to the end.

    Args:
        root: the root's mean results by rung.
        others: results of the candidates that may be used.
    """
    whole = [
        {r["rung"]: float(r["overall"]) for r in rungs} for rungs in others if rungs and rungs[-1]["rung"] == WHOLE
    ]
    slopes = {}
    for rung in root:
        if rung == WHOLE or WHOLE not in root:
            continue
        x = [c[rung] - root[rung]["overall"] for c in whole if rung in c]
        y = [c[WHOLE] - root[WHOLE]["overall"] for c in whole if rung in c]
        # Shrunk towards 1 by some pairs as large as the mean one: a single lucky gain says little.
        weight = PRIOR_PAIRS * fmean(a * a for a in x) if x else 0.0
        below = sum(a * a for a in x) + weight
        slopes[rung] = (sum(a * b for a, b in zip(x, y, strict=True)) + weight) / below if below > 0 else 1.0
    return Scale(root, slopes)


def _within(score: float) -> float:
    return min(max(score, 0.0), 100.0)
