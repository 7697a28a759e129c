"""The engine: decisions in order, trainings side by side, everything recorded, everything steerable.

Three kinds of tasks share one event loop: one makes decision k as soon as the settled-prefix rule allows it, others
reflect on what ended and settle its slot (`decisions`); *workers* take queued trials. `changed` wakes whoever waits.
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
from engine.errors import PoiseError
from engine.loop.book import SETTLED, Book, decided, purpose_of
from engine.loop.budget import SLICE_SECONDS, Stopwatch, charge_lost, gpu_seconds, gpus_a_trial, used_up, write_down
from engine.loop.config import RunConfig
from engine.loop.decider import Decider
from engine.loop.decisions import decide_all
from engine.loop.finalists import conclude, search_over
from engine.loop.guard import DISK, TICK_SECONDS, Guard
from engine.loop.promotions import promote_all
from engine.loop.restore import restore
from engine.loop.runner import TrialRunner
from engine.loop.seeds import train_seed
from engine.loop.studies import pending, restore_studies, study_all, told_unfinished
from engine.loop.supervise import RESERVE_MB, RETRIES, PatientExecutor, no_space
from engine.loop.workers import work
from engine.process.executor import Executor

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
        self.retries = int(limits.get("retries", RETRIES))
        self.decider = Decider(folder, config, book, PatientExecutor(executor, self.retries))
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
        self.closing: set[str] = set()
        """Candidates that are reflected upon."""
        self.arrived: set[str] = set()
        """Candidates with a training that has come to its rung or its end."""
        self.concluded = False
        """Whether the search is over and its best have been told apart, see `engine.loop.finalists`."""
        self.study_only = False
        """Whether this engine was started for a study alone: no search goes on, and no budget of hours ends it."""
        self.passed: dict[int, int] = {}
        """How many slots are known to have passed each rung, see `engine.loop.promotions`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self._spent_before = float(book.run["spent"]["wall_seconds"])

    # -- life

    async def run(self) -> None:
        """Work until the budget is used or `stop` is called; trainings that still run are then checkpointed."""
        self.spawn(self.guard.watch())
        self.spawn(self._watch_budget())
        if self.study_only:
            restore_studies(self)
        else:
            await restore(self)
        if self.stopping is None:
            for task in () if self.study_only else (decide_all, promote_all, conclude):
                self.spawn(task(self))
            self.spawn(study_all(self))
            for worker in range(self.config.workers):
                self.spawn(work(self, worker))
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
        idle = not (self.queue or self.active or self.closing or self.held or self.book.waiting)
        over = self.study_only or (self.concluded and search_over(self))
        return idle and over and not pending(self)

    async def _wind_down(self) -> None:
        failure = next((t.exception() for t in self._tasks if t.done() and not t.cancelled() and t.exception()), None)
        async with self.changed:
            await self.changed.wait_for(lambda: not self.active and not self.closing)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.book.broken is not None:
            raise self.book.broken
        self.book.spend(wall_seconds=self.wall())
        if (unfinished := told_unfinished(self)) is not None:
            self.book.log(unfinished, level="warning")
        if self.study_only:
            self.book.set_run_status(self.book.run["before_study"], self.stopping or "the study is over")
        elif self.stopping is None or self.stopping.startswith("budget"):
            closed = (self.book.run.get("closed") or {}).get("reason")
            done = f"{len(decided(self.book.candidates)) - 1} candidates done"
            self.book.set_run_status("finished", self.stopping or closed or done)
        else:
            self.book.set_run_status("stopped", self.stopping)
        if not self.book.flush():
            raise PoiseError(
                f"no space left on the disk: {self.book.waiting} records could not be written; free some, then resume"
            )
        if failure is not None:
            raise failure

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let a task run beside the others; an error in it stops the engine."""
        task = asyncio.create_task(coroutine)
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

    # -- for the rooms of its tasks

    async def with_space(self, work: Callable[[], Awaitable[T]]) -> T:
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
        """Let a trial wait for a worker; one of its own makes a candidate that has no result yet `queued`."""
        document = self.book.trials[trial]
        candidate = self.book.candidates[document["candidate"]]
        if document["status"] != "queued":
            self.book.update_trial(trial, status="queued")
        own = document["purpose"] == purpose_of(candidate["id"])
        if own and candidate["status"] not in ("queued", *SETTLED):
            self.book.set_status(candidate["id"], "queued")
        self.queue.append(trial)

    def send_on(self, trial: str, aim: int, **told: Any) -> None:
        """Let a training that has its score at a rung, or stopped there, go on to another one; all in one commit.

        Args:
            aim: index of the rung it trains to.
            told: further fields of its document.
        """
        self.book.update_trial(trial, status="queued", aim=aim, trained=False, starts=0, reached=-1, **told)
        self.enqueue(trial)

    def new_trial(self, candidate: str, purpose: str, index: int, **more: Any) -> str:
        """Record a training that is to come.

        Args:
            more: fields of its document that are not as usual, such as `aim`, the rung it trains to first.

        Returns:
            its id.
        """
        trial = f"{candidate}-{purpose}-{index}"
        same = "search" if purpose in ("control", "baseline") else purpose
        document = {
            "id": trial,
            "candidate": candidate,
            "purpose": purpose,
            # The control arm and the root meet the prompts, in the order, that the search's candidates meet.
            "seed": train_seed(self.config.seed, same, index),
            "off": [],
            "aim": 0,
            "rung": None,
            "rungs": [],
            "split": "development",
            "overall": None,
            "benchmarks": {},
            "protocol": self.protocol,
            "cost": {"train_seconds": 0.0, "score_seconds": 0.0, "gpu_seconds": 0.0},
            "status": "queued",
            "cause": None,
            "trained": False,
        }
        self.book.create_trial(document | more, steps=self.config.profile["train"]["updates"])
        return trial

    # -- budgets and waking

    async def _watch_budget(self) -> None:
        """Until the very end, since trainings and scorings still cost time while the engine goes down."""
        self._spent_before = charge_lost(self.book)
        watch, due, gpus = Stopwatch(), 0.0, gpus_a_trial()
        while True:
            wall = self.wall()
            running = watch.observe(self.active, self.book.trials, time.monotonic())
            if wall >= due or 0.0 in running.values():  # a slice is used, or something has just begun
                due = wall + SLICE_SECONDS - 2 * TICK_SECONDS
                write_down(self.book, wall, self.decider.ledger.spent_usd, running, gpus)
            gpu = gpu_seconds(self.book.trials.values()) + gpus * sum(running.values())
            if not self.study_only and (reason := used_up(self.book.run["budget"], wall, gpu)) is not None:
                await self.stop(reason)
            await asyncio.sleep(TICK_SECONDS)

    def wall(self) -> float:
        """Seconds that engines have worked on the run, this one included."""
        return self._spent_before + time.monotonic() - self._began

    async def notify(self) -> None:
        """Wake everybody who waits for a change."""
        async with self.changed:
            self.changed.notify_all()
