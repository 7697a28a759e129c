"""Executors: JSON jobs in, JSON results out. Local processes now; the protocol leaves room for others."""

import asyncio
import json
import shutil
import signal
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

import orjson

from engine.archive.files import read_limited, write_atomic, write_json
from engine.errors import Exit, PoiseError
from engine.process.child import Job, log_name, one_line
from engine.process.launch import Child, Launcher
from engine.process.launch import Exit as ChildExit
from engine.process.limits import Limits

Result = dict[str, Any]
RESULT_LIMIT = 1 << 20
"""Bytes of a result.json; a child's process writes it, so it is not trusted."""


class Executor(Protocol):
    """Runs jobs somewhere."""

    async def run(self, job: Job, on_start: Callable[[int], None] | None = None) -> Result:
        """Run a job to its end; never raises for what the job does."""
        ...

    def control(self, job_id: str, word: str) -> None:
        """Ask a running job to "pause" or "stop" at its next step boundary."""
        ...

    def kill(self, job_id: str, cause: str = "killed") -> None:
        """End a running job now."""
        ...


class LocalExecutor:
    """Runs each job in a limited child process on this machine."""

    def __init__(
        self,
        launcher: Launcher,
        connect_grader: Callable[[Job], socket.socket] | None = None,
        *,
        graded: Collection[str] = ("train",),
        grace: float = 5.0,
    ) -> None:
        """
        Args:
            launcher: starts the children.
            connect_grader: makes the connection that a job gets to the grader.
            graded: kinds of jobs that get one.
            grace: seconds between the termination and the killing of a job that overran its deadline.
        """
        self._launcher = launcher
        self._connect_grader = connect_grader
        self._graded = graded
        self._grace = grace
        self._children: dict[str, Child] = {}
        self._killed: dict[str, str] = {}

    async def run(self, job: Job, on_start: Callable[[int], None] | None = None) -> Result:
        """Run a job in its folder; cancelling the call kills the job.

        Args:
            job: see docs/architecture.md; `id` must not be running already.
            on_start: called with the child's pid.

        Returns:
            a result as in docs/architecture.md, whatever the job did.

        Raises:
            PoiseError: the job is malformed, or no process could be started.
        """
        limits = check_job(job)
        folder = Path(job["folder"])
        if job["id"] in self._children:
            raise PoiseError(f"job {job['id']} is running already")
        try:
            prepare(folder, job)
        except OSError as error:
            raise PoiseError(f"cannot prepare {folder}: {error.strerror}") from None
        child = await self._spawn(job)
        self._children[job["id"]] = child
        try:
            if on_start is not None:
                on_start(child.pid)
            exit, overran = await self._finish(child, limits)
        finally:
            del self._children[job["id"]]
            killed = self._killed.pop(job["id"], None)
            shutil.rmtree(folder / "tmp", ignore_errors=True)
        status, cause, data = judge(job, limits, exit, overran, killed)
        return {
            "id": job["id"],
            "status": status,
            "cause": cause,
            "wall_seconds": round(exit.wall_seconds, 3),
            "cpu_seconds": round(exit.cpu_seconds, 3),
            "exit": exit.code if exit.code is not None else -(exit.signal or signal.SIGKILL),
            "data": data,
        }

    def control(self, job_id: str, word: str) -> None:
        """Ask a running job to "pause" or "stop" at its next step boundary.

        Raises:
            PoiseError: no such job runs (3), or its folder cannot be written (1).
        """
        folder = Path(self._child(job_id).job["folder"])
        try:
            write_atomic(folder / "control", word.encode(), durable=False)
        except OSError as error:
            raise PoiseError(f"cannot steer job {job_id}: {error.strerror}") from None

    def kill(self, job_id: str, cause: str = "killed") -> None:
        """Kill a running job and all it started; its result says so, with this cause.

        Raises:
            PoiseError: no such job runs (3).
        """
        child = self._child(job_id)
        self._killed[job_id] = cause
        child.kill()

    def _child(self, job_id: str) -> Child:
        try:
            return self._children[job_id]
        except KeyError:
            raise PoiseError(f"job {job_id} is not running", Exit.NOT_FOUND) from None

    async def _spawn(self, job: Job) -> Child:
        if job["kind"] not in self._graded or self._connect_grader is None:
            return await self._launcher.spawn(job)
        with self._connect_grader(job) as connection:
            return await self._launcher.spawn(job, connection)

    async def _finish(self, child: Child, limits: Limits) -> tuple[ChildExit, bool]:
        """Wait for the end, or bring it about at the deadline; also says whether the deadline did it."""
        try:
            return await child.wait(limits.wall_seconds), False
        except TimeoutError:
            return await child.stop(self._grace), True
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise


def check_job(job: Job) -> Limits:
    """The limits of a job. Raises PoiseError if the job is malformed."""
    try:
        json.dumps(job)
        if not (isinstance(job["id"], str) and isinstance(job["kind"], str)):
            raise TypeError("id and kind must be text")
        if not Path(job["folder"]).is_absolute():
            raise ValueError("its folder must be an absolute path")
        return Limits.of(job)
    except KeyError as error:
        raise PoiseError(f"malformed job: it has no {error}") from None
    except (TypeError, ValueError) as error:
        raise PoiseError(f"malformed job: {error}") from None


def prepare(folder: Path, job: Job) -> None:
    """Make the job's folder, without what an earlier job of it left at our names. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("job.json", "result.json", "control"):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    write_json(folder / "job.json", job, durable=False)


def judge(
    job: Job, limits: Limits, exit: ChildExit, overran: bool, killed: str | None
) -> tuple[str, str | None, dict[str, Any]]:
    """Status, cause and data of a job, from how its process ended and what it wrote."""
    if killed is not None:
        return "killed", killed, {}
    if overran:
        return "timeout", f"ran longer than {limits.wall_seconds:g} s", {}
    if exit.signal == signal.SIGXCPU and limits.cpu_seconds is not None:
        return "timeout", f"used more than {limits.cpu_seconds:g} s of processor time", {}
    if exit.signal is not None:
        hint = ": out of memory, or killed from outside" if exit.signal == signal.SIGKILL else ""
        return "killed", f"ended by signal {exit.signal} ({signal.strsignal(exit.signal)}){hint}", {}
    if exit.code is None:
        return "killed", "the fork server died, and its children with it", {}
    return read_result(Path(job["folder"]), log_name(job["kind"]), exit.code)


def read_result(folder: Path, log: str, code: int) -> tuple[str, str | None, dict[str, Any]]:
    """What a child wrote into result.json: status, cause, data. Anything unfit makes it a failure."""
    try:
        value = orjson.loads(read_limited(folder / "result.json", RESULT_LIMIT))
        status, cause, data = value["status"], value["cause"], value["data"]
        if status not in ("done", "paused", "stopped", "failed") or not isinstance(data, dict):
            raise ValueError("unknown status, or data is no object")
        return status, None if cause is None else one_line(str(cause)), data
    except FileNotFoundError:
        return "failed", f"ended without a result (exit code {code}); see {log}", {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "failed", one_line(f"wrote a result.json that cannot be used: {error}"), {}
