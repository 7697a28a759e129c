"""Executors: JSON jobs in, JSON results out. Local processes now; the protocol leaves room for others."""

import asyncio
import errno
import json
import math
import os
import signal
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from engine.archive.files import read_limited, write_atomic, write_json
from engine.archive.remove import remove_tree
from engine.errors import Exit, PoiseError
from engine.process.child import NO_SPACE_EXIT, REASONS, Job, log_name, one_line
from engine.process.launch import Child, Launcher
from engine.process.launch import Exit as ChildExit
from engine.process.limits import MIB, Limits

Result = dict[str, Any]
RESULT_LIMIT = 1 << 20
"""Bytes of a result.json; a child's process writes it, so it is not trusted."""


LOOK_SECONDS = 1.0
"""How often a job's progress is looked at."""
MOST_THREADS = 500
"""Of one job; pids are the whole machine's, and for root RLIMIT_NPROC does not count."""
IDLE_SHARE = 0.1
"""Of its time that a working job uses the processor at least."""
IN_MEMORY = ("/memfd:", "/dev/zero", "/SYSV")
"""Files that only look like files."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that a job does not bring upon itself."""


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
        connect_grader: Callable[[Job], socket.socket | Awaitable[socket.socket]] | None = None,
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
        self._taken: set[str] = set()
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
        if job["id"] in self._taken:
            raise PoiseError(f"job {job['id']} is running already")
        self._taken.add(job["id"])  # from now on, not from when a process runs: starting one takes time
        try:
            exit, ended_by = await self._run(job, folder, limits, on_start)
        finally:
            self._children.pop(job["id"], None)
            killed = self._killed.pop(job["id"], None)
            try:
                # Elsewhere: a job can leave so many folders that this takes minutes.
                await asyncio.to_thread(remove_tree, folder / "tmp")
            finally:
                self._taken.discard(job["id"])
        status, cause, data, reason = judge(job, limits, exit, ended_by, killed)
        return {
            "id": job["id"],
            "status": status,
            "cause": cause,
            "reason": reason,
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

    async def _run(
        self, job: Job, folder: Path, limits: Limits, on_start: Callable[[int], None] | None
    ) -> tuple[ChildExit, str | None]:
        """How the job's process ended, and which of our clocks ended it."""
        try:
            prepare(folder, job)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return ChildExit(None, None, 0.0, 0.0, 0.0), "disk"
            raise PoiseError(f"cannot prepare {folder}: {error.strerror}") from None
        deaths = oom_kills()
        child = await self._spawn(job)
        self._children[job["id"]] = child
        if on_start is not None:
            on_start(child.pid)
        exit, ended_by = await self._finish(child, limits, Path(folder, job["progress"]) if "progress" in job else None)
        if exit.signal == signal.SIGKILL and oom_kills() > deaths:
            ended_by = ended_by or "memory"
        return exit, ended_by

    def _child(self, job_id: str) -> Child:
        try:
            return self._children[job_id]
        except KeyError:
            raise PoiseError(f"job {job_id} is not running", Exit.NOT_FOUND) from None

    async def _spawn(self, job: Job) -> Child:
        if job["kind"] not in self._graded or self._connect_grader is None:
            return await self._launcher.spawn(job)
        connection = self._connect_grader(job)
        with await connection if isinstance(connection, Awaitable) else connection as grader:
            return await self._launcher.spawn(job, grader)

    async def _finish(self, child: Child, limits: Limits, progress: Path | None) -> tuple[ChildExit, str | None]:
        """Wait for the end, or bring it about at a limit; also says which, see `Watch.overdue`."""
        watch = Watch(limits, Path(child.job["folder"]), progress, child.pid)
        try:
            while True:
                try:
                    return await child.wait(watch.next_look()), None
                except TimeoutError:
                    if (ended_by := watch.overdue()) is not None:
                        return await child.stop(self._grace), ended_by
        except asyncio.CancelledError:
            await child.end()
            raise


class Watch:
    """A job's clocks, both monotonic: its whole time, and the time since it last got further.

    Args:
        limits: of wall, step and folder.
        folder: the job's.
        progress: the file that grows with every step.
        pid: the job's process; 0 if it has ended.
    """

    def __init__(self, limits: Limits, folder: Path, progress: Path | None, pid: int = 0) -> None:
        self._limits = limits
        self._folder = folder
        self._progress = progress
        self._pid = pid
        self._begun = self._looked = time.monotonic()
        self._idle = 0.0
        self._seen: tuple[int, int] | None = self._look()

    def next_look(self) -> float | None:
        """Seconds until `overdue` should be asked again; None: never."""
        limits, looks = self._limits, []
        if limits.wall_seconds is not None:
            looks.append(max(self._begun + limits.wall_seconds - time.monotonic(), 0.0))
        if limits.step_seconds is not None:
            looks.append(min(LOOK_SECONDS, limits.step_seconds / 4))
        if limits.folder_mb is not None or limits.folder_files is not None:
            looks.append(LOOK_SECONDS)
        return min(looks, default=None)

    def overdue(self) -> str | None:
        """Which clock has run out, or what has grown beyond bounds: "time", "hung", "folder", "threads" or None."""
        now = time.monotonic()
        # If we did not run ourselves (the machine was paused), the job had no chance to show progress either.
        passed, self._looked = min(now - self._looked, 2 * LOOK_SECONDS), now
        seen = self._look()
        self._idle = 0.0 if seen != self._seen else self._idle + passed
        self._seen = seen
        if self._limits.wall_seconds is not None and now - self._begun >= self._limits.wall_seconds:
            return "time"
        if self._limits.step_seconds is not None and self._idle >= self._limits.step_seconds:
            return "hung"
        if thread_count(self._pid) > MOST_THREADS:
            return "threads"
        return "folder" if overfull(self._folder, self._limits, self._pid) else None

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._progress) if self._progress is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_ino, found.st_size)


