"""The executor `ray`: jobs on the seats of a cluster; what they write comes here while they run.

A seat or a node that is lost costs the job on it what it had done since its last checkpoint: the engine starts it
again, on any other node.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.archive.files import read_limited
from engine.cluster.mirror import KEPT_HERE, Mirror, Piece, apply, sync_tree
from engine.cluster.places import Lost, Place, Places
from engine.cluster.seat import FILES, RELAY_BYTES
from engine.errors import Exit, PoiseError
from engine.process.child import Job
from engine.process.executor import Result, check_job, prepare

LOST = "server"
"""The reason of a job whose seat was lost, as of one whose fork server died: it is started again."""
ALGORITHM_BYTES = 1 << 20
"""Of an algorithm's file, at most."""

Connect = Callable[[Job], Awaitable[socket.socket]]


@dataclass
class _Errand:
    """A job under way: waiting for a seat, or on one."""

    job: Job
    waiting: asyncio.Future[Place] | None = None
    place: Place | None = None
    asked: str | None = None
    """The control word it got before it ran."""
    killed: str | None = None
    began: float = 0.0
    begun: bool = False
    """Whether its process may have been started."""
    sending: set[asyncio.Future[Any]] = field(default_factory=set)


class RayExecutor:
    """Runs each job on a seat of the cluster this process has joined.

    Args:
        places: where.
        connect_grader: makes the connection that a trainer is given, through its seat.
        graded: kinds of jobs that get one.
    """

    def __init__(self, places: Places, connect_grader: Connect | None, graded: tuple[str, ...]) -> None:
        self._places = places
        self._connect_grader = connect_grader
        self._graded = graded
        self._errands: dict[str, _Errand] = {}

    async def run(self, job: Job, on_start: Callable[[int], None] | None = None) -> Result:
        """See `LocalExecutor.run`; the pid is the node's. A lost seat's job was `killed`, with reason `server`."""
        check_job(job)
        if job["id"] in self._errands:
            raise PoiseError(f"job {job['id']} is running already")
        errand = self._errands[job["id"]] = _Errand(job)
        try:
            return await self._run(errand, on_start)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return result_of(errand, "failed", "no space left on the disk", "disk")
            raise PoiseError(f"cannot work in {job['folder']}: {error.strerror}") from None
        finally:
            del self._errands[job["id"]]

    def control(self, job_id: str, word: str) -> None:
        """See `LocalExecutor.control`; a job that still waits for a seat ends at once."""
        errand = self._errand(job_id)
        if errand.begun and errand.place is not None:
            self._send(errand, errand.place.actor.control.remote(job_id, word))
        else:
            errand.asked = word
            self._wait_no_more(errand)

    def kill(self, job_id: str, cause: str = "killed") -> None:
        """See `LocalExecutor.kill`."""
        errand = self._errand(job_id)
        errand.killed = cause
        if errand.begun and errand.place is not None:
            self._send(errand, errand.place.actor.kill.remote(job_id, cause))
        else:
            self._wait_no_more(errand)

    async def close(self) -> None:
        """Give all seats back."""
        await self._places.close()

    def _errand(self, job_id: str) -> _Errand:
        try:
            return self._errands[job_id]
        except KeyError:
            raise PoiseError(f"job {job_id} is not running", Exit.NOT_FOUND) from None

    @staticmethod
    def _wait_no_more(errand: _Errand) -> None:
        if errand.waiting is not None:
            errand.waiting.cancel()

    @staticmethod
    def _send(errand: _Errand, reference: Any) -> None:
        """Let a word travel; whether it arrives is seen by what becomes of the job."""
        task = asyncio.ensure_future(arrive(reference))
        errand.sending.add(task)
        task.add_done_callback(errand.sending.discard)

    async def _run(self, errand: _Errand, on_start: Callable[[int], None] | None) -> Result:
        job = errand.job
        prepare(Path(job["folder"]), job)
        while True:
            errand.waiting = asyncio.ensure_future(self._places.take(job["kind"] != "verify"))
            try:
                place = await errand.waiting
            except asyncio.CancelledError:
                if errand.killed is not None:
                    return result_of(errand, "killed", errand.killed, "asked")
                if errand.asked is not None:
                    return result_of(errand, "paused" if errand.asked == "pause" else "stopped", None, None)
                errand.waiting.cancel()
                raise
            grader = None
            try:
                if job["kind"] in self._graded and self._connect_grader is not None:
                    grader = await self._connect_grader(job)
                errand.place, errand.began = place, time.monotonic()
                return await self._attend(errand, place, grader, on_start)
            except Lost as error:
                self._places.drop(place)
                if errand.killed is not None:
                    return result_of(errand, "killed", errand.killed, "asked")
                if errand.begun:
                    lost = f"node {place.facts['node']} was lost ({type(error).__name__})"
                    return result_of(errand, "killed", lost, LOST)
                errand.place = None  # it had been lost while nothing was on it
            except PoiseError:
                raise
            except BaseException:
                self._places.drop(place)
                raise
            finally:
                if grader is not None:
                    grader.close()
                self._places.leave(place)

    async def _attend(
        self, errand: _Errand, place: Place, grader: socket.socket | None, on_start: Callable[[int], None] | None
    ) -> Result:
        """From the job's files there to its result here."""
        job, seat, folder = errand.job, place.actor, Path(errand.job["folder"])
        await seat.begin.remote(job)
        async for pieces in outgoing(job):
            await seat.put.remote(job["id"], pieces)
        if errand.killed is not None or errand.asked is not None:  # on the way
            word = "paused" if errand.asked == "pause" else "stopped"
            killed = (errand, "killed", errand.killed, "asked")
            return result_of(*killed) if errand.killed else result_of(errand, word, None, None)
        errand.begun = True
        await seat.start.remote(job["id"])
        answering = None
        if grader is not None:
            grader.setblocking(False)
            answering = asyncio.ensure_future(answers(grader, seat, job["id"]))
        try:
            while True:
                for kind, what in await seat.told.remote(job["id"]):
                    match kind:
                        case "started" if on_start is not None:
                            on_start(what)
                        case "files":
                            await asyncio.to_thread(apply, folder, what)
                        case "grader" if grader is not None:
                            await forward(grader, what)
                        case "refused":
                            raise PoiseError(f"node {place.facts['node']}: {what}")
                        case "ended":
                            await asyncio.to_thread(sync_tree, folder)
                            return dict(what)
        finally:
            if answering is not None:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)


