"""Budgets as a ledger: set aside before a step or call, settled after it, and nothing forgotten in a crash.

What is spent is read off the records (archived trials, llm.jsonl), never off a counter that could drift. What is set
aside is on disk before it is used: a crash between use and record leaves a reservation, which is then charged whole.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.archive.estimate import cost_to_go, recent_calls
from engine.errors import Exit, PoiseError
from engine.loop.machine import gpu_names

if TYPE_CHECKING:
    from engine.loop.book import Book

SLICE_SECONDS = 10.0
"""How far ahead running time is set aside on disk: what a crash can cost a budget of hours at most."""


class Account:
    """One budget: never is `spent` plus what is set aside more than `limit`.

    Args:
        limit: None is no limit.
        spent: what the records say has been spent.
    """

    def __init__(self, limit: float | None = None, spent: float = 0.0) -> None:
        self.limit = limit
        self.spent = spent
        self.reserved: dict[str, float] = {}
        """What running steps or calls may yet cost, by their id."""

    def fits(self, amount: float, alone: bool = False) -> bool:
        """Whether so much more may be set aside.

        Args:
            alone: suppose that all which is set aside now turns out to cost nothing.
        """
        held = 0.0 if alone else math.fsum(self.reserved.values())
        return self.limit is None or self.spent + held + amount <= self.limit

    def reserve(self, key: str, amount: float) -> None:
        """Set aside the most that one step or call can cost.

        Raises:
            PoiseError: refused (4): the limit could be passed.
            ValueError: that step or call has a reservation.
        """
        if key in self.reserved:
            raise ValueError(f"{key} is reserved already")
        if not self.fits(amount):
            raise PoiseError(f"the budget of {self.limit:g} allows no further step of {amount:g}", Exit.REFUSED)
        self.reserved[key] = amount

    def settle(self, key: str, cost: float) -> None:
        """It has happened and cost this; a cost above its reservation counts in full."""
        del self.reserved[key]
        self.spent += cost

    def release(self, key: str) -> None:
        """It did not happen."""
        del self.reserved[key]

    def charge_lost(self, reserved: Mapping[str, float], settled: Collection[str]) -> list[str]:
        """After a crash: charge what was set aside and never settled, whole, since nobody knows better.

        Args:
            reserved: what was set aside on disk.
            settled: ids whose cost is in the records, and so in `spent`.

        Returns:
            the ids that were charged.
        """
        lost = [key for key in reserved if key not in settled]
        self.spent += math.fsum(reserved[key] for key in lost)
        return lost


class Stopwatch:
    """The running time of trials that is not on their records yet.

    A trial's record grows when its training or scoring ends; the watch then starts anew.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, float]] = {}

    def observe(self, running: Iterable[str], trials: Mapping[str, Mapping[str, Any]], now: float) -> dict[str, float]:
        """Look at what runs.

        Args:
            running: ids of trials that a worker has.
            trials: documents by id.
            now: monotonic seconds.

        Returns:
            seconds not yet on record, by trial.
        """
        before, self._since = self._since, {}
        for trial in running:
            recorded = busy_seconds(trials[trial])
            since = before.get(trial)
            self._since[trial] = since if since is not None and since[1] == recorded else (now, recorded)
        return {trial: now - since for trial, (since, _) in self._since.items()}


def busy_seconds(trial: Mapping[str, Any]) -> float:
    """Seconds that a trial's processes ran, as its record has it."""
    return float(trial["cost"]["train_seconds"] + trial["cost"]["score_seconds"])


def gpus_a_trial() -> int:
    """How many GPUs one trial holds: none on a machine without, where GPU time is not counted."""
    return min(1, len(gpu_names()))


def gpu_seconds(trials: Iterable[Mapping[str, Any]]) -> float:
    """What trials have used, from their records: wall seconds x GPUs."""
    return round(math.fsum(trial["cost"]["gpu_seconds"] for trial in trials), 3)


def used_up(budget: Mapping[str, Any], wall: float, gpu: float) -> str | None:
    """Which budget of hours has been used, in words; None while there is time left.

    Args:
        budget: of the run document; a missing or empty value is no limit.
        wall: seconds that engines worked on the run.
        gpu: GPU seconds, running trials included.
    """
    if (hours := budget.get("hours")) and wall >= hours * 3600:
        return f"budget of {hours:g} h used"
    if (hours := budget.get("gpu_hours")) and gpu >= hours * 3600:
        return f"budget of {hours:g} GPU h used"
    return None


def write_down(book: Book, wall: float, usd: float, running: Mapping[str, float], gpus: int) -> None:
    """Record the time spent so far, and set the next slice aside before it is used.

    Args:
        book: where to.
        wall: seconds that engines worked on the run.
        usd: what language models cost.
        running: seconds of trials that are not on their records yet, see `Stopwatch`.
        gpus: what one trial uses.
    """
    ahead = {
        trial: {
            "seconds": round(seconds + SLICE_SECONDS, 3),
            "gpus": gpus,
            "recorded": busy_seconds(book.trials[trial]),
        }
        for trial, seconds in running.items()
    }
    book.spend(wall_seconds=round(wall, 3), llm_usd=usd, reserved={"wall_seconds": SLICE_SECONDS, "trials": ahead})


def charge_lost(book: Book) -> float:
    """Charge what an engine that died had set aside: its last slice of wall time, and the time of its trials.

    A trial whose record has grown since was settled; one charged here has grown too, so nothing is charged twice.

    Returns:
        wall seconds spent, now that they are whole.
    """
    wall = float(book.run["spent"]["wall_seconds"])
    reserved = book.run.get("reserved") or {}
    for trial, lost in reserved.get("trials", {}).items():
        document = book.trials.get(trial)
        if document is not None and busy_seconds(document) == lost["recorded"]:
            part = "score_seconds" if document["trained"] else "train_seconds"
            cost = dict(document["cost"])
            cost[part] = round(cost[part] + lost["seconds"], 3)
            cost["gpu_seconds"] = round(cost["gpu_seconds"] + lost["seconds"] * lost["gpus"], 3)
            book.update_trial(trial, cost=cost)
    if reserved:
        wall += reserved["wall_seconds"]
        book.spend(wall_seconds=wall)
    return wall


def estimate(book: Book, llm: Path) -> dict[str, Any]:
    """When the run will have ended and what it will yet cost, see `engine.archive.estimate.cost_to_go`.

    Args:
        book: the run's documents.
        llm: its llm.jsonl.
    """
    return cost_to_go(book.run, list(book.candidates.values()), list(book.trials.values()), recent_calls(llm))
