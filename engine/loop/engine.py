"""The engine: decisions in order, trainings side by side, everything recorded, everything steerable.

Three kinds of tasks share one event loop: the *decider* makes decision k as soon as the settled-prefix rule allows it;
*workers* take queued trials; *closers* reflect on what ended and settle its slot. `changed` wakes whoever waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from engine.loop.book import HELD, SETTLED, Book, candidate_id, root_id, slot_of
from engine.loop.budget import SLICE_SECONDS, Stopwatch, charge_lost, gpu_seconds, gpus_a_trial, used_up, write_down
from engine.loop.config import RunConfig
from engine.loop.decider import Decider
from engine.loop.runner import TrialRunner
from engine.loop.seeds import train_seed
from engine.loop.settled import ready
from engine.process.executor import Executor, Result

TICK_SECONDS = 1.0
"""How often budgets are looked at."""


class Engine:
    """One run, from its first decision to its last.

    Args:
        folder: the run's folder.
        config: its configuration.
        book: its documents.
        executor: who runs jobs.
        protocol: the hash that stands on every score of this run.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, book: Book, executor: Executor, protocol: str) -> None:
        self.config = config
        self.book = book
        self.protocol = protocol
        self.runner = TrialRunner(folder, config, book, executor)
        self.decider = Decider(folder, config, book, executor)
        self.queue: list[str] = []
        """Trials waiting for a worker."""
        self.active: dict[str, str] = {}
        """Trials a worker has, and what it does: training or scoring."""
        self.changed = asyncio.Condition()
        self.paused = False
        self.held = {c["id"] for c in book.candidates.values() if book.is_held(c)}
        """Candidates the user has paused."""
        self.stopping: str | None = None
        """Why the engine is going down, once it is."""
        self._closing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self._spent_before = float(book.run["spent"]["wall_seconds"])

    # -- life

    async def run(self) -> None:
        """Work until the budget is used or `stop` is called; trainings that still run are then checkpointed."""
        self._spawn(self._watch_budget())
        await self._restore()
        if self.stopping is None:
            self._spawn(self._decide())
            for worker in range(self.config.workers):
                self._spawn(self._work(worker))
        async with self.changed:
            await self.changed.wait_for(lambda: self.stopping is not None or self._finished())
        await self._wind_down()

    async def stop(self, reason: str) -> None:
        """Go down gracefully: checkpoint what trains, finish what scores."""
        if self.stopping is None:
            self.stopping = reason
            for trial in self.active:
                self.runner.control(trial, "pause")
            await self.notify()

    def _finished(self) -> bool:
        wanted = range(self.book.run["budget"]["candidates"] + 1)
        settled = self.book.settled_slots()
        idle = not (self.queue or self.active or self._closing or self.held)
        return idle and all(k in settled for k in wanted)

    async def _wind_down(self) -> None:
        failure = next((t.exception() for t in self._tasks if t.done() and not t.cancelled() and t.exception()), None)
        async with self.changed:
            await self.changed.wait_for(lambda: not self.active and not self._closing)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.book.spend(wall_seconds=self._wall())
        if self.stopping is None or self.stopping.startswith("budget"):
            self.book.set_run_status("finished", self.stopping or f"{len(self.book.candidates) - 1} candidates done")
        else:
            self.book.set_run_status("stopped", self.stopping)
        if failure is not None:
            raise failure

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
            return
        error = task.exception()
        self.book.log(f"engine error: {type(error).__name__}: {error}", level="error")
        self._tasks.add(task)
        asyncio.get_running_loop().create_task(self.stop(f"engine error: {error}"))

    async def _restore(self) -> None:
        """Begin with the root, or take up what a stop or a crash left behind."""
        self.book.set_run_status("running", "engine started")
        if not self.book.candidates:
            self.decider.create_root()
        if self.book.candidates[root_id()]["status"] == "verifying":
            await self.decider.verify_root()
        if self.book.candidates[root_id()]["status"] == "infeasible":
            await self.stop(f"the root cannot train: {self.book.candidates[root_id()]['cause']}")
            return
        if not self.book.trials:
            self._new_trial(root_id(), "search", 0)
            for i in range(1, self.config.profile["search"]["baseline_seeds"]):
                self._new_trial(root_id(), "baseline", i)
        for trial in self.book.trials.values():
            candidate = self.book.candidates[trial["candidate"]]
            unfinished = trial["status"] in ("queued", "training", "scoring", "paused")
            if unfinished and candidate["status"] != "pruned" and candidate["id"] not in self.held:
                self.enqueue(trial["id"])
        for candidate in list(self.book.candidates.values()):
            node, own = candidate["id"], self.book.trials_of(candidate["id"], "search")
            if candidate["status"] in SETTLED:
                if not candidate["reflection"]:
                    self._spawn(self.decider.reflect(node))
            elif not own:
                self.enqueue(self._new_trial(node, "search", 0))
            elif own[0]["status"] in ("scored", "failed"):  # it had ended, and nobody could write that down any more
                self._close(node, True, own[0]["status"], own[0]["cause"])

    # -- deciding

    async def _decide(self) -> None:
        for k in range(1, self.book.run["budget"]["candidates"] + 1):
            if candidate_id(k) in self.book.candidates:
                continue
            async with self.changed:
                await self.changed.wait_for(
                    lambda k=k: (
                        not self.paused  # type: ignore[misc]
                        and self.stopping is None
                        and ready(k, self.config.lag, self.book.settled_slots())
                    )
                )
            try:
                await self._admit(await self.decider.decide(k))
            except PoiseError as e:
                # Refused: the budget is used. Else nothing can be proposed any more: the user must act, then resume.
                await self.stop(f"budget: {e}" if e.code is Exit.REFUSED else str(e))
                return

    async def _admit(self, candidate: str) -> None:
        """Queue a verified candidate for its training, or close a failed one."""
        if self.book.candidates[candidate]["status"] == "queued":
            self.enqueue(self._new_trial(candidate, "search", 0))
        elif self.book.candidates[candidate]["status"] in SETTLED:
            await self.decider.reflect(candidate)
        await self.notify()

    def enqueue(self, trial: str) -> None:
        """Let a trial wait for a worker; the candidate's own training makes the candidate `queued`."""
        document = self.book.trials[trial]
        if document["status"] != "queued":
            self.book.update_trial(trial, status="queued")
        if document["purpose"] == "search" and self.book.candidates[document["candidate"]]["status"] != "queued":
            self.book.set_status(document["candidate"], "queued")
        self.queue.append(trial)

    def _new_trial(self, candidate: str, purpose: str, index: int) -> str:
        trial = f"{candidate}-{purpose}-{index}"
        self.book.create_trial(
            {
                "id": trial,
                "candidate": candidate,
                "purpose": purpose,
                "seed": train_seed(self.config.seed, purpose, index),
                "off": [],
                "rung": 1.0,
                "split": "development",
                "overall": None,
                "benchmarks": {},
                "protocol": self.protocol,
                "cost": {"train_seconds": 0.0, "score_seconds": 0.0, "gpu_seconds": 0.0},
                "status": "queued",
                "cause": None,
                "trained": False,
            },
            steps=self.config.profile["train"]["updates"],
        )
        return trial

    # -- training

    async def _work(self, worker: int) -> None:
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda: bool(self.queue) and not self.paused and self.stopping is None)
                trial = min(self.queue, key=self._urgency)
                self.queue.remove(trial)
                self.active[trial] = "training"
            try:
                await self._run_trial(trial, worker)
            finally:
                self.active.pop(trial, None)
                await self.notify()

    def _urgency(self, trial: str) -> float:
        """Trials in the order of their slots; the root's further seeds are mixed in, one after every two slots."""
        document = self.book.trials[trial]
        index = int(trial.rsplit("-", 1)[1])
        return slot_of(document["candidate"]) if document["purpose"] == "search" else 2 * index + 0.5

    async def _run_trial(self, trial: str, worker: int) -> None:
        document = self.book.trials[trial]
        candidate, main = document["candidate"], document["purpose"] == "search"
        result: Result = {"status": "done", "cause": None}
        try:
            if not document["trained"]:
                self._mark(trial, "training", main)
                result = await self.runner.train(trial, worker)
                if result["status"] == "paused":
                    self._put_aside(trial, main)
                    return
            if result["status"] == "done" and not self._pruned(candidate):
                self.book.update_trial(trial, trained=True)
                self.active[trial] = "scoring"
                self._mark(trial, "scoring", main)
                result = await self.runner.score(trial, worker)
        except PoiseError as e:  # no process could be started for it
            result = {"status": "failed", "cause": str(e)}
        if self._pruned(candidate):
            self.book.update_trial(trial, status="stopped")
            self.decider.derive(candidate)
        elif result["status"] == "done":
            data = result["data"]
            self.book.update_trial(trial, status="scored", overall=data["overall"], benchmarks=data["benchmarks"])
            self._close(candidate, main, "scored", None)
        else:
            self.book.update_trial(trial, status="failed", cause=result["cause"])
            self.book.log(f"{trial} failed: {result['cause']}", level="warning", node=candidate)
            self._close(candidate, main, "failed", result["cause"])

    def _pruned(self, candidate: str) -> bool:
        return bool(self.book.candidates[candidate]["status"] == "pruned")

    def _mark(self, trial: str, status: str, main: bool) -> None:
        self.book.update_trial(trial, status=status)
        if main:
            self.book.set_status(self.book.trials[trial]["candidate"], status)

    def _put_aside(self, trial: str, main: bool) -> None:
        """A training stopped at a checkpoint: by its user, or because the whole run pauses or goes down."""
        candidate = self.book.trials[trial]["candidate"]
        self.book.update_trial(trial, status="paused")
        if candidate in self.held:
            if main:
                self.book.set_status(candidate, "paused", HELD)
        elif self.paused or self.stopping is not None:
            if main:
                self.book.set_status(candidate, "paused", "the run is paused")
            self.queue.append(trial)
        else:  # resumed while it was still stopping
            self.enqueue(trial)

    def _close(self, candidate: str, main: bool, status: str, cause: str | None) -> None:
        self.decider.derive(candidate)
        if main:
            self._closing.add(candidate)
            self._spawn(self._reflect_and_settle(candidate, status, cause))

    async def _reflect_and_settle(self, candidate: str, status: str, cause: str | None) -> None:
        try:
            await self.decider.reflect(candidate, status, cause)
            if not self._pruned(candidate):
                self.book.set_status(candidate, status, cause)
        finally:
            self._closing.discard(candidate)
            await self.notify()

    # -- budgets and waking

    async def _watch_budget(self) -> None:
        """Until the very end, since trainings and scorings still cost time while the engine goes down."""
        self._spent_before = charge_lost(self.book)
        watch, due, gpus = Stopwatch(), 0.0, gpus_a_trial()
        while True:
            wall = self._wall()
            running = watch.observe(self.active, self.book.trials, time.monotonic())
            if wall >= due or 0.0 in running.values():  # a slice is used, or something has just begun
                due = wall + SLICE_SECONDS - 2 * TICK_SECONDS
                write_down(self.book, wall, self.decider.ledger.spent_usd, running, gpus)
            gpu = gpu_seconds(self.book.trials.values()) + gpus * sum(running.values())
            if (reason := used_up(self.book.run["budget"], wall, gpu)) is not None:
                await self.stop(reason)
            await asyncio.sleep(TICK_SECONDS)

    def _wall(self) -> float:
        return self._spent_before + time.monotonic() - self._began

    async def notify(self) -> None:
        """Wake everybody who waits for a change."""
        async with self.changed:
            self.changed.notify_all()
