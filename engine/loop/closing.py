"""The end of a search before its last candidate: what is left of a budget goes to telling the best apart.

A search whose money is used up needs none to confirm what it found; one whose hours come to an end keeps as many as
the confirmation of its best will take. What is under way then is trained and judged as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from engine.archive.store import Document
from engine.loop.book import decided, slot_of
from engine.loop.budget import busy_seconds

if TYPE_CHECKING:
    from engine.loop.engine import Engine

MOST = 0.5
"""Of a budget of hours: what is kept for the confirmation at most."""


def close_search(engine: Engine, reason: str) -> None:
    """Let no further decision be made; the run ends once its best are confirmed, or not."""
    book = engine.book
    last = max(slot_of(node) for node in decided(book.candidates))
    book.set_run(closed={"candidates": last, "reason": reason})
    book.log(f"the search ends with {last} candidates: {reason}")


def time_to_confirm(engine: Engine, wall: float) -> str | None:
    """Why the search must end now if its best are to be confirmed in time; None while it may go on.

    Args:
        wall: seconds that engines have worked on the run.
    """
    hours = engine.book.run["budget"].get("hours")
    if not hours:
        return None
    needed = confirmation_seconds(engine.config.profile, list(engine.book.trials.values()), engine.config.workers)
    if needed is None or wall < hours * 3600 - min(needed, MOST * hours * 3600):
        return None
    return f"what is left of {hours:g} h is for the confirmation of the best"


def confirmation_seconds(profile: Mapping[str, Any], trials: list[Document], workers: int) -> float | None:
    """Seconds from the last decision to the last verdict, if it takes all its looks; None before a training has ended.

    That is what is under way (`lag` at most), who goes on at the end, the finalists' further seeds and every training
    of the confirmation, each as long as the median of those that went to the end. 0 if nothing is confirmed by itself.
    """
    table, rungs = profile.get("confirm", {}), profile["search"].get("rungs", {"finalists": 0, "finalist_seeds": 1})
    if not table.get("candidates"):
        return 0.0
    ended = [busy_seconds(trial) for trial in trials if trial["status"] == "scored" and trial["rung"] == 1.0]
    whole = [seconds for seconds in ended if seconds]  # what another run trained cost this one nothing
    if not whole:
        return None
    finalists = rungs["finalists"] * max(rungs["finalist_seeds"] - 1, 0)
    trainings = table["candidates"] + finalists + (table["candidates"] + 1) * table["seeds"]
    return float(median(whole) * (profile["search"]["lag"] + trainings) / workers)
