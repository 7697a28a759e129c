"""One trial from its job to its scores: train (or go on from a checkpoint), follow the metrics, score, record."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.archive.events import EventReader
from engine.archive.files import folder_sha256, read_limited, write_json
from engine.archive.folder import RunFolder
from engine.archive.remove import remove_tree
from engine.archive.tail_metrics import MetricsTail
from engine.errors import PoiseError
from engine.loop import root_cache
from engine.loop.book import Book
from engine.loop.config import RunConfig, job_limits
from engine.loop.machine import gpu_names
from engine.loop.rungs import Rung, ladder
from engine.loop.seeds import score_seed
from engine.loop.supervise import STEP_SECONDS, UNHEARD, no_space
from engine.process.executor import Executor, Result, read_result
from engine.profiles.load_model import model_dir
from engine.scoring.adapter import adapter_sha256
from engine.training.checkpoints import furthest

TAIL_SECONDS = 1.0
"""How often a running trial's metrics are read; each reading is at most one event."""
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
        self.rungs = ladder(config.profile)
        self._roots = folder.path.parent / ".roots"
        self._base = base_sha256(config, book)
        self._running: dict[str, str] = {}
        """Trials whose training runs or starts, and the control word left for them."""
        self._started: set[str] = set()
        self._told = steps_told(folder.events, book.trials)
        """The last step whose metrics were told, by trial: a resumed training writes some again."""

    async def train(self, trial_id: str, worker: int) -> Result:
        """Train to the trial's next rung, from the newest checkpoint where there is one. Its cost is recorded however
        it ends.

        Args:
            worker: who runs it, from 0; with several GPUs each worker has its own.
        """
        trial = self.book.trials[trial_id]
        place = self.folder.trial(trial_id)
        self._running[trial_id] = ""
        tail = asyncio.create_task(self._tail(trial_id))
        try:
            result = await self.executor.run(
                self._job(
                    trial,
                    "train",
                    worker,
                    resume=True,
                    off=trial["off"],
                    micro_batches=trial.get("micro_batches", 1),
                    until=self.rung(trial_id).updates,
                    progress=place.metrics.name,
                ),
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

    def recall_root(self, trial_id: str) -> None:
        """Take over a training of the root from an earlier run of the same protocol and seed, if there was one."""
        found = root_cache.recall(self._roots, self._root_key(trial_id))
        if found is not None:
            last = {"status": "scored", "trained": True, "aim": len(self.rungs) - 1, "cached": True}
            self.book.update_trial(trial_id, **found, **last)

    def keep_root(self, trial_id: str) -> None:
        """Keep a scored training of the root for later runs."""
        root_cache.keep(self._roots, self._root_key(trial_id), self.book.trials[trial_id])

    def _root_key(self, trial_id: str) -> str:
        trial = self.book.trials[trial_id]
        code = self.folder.candidate(trial["candidate"]).algorithm.read_text(encoding="utf-8")
        return root_cache.key_of(trial, self.rungs, self.config.seed, code)

    def rung(self, trial_id: str) -> Rung:
        """Where a trial trains to, or is scored."""
        return self.rungs[self.book.trials[trial_id]["aim"]]

    def reached(self, trial_id: str) -> int:
        """The update of the trial's newest checkpoint; 0 if there is none."""
        return furthest(self.folder.trial(trial_id).checkpoints)

    def start_anew(self, trial_id: str) -> None:
        """Remove a trial's checkpoints: its next training begins at its beginning."""
        _remove(self.folder.trial(trial_id).checkpoints)

    def keep_adapter_alone(self, trial_id: str) -> None:
        """Once a training is scored to its end, remove what it could have gone on from; damaged checkpoints stay."""
        folder = self.folder.trial(trial_id).checkpoints
        if folder.is_dir() and not folder.is_symlink():
            for path in folder.glob("checkpoint-*"):
                _remove(path)

    def forget_scores(self, trial_id: str) -> None:
        """Before a training counts as done: remove what its process may have planted in the place of scores."""
        place = self.folder.trial(trial_id)
        _remove(place.scores)
        _remove(place.path / "score")

    async def score(self, trial_id: str, worker: int) -> Result:
        """Score the trial's adapter at its rung, on its split; its outcomes go to scores.json.

        Scores of this very adapter, seed and protocol that are on the disk complete are taken over.
        """
        trial, rung = self.book.trials[trial_id], self.rung(trial_id)
        place = self.folder.trial(trial_id)
        adapter = await asyncio.to_thread(adapter_sha256, place.adapter)
        if trial.get("adapter_sha256") != adapter:
            self.book.update_trial(trial_id, adapter_sha256=adapter)
        # The scorer writes into a folder of its own: candidate code has written in the trial's.
        job = self._job(
            trial,
            "score",
            worker,
            folder=place.path / "score",
            profile={**self.config.profile, "score": dict(rung.score)},
            adapter=str(place.adapter),
            adapter_sha256=adapter,
            base_sha256=self._base,
            protocol=trial["protocol"],
            split=trial["split"],
            score_seed=score_seed(self.config.seed, trial["split"], rung.fraction, trial.get("fresh", 0)),
        )
        result = taken_over(job)
        if result is None:
            result = await self.executor.run(job)
            self._charge(trial, "score_seconds", result["wall_seconds"])
        if result["status"] == "done" and (problem := unusable(result["data"])) is not None:
            return {**result, "status": "failed", "cause": problem}
        if result["status"] == "done":
            try:
                told = {"seed": trial["seed"], "protocol": trial["protocol"], "rung": rung.fraction}
                write_json(place.scores, told | result["data"])
            except OSError as error:
                if not no_space(error):
                    raise
                # The result stays where it is: the next attempt takes it over.
                return {**result, "status": "failed", "cause": "no space left on the disk", "reason": "disk"}
        return result

    def control(self, trial_id: str, word: str) -> None:
        """Ask a training to `pause` or `stop` at its next step boundary; nothing happens if it does not run."""
        if trial_id in self._running:
            self._running[trial_id] = word
            if trial_id in self._started:
                self._ask(trial_id, word)

    def _ask(self, trial_id: str, word: str) -> None:
        try:
            self.executor.control(trial_id, word)
        except PoiseError:  # no space for the word: its last checkpoint must do
            with suppress(PoiseError):
                self.executor.kill(trial_id, f"{word}: {UNHEARD}")

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
            self._ask(trial_id, word)

    async def _tail(self, trial_id: str) -> None:
        updates = self.config.profile["train"]["updates"]
        tail = MetricsTail(self.folder.trial(trial_id).metrics, after=self._told.get(trial_id, -1), last=updates)
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
        limits = job_limits(self.config.profile, kind)
        if kind == "train":
            limits["step_seconds"] = self.config.profile["limits"].get("step_seconds", STEP_SECONDS)
        return {
            "id": trial["id"],
            "kind": kind,
            "folder": str(folder or self.folder.trial(trial["id"]).path),
            "algorithm": str(self.folder.candidate(trial["candidate"]).algorithm) if kind == "train" else None,
            "profile": self.config.profile,
            "seed": trial["seed"],
            "gpu": worker % len(gpu_names()) if gpu_names() else None,
            "limits": limits,
            **more,
        }

    def _charge(self, trial: dict[str, Any], what: str, seconds: float) -> None:
        cost = dict(trial["cost"])
        cost[what] = round(cost[what] + seconds, 3)
        gpu = seconds if gpu_names() else 0.0
        cost["gpu_seconds"] = round(cost["gpu_seconds"] + gpu, 3)
        self.book.update_trial(trial["id"], cost=cost)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, whatever a candidate's process has put there."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def taken_over(job: Mapping[str, Any]) -> Result | None:
    """The result of exactly this scoring, if an engine that died had got it; no candidate's code writes there."""
    folder = Path(job["folder"])
    try:
        asked = json.loads(read_limited(folder / "job.json", 1 << 20))
    except (OSError, ValueError):
        return None
    if any(asked.get(key) != value for key, value in job.items() if key not in ("gpu", "limits")):
        return None
    status, cause, data, reason = read_result(folder, "score.log", 0)
    if status != "done":
        return None
    return {"id": job["id"], "status": status, "cause": cause, "reason": reason, "wall_seconds": 0.0, "data": data}


def unusable(data: Mapping[str, Any]) -> str | None:
    """Why a scorer's data are no scores, in one line; None if they are."""
    overall, benchmarks = data.get("overall"), data.get("benchmarks")
    if not isinstance(overall, float | int) or not math.isfinite(overall) or not 0 <= overall <= 100:
        return f"the scorer gave an Overall of {overall!r}"
    error, responses = data.get("standard_error"), data.get("responses")
    if not isinstance(error, float | int) or not math.isfinite(error) or not isinstance(responses, dict):
        return "the scorer gave no standard error or no responses"
    return None if isinstance(benchmarks, dict) else "the scorer gave no benchmarks"


def base_sha256(config: RunConfig, book: Book) -> str:
    """Of the base model's files when the run began; on record, so that no candidate's process could change it since."""
    if "base_sha256" not in book.run:
        book.set_run(base_sha256=folder_sha256(model_dir(config.profile["model"])))
    return str(book.run["base_sha256"])


def steps_told(events: Path, trials: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The last step whose metrics an earlier engine told, of every trial that is not over."""
    unfinished = {key for key, trial in trials.items() if trial["status"] not in ("scored", "failed", "stopped")}
    told: dict[str, int] = {}
    reader = EventReader(events)
    while unfinished and (some := reader.read(1 << 20)):
        for event in some:
            if event.kind == "trial.metrics" and event.data["trial"] in unfinished:
                told[event.data["trial"]] = event.data["points"][-1]["step"]
    return told
