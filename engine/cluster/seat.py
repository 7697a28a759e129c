"""A seat: a place on a node of a cluster where jobs run as they do on one machine, sandbox, limits and watch included.

It lives in a process of its own (an actor, but this module knows nothing of that) and is driven from outside: `open`,
then for each job `begin`, `put` (what the job needs of files), `start`, and `told` again and again until the job has
ended. What the job's process writes comes back in `told`, and so does what it asks the grader: the grader itself, which
alone knows the answers, stays with the engine.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.archive.remove import remove_tree
from engine.cluster.mirror import Mirror, Piece, apply
from engine.errors import PoiseError
from engine.loop.confinement import sandbox_for
from engine.loop.machine import device_name
from engine.loop.protocol import protocol_hash
from engine.process.child import Job, one_line
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.load_model import model_dir
from engine.sandbox.layers import level

LOOK_SECONDS = 1.0
"""Between two looks at what a job has written."""
POLL_SECONDS = 20.0
"""How long `told` waits for something to tell, at most."""
WAITING = 4
"""Messages that wait to be told, at most: whoever has more waits too."""
RELAY_BYTES = 256 * 1024
"""Of a trainer's words to the grader, in one message."""

PREFIX, LOCK = "poise-seat-", ".lock"

Message = tuple[str, Any]
"""`started` (pid), `files` (pieces), `grader` (bytes, none at its end); last `ended` (a result) or `refused` (why)."""


@dataclass(frozen=True)
class Terms:
    """What all seats of a run have in common.

    Attributes:
        profile: resolved.
        floor: of the sandbox, see `engine.sandbox.layers.FLOORS`.
        protocol: the run's hash; a node that has another one gives other scores. None: any node will do.
        graded: kinds of jobs that ask the grader.
        preload: what a fork server imports.
        allow_calls: see `Launcher`; for tests.
        readable: what else jobs may read; for tests.
    """

    profile: dict[str, Any]
    floor: str
    protocol: str | None
    graded: tuple[str, ...]
    preload: tuple[str, ...]
    allow_calls: bool = False
    readable: tuple[Path, ...] = ()


class Seat:
    """Runs jobs in a folder of this node's own.

    Args:
        terms: see `Terms`.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._folder, self._lock = own_folder()
        self._visits: dict[str, Visit] = {}
        self._launcher: Launcher | None = None
        self._executor: LocalExecutor | None = None

    async def open(self) -> dict[str, Any]:
        """Look whether this node fits, and start to import.

        Returns:
            `{"node": host name, "sandbox": its level, "unfit": why not, in one line, or None}`.
        """
        terms, facts = self._terms, {"node": platform.node(), "sandbox": None, "unfit": None}
        try:
            sandbox = await asyncio.to_thread(sandbox_for, terms.profile, terms.floor, [self._folder], terms.readable)
            if terms.protocol is not None:
                here = protocol_hash(terms.profile, model_dir(terms.profile["model"]), device_name())
                if here != terms.protocol:
                    raise PoiseError(
                        f"its protocol is {here}, the run's is {terms.protocol}: versions of torch, transformers, trl "
                        "or peft, the device or the model's files differ, and so would scores"
                    )
        except PoiseError as error:
            return {**facts, "unfit": str(error)}
        self._launcher = Launcher(terms.preload, sandbox=sandbox, allow_calls=terms.allow_calls, lasting_thread=True)
        self._executor = LocalExecutor(self._launcher, self._connect, graded=terms.graded)
        self._warming = asyncio.ensure_future(self._warm())
        return {**facts, "sandbox": level(sandbox.layers)}

    async def begin(self, job: Job) -> None:
        """Make place for a job; its paths become this node's."""
        place = self._folder / job["id"]
        await asyncio.to_thread(remove_tree, place)
        (place / "folder").mkdir(parents=True)
        here = {"folder": str(place / "folder"), "gpu": None}  # the seat's process sees its own GPU alone
        here |= {key: str(place / name) for key, name in FILES.items() if job.get(key)}
        self._visits[job["id"]] = Visit({**job, **here}, place, self._executor_of_this_node())

    async def put(self, job_id: str, pieces: Sequence[Piece]) -> None:
        """Files of a job, seen from its place: `folder/...`, `algorithm.py`, `adapter/...`."""
        await asyncio.to_thread(apply, self._visits[job_id].place, pieces)

    async def start(self, job_id: str) -> None:
        """Run the job, once its files are here."""
        await self._visits[job_id].start()

    async def told(self, job_id: str) -> list[Message]:
        """What there is to tell of a job, in order; after `ended` or `refused` it is forgotten."""
        visit = self._visits[job_id]
        messages = await visit.messages()
        if messages and messages[-1][0] in ("ended", "refused"):
            del self._visits[job_id]
            await asyncio.to_thread(remove_tree, visit.place)
        return messages

    async def heard(self, job_id: str, data: bytes) -> None:
        """The grader's answer, on its way to the trainer; empty at its end."""
        if (visit := self._visits.get(job_id)) is not None:
            await visit.hear(data)

    async def control(self, job_id: str, word: str) -> None:
        """See `Executor.control`; nothing happens if the job has just ended."""
        with suppress(PoiseError):
            self._executor_of_this_node().control(job_id, word)

    async def kill(self, job_id: str, cause: str) -> None:
        """See `Executor.kill`; nothing happens if the job has just ended."""
        with suppress(PoiseError):
            self._executor_of_this_node().kill(job_id, cause)

    async def close(self) -> None:
        """End all that runs here, and leave nothing on the disk."""
        if self._launcher is not None:
            await self._launcher.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, True)

    def _executor_of_this_node(self) -> LocalExecutor:
        assert self._executor is not None, "it has not been opened, or does not fit"
        return self._executor

    def _connect(self, job: Job) -> socket.socket:
        return self._visits[job["id"]].connect()

    async def _warm(self) -> None:
        assert self._launcher is not None
        with suppress(PoiseError):  # the first job meets the same error, and reports it
            await self._launcher.start()


