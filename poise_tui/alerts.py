"""What is worth a notice while one looks elsewhere: a new best, a failure, a budget that runs out, an end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from poise_tui.format import number, signed
from poise_tui.snapshot import ENDED, Run, Snapshot

THRESHOLDS = (0.8, 1.0)
"""Parts of a budget at which one is told."""
NAMED = 3
"""How many failures are told by name."""


@dataclass(frozen=True)
class Alert:
    """One notice."""

    title: str
    text: str
    severity: Literal["information", "warning", "error"] = "information"


def alerts(before: Snapshot, after: Snapshot, then: float, now: float) -> Iterator[Alert]:
    """What happened between two moments of a run that was followed all the time.

    Args:
        before, after: the same run; nothing is said about what was the case before.
        then, now: unix times of the two.
    """
    if before.run is None or after.run is None:
        return
    yield from _best(before, after)
    yield from _failures(before, after)
    yield from _budgets(before.run, after.run, then, now)
    yield from _ends(before.run, after.run)


def _best(before: Snapshot, after: Snapshot) -> Iterator[Alert]:
    best, known = after.best, before.best
    if best is None or best.parent is None or (known is not None and best.id == known.id):
        return
    gain = "" if best.gain is None else f", {signed(best.gain.value)} over the root: {best.gain.mark}"
    yield Alert("new best", f"{best.id} {best.name}: {number(best.overall)}{gain}")


def _failures(before: Snapshot, after: Snapshot) -> Iterator[Alert]:
    if before.candidates is after.candidates:
        return
    known = before.candidates
    failed = [c for c in after.candidates.values() if c.status == "failed" and known.get(c.id) is not c]
    failed = [c for c in failed if (old := known.get(c.id)) is None or old.status != "failed"]
    if not failed:
        return
    words = "; ".join(f"{c.id} {c.name}: {c.cause or 'failed'}" for c in failed[:NAMED])
    more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    yield Alert("failed", words + more, "error")


def _budgets(before: Run, after: Run, then: float, now: float) -> Iterator[Alert]:
    was, used = _spent(before, then), _spent(after, now)
    for name, limit in after.limits.items():
        passed = [part for part in THRESHOLDS if was[name] < part * limit <= used[name]]
        if passed and limit > 0:
            yield Alert("budget", f"{passed[-1]:.0%} of {limit:g} {name} used", "warning")


def _spent(run: Run, now: float) -> dict[str, float]:
    return {"hours": run.elapsed(now) / 3600, "GPU hours": run.gpu_seconds / 3600, "usd": run.usd}


def _ends(before: Run, after: Run) -> Iterator[Alert]:
    if after.shown != before.shown and after.shown in ENDED:
        yield Alert("run", f"{after.id} {after.shown}", "error" if after.shown == "dead" else "information")
    if after.silent_since is not None and before.silent_since is None:
        yield Alert("engine", "says nothing any more: it may hang", "warning")