def overfull(folder: Path, limits: Limits, pid: int = 0) -> bool:
    """Whether a folder holds more than it may, files without a name that its process `pid` holds included.

    What is counted is bounded by the limits themselves; what cannot be counted (a path too long, a folder that
    nobody may read) is too much.
    """
    if limits.folder_mb is None and limits.folder_files is None:
        return False
    most_bytes = math.inf if limits.folder_mb is None else limits.folder_mb * MIB
    most_files = math.inf if limits.folder_files is None else limits.folder_files
    files, size, left = 0, nameless_bytes(pid), [folder]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    files += 1
                    with suppress(FileNotFoundError):
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            left.append(Path(entry.path))
                    if files > most_files or size > most_bytes:
                        return True
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
            continue
        except OSError:
            return True
    return size > most_bytes


def nameless_bytes(pid: int) -> int:
    """How much disk a process holds in files that it has opened or mapped and then removed; 0 where it is gone."""
    found: dict[tuple[int, int], int] = {}
    for kind in ("fd", "map_files"):  # the second is for root alone
        with suppress(OSError), os.scandir(f"/proc/{pid}/{kind}") as entries:
            for entry in entries:
                with suppress(OSError):
                    status = os.stat(entry.path)
                    named = status.st_nlink > 0 or os.readlink(entry.path).startswith(IN_MEMORY)
                    if stat.S_ISREG(status.st_mode) and not named:
                        found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def thread_count(pid: int) -> int:
    """How many threads a process has; 0 if it is gone."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[17])
    return 0


def oom_kills() -> int:
    """How many processes the kernel has killed since boot because the machine had no memory left."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


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
            remove_tree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    write_json(folder / "job.json", job, durable=False)


Judgement = tuple[str, str | None, dict[str, Any], str | None]
"""Status, cause, data and reason of a job."""


def judge(job: Job, limits: Limits, exit: ChildExit, ended_by: str | None, killed: str | None) -> Judgement:
    """Status, cause, data and reason of a job, from how its process ended and what it wrote.

    The reason is what a supervisor acts on: `asked` (we killed it), `hung`, `time`, `memory`, `disk`, `killed` (by a
    signal that nobody here sent), `server` (the fork server died), or what the job said, see `engine.process.child`.
    """
    if killed is not None:
        return "killed", killed, {}, "asked"
    match ended_by:
        case "disk":
            return "failed", "no space left on the disk", {}, "disk"
        case "hung":
            return "timeout", f"made no progress for {limits.step_seconds:g} s", {}, "hung"
        case "time":
            # Steps cannot tell of a job that has none: one that hardly used the processor did not work, it hung.
            idle = "progress" not in job and exit.cpu_seconds < IDLE_SHARE * exit.wall_seconds
            return "timeout", f"ran longer than {limits.wall_seconds:g} s", {}, "hung" if idle else "time"
        case "folder":
            most = f"{limits.folder_mb or math.inf:g} MB or {limits.folder_files or math.inf:g} files"
            return "killed", f"its folder came to hold more than {most}", {}, None
        case "threads":
            return "killed", f"it started more than {MOST_THREADS} threads", {}, None
        case "memory":
            return "killed", "the machine ran out of memory", {}, "memory"
    # SIGKILL is the kernel's second word, to a job that is deaf to SIGXCPU.
    spent = limits.cpu_seconds is not None and exit.cpu_seconds >= max(1, round(limits.cpu_seconds))
    deaf = spent and exit.signal == signal.SIGKILL
    if limits.cpu_seconds is not None and (deaf or exit.signal == signal.SIGXCPU):
        return "timeout", f"used more than {limits.cpu_seconds:g} s of processor time", {}, "time"
    if exit.signal is not None:
        hint = ": out of memory, or killed from outside" if exit.signal == signal.SIGKILL else ""
        cause = f"ended by signal {exit.signal} ({signal.strsignal(exit.signal)}){hint}"
        # A signal like SIGSEGV is the job's own doing and would come again.
        return "killed", cause, {}, "killed" if exit.signal in FROM_OUTSIDE else None
    if exit.code is None:
        return "killed", "the fork server died, and its children with it", {}, "server"
    return read_result(Path(job["folder"]), log_name(job["kind"]), exit.code)


def read_result(folder: Path, log: str, code: int) -> Judgement:
    """What a child wrote into result.json. Anything unfit makes it a failure."""
    try:
        value = orjson.loads(read_limited(folder / "result.json", RESULT_LIMIT))
        status, cause, data, reason = value["status"], value["cause"], value["data"], value.get("reason")
        if status not in ("done", "paused", "stopped", "failed") or not isinstance(data, dict):
            raise ValueError("unknown status, or data is no object")
        orjson.dumps(data)  # what cannot be written down again (nested too deep) is not accepted
        known = reason if status == "failed" and reason in REASONS else None
        return status, None if cause is None else one_line(str(cause)), data, known
    except FileNotFoundError:
        if code == NO_SPACE_EXIT:
            return "failed", "no space left on the disk", {}, "disk"
        return "failed", f"ended without a result (exit code {code}); see {log}", {}, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "failed", one_line(f"wrote a result.json that cannot be used: {error}"), {}, None