async def outgoing(job: Job) -> AsyncIterator[list[Piece]]:
    """What a job needs of files, as pieces that its seat puts where it looks for them."""
    for key, name in FILES.items():
        if job.get(key):
            path = Path(job[key])
            if path.is_dir():
                async for pieces in _all(Mirror(path, ()), name):
                    yield pieces
            else:
                yield [Piece(name, 0, read_limited(path, ALGORITHM_BYTES))]
    if job.get("resume"):
        async for pieces in _all(Mirror(Path(job["folder"]), KEPT_HERE), "folder"):
            yield pieces


async def _all(mirror: Mirror, below: str) -> AsyncIterator[list[Piece]]:
    while pieces := await asyncio.to_thread(mirror.changes):
        yield [Piece(f"{below}/{piece.path}", piece.offset, piece.data) for piece in pieces]


async def answers(grader: socket.socket, seat: Any, job_id: str) -> None:
    """Carry what the grader says to a job's trainer, until it says no more."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, Lost):
        while data := await loop.sock_recv(grader, RELAY_BYTES):
            await seat.heard.remote(job_id, data)
        await seat.heard.remote(job_id, b"")


async def forward(grader: socket.socket, data: bytes) -> None:
    """Carry a trainer's words to the grader; it may have cut the trainer off."""
    with suppress(OSError):
        if data:
            await asyncio.get_running_loop().sock_sendall(grader, data)
        else:
            grader.shutdown(socket.SHUT_WR)


async def arrive(reference: Any) -> None:
    """Wait for a call that may find nobody."""
    with suppress(Lost):
        await reference


def result_of(errand: _Errand, status: str, cause: str | None, reason: str | None) -> Result:
    """The result of a job that has not told its own."""
    wall = time.monotonic() - errand.began if errand.began else 0.0
    times = {"wall_seconds": round(wall, 3), "cpu_seconds": 0.0}
    return {"id": errand.job["id"], "status": status, "cause": cause, "reason": reason, **times, "exit": 0, "data": {}}