def own_folder() -> tuple[Path, int]:
    """A new folder for a seat, and the lock that shows that its process lives; those of dead ones are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(old / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(old)
            finally:
                os.close(handle)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    handle = os.open(folder / f"{LOCK}.new", os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.rename(folder / f"{LOCK}.new", folder / LOCK)  # no moment in which it is there and unlocked
    return folder, handle


FILES = {"algorithm": "algorithm.py", "adapter": "adapter"}
"""What a job names besides its folder, and what it is called in the job's place."""


class Visit:
    """One job on a seat.

    Args:
        job: with this node's paths.
        place: its folder and what it names lie there.
        executor: runs it.
    """

    def __init__(self, job: Job, place: Path, executor: LocalExecutor) -> None:
        self.place = place
        self._job = job
        self._executor = executor
        self._mirror = Mirror(Path(job["folder"]))
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(WAITING)
        self._grader: socket.socket | None = None
        self._relaying: asyncio.Future[None] | None = None
        self._looking = asyncio.Lock()
        self._tasks: set[asyncio.Future[None]] = set()

    async def start(self) -> None:
        """Run the job beside the caller."""
        await asyncio.to_thread(self._mirror.agree)
        self._beside(self._run())

    async def messages(self) -> list[Message]:
        """What waits to be told; empty if that is nothing for `POLL_SECONDS`."""
        try:
            found = [await asyncio.wait_for(self._outgoing.get(), POLL_SECONDS)]
        except TimeoutError:
            return []
        while not self._outgoing.empty():
            found.append(self._outgoing.get_nowait())
        return found

    def connect(self) -> socket.socket:
        """The trainer's end of the way to the grader."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._grader = ours
        self._relaying = asyncio.ensure_future(self._relay(ours))
        return theirs

    async def hear(self, data: bytes) -> None:
        """Hand the grader's answer on; nothing happens if the trainer is gone."""
        if self._grader is None:
            return
        with suppress(OSError):
            if data:
                await asyncio.get_running_loop().sock_sendall(self._grader, data)
            else:
                self._grader.shutdown(socket.SHUT_WR)

    async def _run(self) -> None:
        watching = asyncio.ensure_future(self._watch())
        try:
            last: Message = ("ended", await self._executor.run(self._job, self._started))
        except PoiseError as error:
            last = ("refused", str(error))
        except Exception as error:  # whoever waits for the end must hear of it
            last = ("refused", one_line(f"{type(error).__name__}: {error}"))
        ending = [watching] if self._relaying is None else [watching, self._relaying]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._grader is not None:
            self._grader.close()
        await self._look()
        await self._outgoing.put(last)

    def _started(self, pid: int) -> None:
        self._beside(self._outgoing.put(("started", pid)))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            # Not cancelled between looking and telling: what was looked at counts as told.
            await asyncio.shield(self._look())

    async def _look(self) -> None:
        async with self._looking:
            while pieces := await asyncio.to_thread(self._mirror.changes):
                await self._outgoing.put(("files", pieces))

    async def _relay(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await loop.sock_recv(ours, RELAY_BYTES):
                await self._outgoing.put(("grader", data))
        await self._outgoing.put(("grader", b""))

    def _beside(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
