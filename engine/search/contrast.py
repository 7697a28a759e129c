"""A candidate against its parent, in figures: which curve parted when, which task paid, and what that teaches.

Both trainings see the same prompts in the same order, so their curves are compared update by update.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from engine.search.curves import Curves
from engine.search.evidence import Benchmark, Evidence
from engine.search.findings import Finding, Verdict
from engine.search.gains import changes

Z95 = 1.959964
WINDOW = 5
"""Updates that a moving mean spans."""
APART = 3.0
"""Standard errors of the moving mean by which two curves must differ to be apart."""
SMALLEST = 0.02
"""Of the larger curve's size: differences below that are nothing, however quiet the curves."""
CONTROL = "control"


@dataclass(frozen=True)
class Parting:
    """A curve that ended elsewhere than the parent's."""

    curve: str
    update: int
    """From which on they are apart to the end, from 1."""
    share: float
    """`update` as a share of the training, in (0, 1]."""
    end: float
    """Mean of the last quarter, ours."""
    before: float
    """The parent's."""

    @property
    def word(self) -> str:
        """`higher` or `lower`."""
        return "higher" if self.end > self.before else "lower"

    def sentence(self) -> str:
        """In words."""
        return (
            f"{self.curve.replace('_', ' ')} is {self.word} than the parent's from update {self.update} on, "
            f"in the end {self.end:.3g} against {self.before:.3g}"
        )


def overall_difference(candidate: Evidence, parent: Evidence) -> tuple[float, float] | None:
    """Overall minus the parent's, and half the 95 % interval of that, from the tasks' intervals.

    These are over problems: noise between training seeds is not in it. Tasks scored by pass@k weigh 0.2, the
    others 0.15 (arXiv 2603.23951).
    """
    if candidate.overall is None or parent.overall is None:
        return None
    weights = {t: 0.2 if b.metric.startswith("pass@") else 0.15 for t, b in candidate.benchmarks.items()}
    total = sum(weights.values())
    pairs = [(w / total, candidate.benchmarks[t], parent.benchmarks.get(t)) for t, w in weights.items()]
    variance = sum((w * _error(b)) ** 2 + ((w * _error(p)) ** 2 if p else 0.0) for w, b, p in pairs)
    return candidate.overall - parent.overall, Z95 * math.sqrt(variance)


def partings(ours: Curves | None, before: Curves | None) -> list[Parting]:
    """The curves that parted for good, the earliest first.

    Two curves are apart where the moving mean of their difference exceeds `APART` of its standard errors. These come
    from the difference's own jitter: the median absolute step from one update to the next.
    """
    if ours is None or before is None or not ours.updates or not before.updates:
        return []
    found = []
    for name, row in ours.rows.items():
        trend, other = ours.trends.get(name), before.trends.get(name)
        pairs = list(zip(row, before.rows.get(name, ()), strict=False))
        if trend is None or other is None or len(pairs) < 2 * WINDOW:
            continue
        gaps = [a - b if a is not None and b is not None else None for a, b in pairs]
        at = _apart_from(gaps, SMALLEST * max(abs(trend.end), abs(other.end)))
        if at is not None and (trend.end - other.end) * _last(gaps) > 0:
            share = (at + 1) / len(gaps)
            found.append(Parting(name, max(1, round(share * ours.updates)), share, trend.end, other.end))
    return sorted(found, key=lambda p: (p.update, p.curve))


def paid(candidate: Evidence, parent: Evidence) -> list[tuple[str, float, float]]:
    """Tasks that differ by more than the 95 % interval: (task, difference, half the interval), the largest first."""
    found = []
    for task, b in candidate.benchmarks.items():
        before = parent.benchmarks.get(task)
        if before is not None:
            difference, margin = b.value - before.value, Z95 * math.hypot(_error(b), _error(before))
            if abs(difference) > margin:
                found.append((task, difference, margin))
    return sorted(found, key=lambda row: -abs(row[1]))


def findings(
    candidate: Evidence,
    parent: Evidence | None,
    curves: Curves | None,
    before: Curves | None,
    advice: str | None = None,
) -> tuple[Finding, ...]:
    """What a candidate teaches about the mechanisms it changed; nothing for a root, the figures decide.

    The first finding is about Overall, the others about tasks that paid or lost. The hypothesis behind a change
    is confirmed when the gain exceeds its 95 % interval over problems, refuted when the loss does, else untested.

    Args:
        candidate: scored or failed.
        parent: what it changed.
        curves: of its training.
        before: of the parent's.
        advice: what to try next.
    """
    if parent is None or candidate.status in ("pruned", "duplicate"):
        return ()
    added, removed, tuned = changes(parent.mechanisms, candidate.mechanisms)
    about = (*(m.name for m in added), *(m.name for m in tuned), *(f"without {m.name}" for m in removed))
    if not about:
        return ()
    difference = overall_difference(candidate, parent)
    if difference is None:
        cause = (candidate.cause or candidate.status).strip()
        again = ", ".join(about)
        return (Finding(about, f"no score: {cause}", never=f"{again} on {parent.name} in this form"),)
    gain, margin = difference
    verdict: Verdict = "confirmed" if gain > margin else "refuted" if gain < -margin else "untested"
    told = [p.sentence() for p in partings(curves, before)[:2]]
    when = "" if candidate.fidelity >= 1 else f" after {candidate.fidelity:.0%} of a training"
    effect = f"Overall {gain:+.1f} ± {margin:.1f} over {parent.name}{when}" + "".join(f"; {line}" for line in told)
    never = f"{', '.join(about)} on {parent.name} with these constants" if verdict == "refuted" else None
    rung = candidate.fidelity
    found = [Finding(about, effect, verdict, None, round(gain, 3), round(margin, 3), advice, never, rung)]
    for task, more, within in paid(candidate, parent)[:3]:
        held: Verdict = "confirmed" if more > 0 else "refuted"
        found.append(
            Finding(about, f"{task} {more:+.1f} ± {within:.1f}", held, f"task {task}", more, within, rung=rung)
        )
    return tuple(found)


def _apart_from(gaps: Sequence[float | None], smallest: float) -> int | None:
    """The index from which on the moving mean stays apart from zero on one side."""
    known = [g for g in gaps if g is not None]
    steps = [abs(b - a) for a, b in pairwise(known)]
    if not steps:
        return None
    # A normal step's median absolute value is 0.954 standard deviations (0.6745 * sqrt 2).
    error = median(steps) / 0.954 / math.sqrt(WINDOW)
    bar, start, side = max(APART * error, smallest), None, 0.0
    for i in range(len(gaps) - WINDOW + 1):
        window = [g for g in gaps[i : i + WINDOW] if g is not None]
        mean = fmean(window) if window else 0.0
        if abs(mean) <= bar:
            start = None
        elif start is None or mean * side < 0:
            start, side = i, mean
    return start


def _last(gaps: Sequence[float | None]) -> float:
    tail = [g for g in gaps[-WINDOW:] if g is not None]
    return fmean(tail) if tail else 0.0


def _error(b: Benchmark) -> float:
    return (b.high - b.low) / (2 * Z95)
