"""The engine: decisions in order, trainings side by side, everything recorded, everything steerable.

Three kinds of tasks share one event loop: the *decider* makes decision k as soon as the settled-prefix rule allows it;
*workers* take queued trials; *closers* reflect on what ended and settle its slot. `changed` wakes whoever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from engine.archive.folder import RunFolder
from engine.archive.store import ReadOnlyArchive
from engine.errors import Exit, PoiseError
from engine.loop.book import HELD, SETTLED, Book, candidate_id, root_id, slot_of
from engine.loop.budget import SLICE_SECONDS, Stopwatch, charge_lost, gpu_seconds, gpus_a_trial, used_up, write_down
from engine.loop.config import RunConfig
from engine.loop.decider import Decider
from engine.loop.guard import DISK, TICK_SECONDS, Guard
from engine.loop.runner import TrialRunner
from engine.loop.seeds import train_seed
from engine.loop.settled import ready
from engine.loop.supervise import RESERVE_MB, RETRIES, PatientExecutor, Verdict, begin, no_space, verdict
from engine.process.executor import Executor, Result

T = TypeVar("T")


class Engine:
    """One run, from its first decision to its last.

    Args:
        folder: the run's folder.
        config: its configuration.
        book: its documents.
        executor: who runs jobs.
        protocol: the hash that stands on every score of this run.
        beat: called every second, to show that the engine is alive.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        book: Book,
        executor: Executor,
        protocol: str,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        limits = config.profile["limits"]
        self.config = config
        self.book = book
        self.protocol = protocol
        self.runner = TrialRunner(folder, config, book, executor)
        self._retries = int(limits.get("retries", RETRIES))
        self.decider = Decider(folder, config, book, PatientExecutor(executor, self._retries))
        self.guard = Guard(self, folder.path, limits.get("disk_reserve_mb", RESERVE_MB), beat)
        self.queue: list[str] = []
        """Trials waiting for a worker."""
        self.active: dict[str, str] = {}
        """Trials a worker has, and what it does: training or scoring."""
        self.changed = asyncio.Condition()
        self.pauses: dict[str, str] = {}
        """Who paused the run (its user, the guard over the disk) and why; it goes on when none is left."""
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
        self._spawn(self.guard.watch())
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

    @property
    def paused(self) -> bool:
        """Whether nothing new is started."""
        return bool(self.pauses)

    async def pause(self, who: str, reason: str) -> None:
        """Checkpoint what trains and start nothing new, until `resume(who)`; doing it twice changes nothing."""
        if who in self.pauses:
            return
        self.pauses[who] = reason
        for trial in self.active:
            self.runner.control(trial, "pause")
        if who == DISK:
            with contextlib.suppress(OSError):  # the log is on that disk too
                print(f"poise: paused: {reason}", file=sys.stderr, flush=True)
            self.book.log(f"paused: {reason}", level="error")
        self.book.set_run_status("paused", reason)
        await self.notify()

    async def resume(self, who: str, reason: str) -> None:
        """Take back `pause(who)`; the run goes on unless somebody else paused it too."""
        if self.pauses.pop(who, None) is None:
            return
        if not self.pauses and self.stopping is None:
            self.book.set_run_status("running", reason)
            waiting, self.queue = self.queue, []
            for trial in waiting:
                self.enqueue(trial)
        await self.notify()

    def _finished(self) -> bool:
        wanted = range(self.book.run["budget"]["candidates"] + 1)
        settled = self.book.settled_slots()
        idle = not (self.queue or self.active or self._closing or self.held or self.book.waiting)
        return idle and all(k in settled for k in wanted)

    async def _wind_down(self) -> None:
        failure = next((t.exception() for t in self._tasks if t.done() and not t.cancelled() and t.exception()), None)
        async with self.changed:
            await self.changed.wait_for(lambda: not self.active and not self._closing)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.book.broken is not None:
            raise self.book.broken
        self.book.spend(wall_seconds=self._wall())
        if self.stopping is None or self.stopping.startswith("budget"):
            self.book.set_run_status("finished", self.stopping or f"{len(self.book.candidates) - 1} candidates done")
        else:
            self.book.set_run_status("stopped", self.stopping)
        if not self.book.flush():
            raise PoiseError(
                f"no space left on the disk: {self.book.waiting} records could not be written; free some, then resume"
            )
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
        with contextlib.suppress(ReadOnlyArchive):  # then the engine's log must do
            self.book.log(f"engine error: {type(error).__name__}: {error}", level="error")
        self._tasks.add(task)
        asyncio.get_running_loop().create_task(self.stop(f"engine error: {error}"))

    async def _restore(self) -> None:
        """Begin with the root, or take up what a stop or a crash left behind."""
        self.book.set_run_status("running", "engine started")
        if not self.book.candidates:
            self.decider.create_root()
        if self.book.candidates[root_id()]["status"] == "verifying":
            await self._with_space(self.decider.verify_root)
        if self.book.candidates[root_id()]["status"] == "infeasible":
            await self.stop(f"the root cannot train: {self.book.candidates[root_id()]['cause']}")
            return
        wanted = [("search", 0), *(("baseline", i) for i in range(1, self.config.profile["search"]["baseline_seeds"]))]
        for purpose, i in wanted:
            if f"{root_id()}-{purpose}-{i}" not in self.book.trials:
                self._new_trial(root_id(), purpose, i)
        for trial in self.book.trials.values():
            candidate = self.book.candidates[trial["candidate"]]
            unfinished = trial["status"] in ("queued", "training", "scoring", "paused")
            if unfinished and candidate["status"] != "pruned" and candidate["id"] not in self.held:
                self.enqueue(trial["id"])
        for candidate in list(self.book.candidates.values()):
            node, own = candidate["id"], self.book.trials_of(candidate["id"], "search")
            if candidate["seeds"] != [t["seed"] for t in self.book.trials_of(node) if t["status"] == "scored"]:
                self.decider.derive(node)
            if candidate["status"] in SETTLED:
                if not candidate["reflection"]:
                    self._closing.add(node)
                    self._spawn(self._reflect(node))
            elif not own:
                self.enqueue(self._new_trial(node, "search", 0))
            elif own[0]["status"] in ("scored", "failed"):  # it had ended, and nobody could write that down any more
                self._close(node, True, own[0].get("settles") or own[0]["status"], own[0]["cause"])

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
                await self._admit(await self._with_space(lambda k=k: self.decider.decide(k)))  # type: ignore[misc]
            except PoiseError as e:
                # Refused: the budget is used. Else nothing can be proposed any more: the user must act, then resume.
                await self.stop(f"budget: {e}" if e.code is Exit.REFUSED else str(e))
                return

    async def _admit(self, candidate: str) -> None:
        """Queue a verified candidate for its training, or close a failed one."""
        if self.book.candidates[candidate]["status"] == "queued":
            self.enqueue(self._new_trial(candidate, "search", 0))
        elif self.book.candidates[candidate]["status"] in SETTLED:
            await self._with_space(lambda: self.decider.reflect(candidate))
        await self.notify()

    async def _with_space(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that writes files; while there is no space for them the run is paused, then it is done anew.

        Raises:
            PoiseError: the engine stops before there is space.
        """
        while True:
            try:
                return await work()
            except OSError as error:
                if not no_space(error):
                    raise
                where = error.filename or "a file"
                await self.pause(DISK, f"no space left on the disk for {where}: free some, the run then goes on")
            async with self.changed:
                await self.changed.wait_for(lambda: DISK not in self.pauses or self.stopping is not None)
            if self.stopping is not None:
                raise PoiseError("the engine stops before there is space on the disk")

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
        while True:
            trained = bool(document["trained"])
            result, judged = await self._attempt(trial, worker, main)
            if self._pruned(candidate):
                self.book.update_trial(trial, status="stopped")
                self.decider.derive(candidate)
                return
            if judged.act == "aside":
                if result.get("reason") == "disk":
                    await self.pause(DISK, f"no space left on the disk for {trial}: free some, the run then goes on")
                self._put_aside(trial, main, judged.fields)
                return
            if judged.act == "again":
                again = f"{trial} is started again: {result['cause']}"
                self.book.log(again, level="warning", node=candidate)
                if "micro_batches" in judged.fields:
                    self.runner.start_anew(trial)
                if judged.fields:
                    self.book.update_trial(trial, **judged.fields)
            elif judged.act == "done" and not trained:
                self.runner.forget_scores(trial)
                self.book.update_trial(trial, trained=True, starts=0, reached=-1, cause=None, **_resumed(result))
            elif judged.act == "done" and "flags" not in document and (doubts := self._doubts(trial, result["data"])):
                self.book.update_trial(trial, fresh=1, starts=0, reached=-1, **doubts)
                self.book.update(candidate, flags=doubts["flags"])
                told = f"{trial} is scored again on fresh problems: {'; '.join(doubts['flags'])}"
                self.book.log(told, level="warning", node=candidate)
            elif judged.act == "done":
                data = result["data"]
                scores = {"overall": data["overall"], "benchmarks": data["benchmarks"]}
                self.book.update_trial(trial, status="scored", cause=None, **scores)
                self._close(candidate, main, "scored", None)
                return
            else:
                self.book.update_trial(trial, status="failed", cause=judged.cause, settles=judged.act)
                self.book.log(f"{trial} failed: {judged.cause}", level="warning", node=candidate)
                self._close(candidate, main, judged.act, judged.cause)
                return

    def _doubts(self, trial: str, score: dict[str, Any]) -> dict[str, Any]:
        """Fields of a trial whose score is to be measured again: why, and what it was at first; empty if it counts."""
        found = self.decider.doubts(self.book.trials[trial], score)
        return {"flags": found, "first": {k: score[k] for k in ("overall", "benchmarks")}} if found else {}

    async def _attempt(self, trial: str, worker: int, main: bool) -> tuple[Result, Verdict]:
        """One process for a trial's next step, and what to do about how it ended."""
        document = self.book.trials[trial]
        scoring = bool(document["trained"])
        started, refused = begin(document, 0 if scoring else self.runner.reached(trial), self._retries)
        if refused is not None:
            return {"status": "failed", "cause": refused}, Verdict("failed", refused)
        self.active[trial] = "scoring" if scoring else "training"
        self._mark(trial, self.active[trial], main, started)
        try:
            result = await (self.runner.score if scoring else self.runner.train)(trial, worker)
        except ReadOnlyArchive:
            raise
        except PoiseError as e:  # no process could be started for it
            result = {"status": "failed", "cause": str(e), "reason": "server"}
        waiting = self.paused or self.stopping is not None or document["candidate"] in self.held
        return result, verdict(document, result, self._retries, waiting)

    def _pruned(self, candidate: str) -> bool:
        return bool(self.book.candidates[candidate]["status"] == "pruned")

    def _mark(self, trial: str, status: str, main: bool, more: dict[str, Any]) -> None:
        self.book.update_trial(trial, status=status, **more)
        if main:
            self.book.set_status(self.book.trials[trial]["candidate"], status)

    def _put_aside(self, trial: str, main: bool, more: dict[str, Any]) -> None:
        """A training stopped at a checkpoint: by its user, or because the whole run pauses or goes down."""
        candidate = self.book.trials[trial]["candidate"]
        self.book.update_trial(trial, status="paused", **more)
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
            self._spawn(self._reflect(candidate, status, cause))

    async def _reflect(self, candidate: str, status: str | None = None, cause: str | None = None) -> None:
        """Reflect on a candidate; with a status, then settle it so."""
        try:
            await self._with_space(lambda: self.decider.reflect(candidate, status, cause))
            if status is not None and not self._pruned(candidate):
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


def _resumed(result: Result) -> dict[str, Any]:
    """Whether a training went on from a checkpoint, and how well, as its process says; nothing if it did not."""
    said = result["data"].get("resumed")
    return {"resumed": said} if said in ("exact", "inexact") else {}
