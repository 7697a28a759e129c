"""One trial from its job to its scores: train (or go on from a checkpoint), follow the metrics, score, record."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.archive.files import write_json
from engine.archive.folder import RunFolder
from engine.archive.tail_metrics import MetricsTail
from engine.errors import PoiseError
from engine.loop.book import Book
from engine.loop.config import RunConfig, job_limits
from engine.loop.machine import gpu_names
from engine.loop.seeds import score_seed
from engine.process.executor import Executor, Result

TAIL_SECONDS = 0.5
"""How often a running trial's metrics are read; each reading is at most one event."""
SPLIT = "development"
KILL = "kill"
"""Left for a training that is to end as soon as it has started."""


class TrialRunner:
    """Runs trials through an executor and writes what came of them into the book.

    Args:
        folder: the run's folder.
        config: the run's configuration.
        book: where results go.
        executor: who runs the jobs.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, book: Book, executor: Executor) -> None:
        self.folder = folder
        self.config = config
        self.book = book
        self.executor = executor
        self._running: dict[str, str] = {}
        """Trials whose training runs or starts, and the control word left for them."""
        self._started: set[str] = set()
        self._told: dict[str, int] = {}
        """The last step whose metrics were told, by trial: a resumed training writes some again."""

    async def train(self, trial_id: str, worker: int) -> Result:
        """Train, from the newest checkpoint where there is one. The trial's cost is recorded however it ends.

        Args:
            worker: who runs it, from 0; with several GPUs each worker has its own.
        """
        trial = self.book.trials[trial_id]
        place = self.folder.trial(trial_id)
        self._running[trial_id] = ""
        tail = asyncio.create_task(self._tail(trial_id))
        try:
            result = await self.executor.run(
                self._job(trial, "train", worker, resume=place.checkpoints.is_dir(), off=trial["off"]),
                on_start=lambda pid: self._on_start(trial_id),
            )
        finally:
            self._running.pop(trial_id, None)
            self._started.discard(trial_id)
            tail.cancel()
            with suppress(asyncio.CancelledError):
                await tail
        self._charge(trial, "train_seconds", result["wall_seconds"])
        return result

    async def score(self, trial_id: str, worker: int) -> Result:
        """Score the trial's adapter on the development split; its outcomes go to scores.json."""
        trial = self.book.trials[trial_id]
        place = self.folder.trial(trial_id)
        # The scorer writes into a folder of its own: candidate code has written in the trial's.
        job = self._job(
            trial,
            "score",
            worker,
            folder=place.path / "score",
            adapter=str(place.adapter),
            split=SPLIT,
            score_seed=score_seed(self.config.seed, SPLIT, trial["rung"]),
        )
        result = await self.executor.run(job)
        self._charge(trial, "score_seconds", result["wall_seconds"])
        if result["status"] == "done":
            write_json(place.scores, {"seed": trial["seed"], "protocol": trial["protocol"], **result["data"]})
        return result

    def control(self, trial_id: str, word: str) -> None:
        """Ask a training to `pause` or `stop` at its next step boundary; nothing happens if it does not run."""
        if trial_id in self._running:
            self._running[trial_id] = word
            if trial_id in self._started:
                self.executor.control(trial_id, word)

    def kill(self, trial_id: str, cause: str) -> None:
        """End whatever runs for a trial now, or as soon as it has started."""
        if trial_id in self._running and trial_id not in self._started:
            self._running[trial_id] = KILL
        with suppress(PoiseError):  # it has just ended by itself
            self.executor.kill(trial_id, cause)

    def _on_start(self, trial_id: str) -> None:
        self._started.add(trial_id)
        word = self._running[trial_id]
        if word == KILL:
            self.executor.kill(trial_id, "ended before it began")
        elif word:
            self.executor.control(trial_id, word)

    async def _tail(self, trial_id: str) -> None:
        tail = MetricsTail(self.folder.trial(trial_id).metrics, after=self._told.get(trial_id, -1))
        try:
            while True:
                await asyncio.sleep(TAIL_SECONDS)
                self._tell(trial_id, tail.read())
        finally:
            while points := tail.read():
                self._tell(trial_id, points)

    def _tell(self, trial_id: str, points: list[dict[str, Any]]) -> None:
        if points:
            self._told[trial_id] = points[-1]["step"]
            self.book.metrics(trial_id, points)

    def _job(
        self, trial: dict[str, Any], kind: str, worker: int, folder: Path | None = None, **more: Any
    ) -> dict[str, Any]:
        return {
            "id": trial["id"],
            "kind": kind,
            "folder": str(folder or self.folder.trial(trial["id"]).path),
            "algorithm": str(self.folder.candidate(trial["candidate"]).algorithm) if kind == "train" else None,
            "profile": self.config.profile,
            "seed": trial["seed"],
            "gpu": worker % len(gpu_names()) if gpu_names() else None,
            "limits": job_limits(self.config.profile, kind),
            **more,
        }

    def _charge(self, trial: dict[str, Any], what: str, seconds: float) -> None:
        cost = dict(trial["cost"])
        cost[what] = round(cost[what] + seconds, 3)
        gpu = seconds if gpu_names() else 0.0
        cost["gpu_seconds"] = round(cost["gpu_seconds"] + gpu, 3)
        self.book.update_trial(trial["id"], cost=cost)
