"""What becomes of a trial whose process has ended: on to the next step, aside, again, or given up, and why."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.archive.journal import NO_SPACE
from engine.errors import PoiseError
from engine.process.child import Job
from engine.process.executor import Executor, Result

RETRIES = 3
"""Starts after the first that a training gets without having come further, where a profile says nothing."""
STEP_SECONDS = 600.0
"""Of a run whose profile says nothing."""
RESERVE_MB = 256
"""Of a run whose profile says nothing."""
AGAIN = ("killed", "hung", "server", "grader")
"""Reasons that lie outside the algorithm: the same job may well succeed when it is started again."""
SPLIT = 2
"""Micro-batches an update is split into after a training ran out of memory."""

Act = Literal["done", "aside", "again", "failed", "infeasible"]


@dataclass(frozen=True)
class Verdict:
    """What to do with a trial.

    Attributes:
        act: done: its process did what it was for; aside: it waits in the queue; again: another process is started
            now; failed and infeasible: it is over.
        cause: one line, where it is over.
        fields: what to write on the trial's document.
    """

    act: Act
    cause: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


UNHEARD = "it could not be asked to"
"""Why a training was killed instead of paused: there was no space for the word."""


def verdict(trial: Mapping[str, Any], result: Mapping[str, Any], retries: int, waiting: bool) -> Verdict:
    """Judge the result of a trial's training, or of its scoring once it is trained.

    Args:
        trial: its document.
        result: of the job.
        retries: see `[limits]` of a profile.
        waiting: the run or the candidate is paused, or the engine goes down: nothing is to be started.
    """
    reason, cause = result.get("reason"), result["cause"]
    starts = trial.get("starts", 1)
    if result["status"] == "done":
        return Verdict("done")
    if result["status"] == "paused":
        return Verdict("aside", fields={"starts": 0})
    unheard = reason == "asked" and str(cause).endswith(UNHEARD)  # though the run may have been resumed meanwhile
    if unheard or (waiting and reason in ("asked", *AGAIN)):
        return Verdict("aside", fields={"starts": max(starts - 1, 0)})
    if reason == "memory":
        return _out_of_memory(trial, cause)
    if reason == "indivisible":
        return Verdict("infeasible", f"{trial['cause'] or 'out of memory'}; {cause}")
    if reason in AGAIN or reason == "disk":
        if starts > retries:
            return Verdict("failed", f"{cause} (given up after {starts} starts without progress)")
        return Verdict("aside" if reason == "disk" else "again")
    return Verdict("failed", cause)


def _out_of_memory(trial: Mapping[str, Any], cause: str) -> Verdict:
    if trial["trained"]:
        if trial["cause"] is None:
            return Verdict("again", fields={"cause": cause})
        return Verdict("infeasible", f"{cause}, twice, while it was scored")
    if trial.get("micro_batches", 1) >= SPLIT:
        return Verdict("infeasible", f"{cause}, also with micro-batches of 1/{SPLIT} the size")
    # From the start: its checkpoints were made with other micro-batches.
    return Verdict("again", fields={"cause": cause, "micro_batches": SPLIT, "starts": 0, "reached": -1})


def begin(trial: Mapping[str, Any], reached: int, retries: int) -> tuple[dict[str, Any], str | None]:
    """Count a start of a trial's process.

    Args:
        trial: its document.
        reached: the update of its newest checkpoint; scoring has none and counts as one past all.
        retries: see `[limits]` of a profile.

    Returns:
        fields to write on the document before the start; and why there must be no further start, if so.
    """
    further = reached > trial.get("reached", -1)
    starts = 1 if further else trial.get("starts", 0) + 1
    if starts > retries + 1:
        return {}, f"given up after {starts - 1} starts without progress"
    return {"starts": starts, "reached": reached}, None


class PatientExecutor:
    """Runs jobs that have no state, such as verifications, again where something outside the job ended them.

    A job that finds the disk full raises OSError, as any other writer does.
    """

    def __init__(self, executor: Executor, retries: int) -> None:
        self._executor = executor
        self._retries = retries

    async def run(self, job: Job, on_start: Callable[[int], None] | None = None) -> Result:
        """Run a job; see `Executor.run`."""
        for left in range(self._retries, -1, -1):
            try:
                result = await self._executor.run(job, on_start)
            except PoiseError:
                if not left:
                    raise
                continue
            if result.get("reason") == "disk":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), job["folder"])
            if result.get("reason") not in AGAIN or not left:
                return result
        raise AssertionError("the last attempt returns or raises")

    def control(self, job_id: str, word: str) -> None:
        """See `Executor.control`."""
        self._executor.control(job_id, word)

    def kill(self, job_id: str, cause: str = "killed") -> None:
        """See `Executor.kill`."""
        self._executor.kill(job_id, cause)


def no_space(error: OSError) -> bool:
    """Whether a write failed because the disk, or the user's share of it, is full."""
    return error.errno in NO_SPACE
