"""The grader of a run or of one job: started anew if it dies, and heard when a trainer asks too much of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from engine.errors import PoiseError
from engine.loop.seeds import train_seed
from engine.tasks import load_taskset
from engine.tasks.allowance import Allowance
from engine.tasks.grader_client import GraderProcess


class Graders:
    """Connections for trainers and scorers; made in the main thread: a grader dies with the thread that starts it.

    Args:
        profile: resolved; names the tasks, and says how much a training may ask.
        seed: of the run.
        log: where a grader's complaints go; None: this process's stderr.
        control: see `engine.tasks.controls.CONTROLS`.
    """

    def __init__(
        self, profile: Mapping[str, Any], seed: int, log: IO[bytes] | None = None, control: str | None = None
    ) -> None:
        tasks = profile["tasks"]
        self._asked = (tasks["name"], tasks["options"])
        self._pool_seed = train_seed(seed, "pool", 0)
        self._tasks = load_taskset(*self._asked)
        self._allowance = Allowance.of(profile["train"])
        self._log = log
        self._control = control
        self._one_at_a_time = asyncio.Lock()
        self._floods: dict[str, str] = {}
        self.on_flood: Callable[[str, str], None] = lambda job, cause: None
        """Called with the id of a job whose trainer was cut off, and the cause."""
        self._process = self._start()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of jobs that need a connection: scorers too where the tasks are graded outside the sandbox."""
        return ("train", "score") if getattr(self._tasks, "outside", False) else ("train",)

    async def connect(self, job: Mapping[str, Any]) -> socket.socket:
        """A connection for one trainer or scorer; a grader that hangs costs seconds, but not the engine's.

        Raises:
            PoiseError: the tasks do not load, or this job's trainer was cut off before.
        """
        if (cause := self._floods.get(job["id"])) is not None:
            raise PoiseError(cause)
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(self._connect, job)
            except PoiseError:
                asyncio.get_running_loop().remove_reader(self._process.notices)
                await asyncio.to_thread(self._process.close)
                self._process = self._start()
                return await asyncio.to_thread(self._connect, job)

    def close(self) -> None:
        """End it."""
        with suppress(RuntimeError):  # outside the loop there is nobody to tell
            asyncio.get_running_loop().remove_reader(self._process.notices)
        self._process.close()

    def _start(self) -> GraderProcess:
        process = GraderProcess(stderr=self._log)
        asyncio.get_running_loop().add_reader(process.notices, self._hear, process)
        return process

    def _connect(self, job: Mapping[str, Any]) -> socket.socket:
        if job.get("kind") != "score":
            asked = {"name": job["id"], "allowance": self._allowance, "control": self._control}
            return self._process.connect(*self._asked, self._pool_seed, **asked)
        score = job["profile"]["score"]
        return self._process.connect(
            *self._asked,
            job["score_seed"],
            name=job["id"],
            allowance=Allowance.of_scoring(score, self._tasks.names),
            scored={"split": job["split"], "problems": score["problems"]},
        )

    def _hear(self, process: GraderProcess) -> None:
        for job, cause in process.cut_off():
            self._floods[job] = f"cut off by the grader: {cause}"
            with suppress(PoiseError):  # it has just ended by itself
                self.on_flood(job, self._floods[job])
        if process.ended:
            asyncio.get_running_loop().remove_reader(process.notices)
