"""What every client does with an engine: start one, wake one, find a run, send it a command."""

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.archive.folder import RUN_NAME, RunFolder, default_runs_dir, find_run
from engine.errors import Exit, PoiseError
from engine.process.control import send
from engine.process.lock import heartbeat_age
from engine.process.registry import live_engines

READY_SECONDS = 30.0
"""An engine announces itself before its heavy imports, so this is ample."""


SILENT_SECONDS = 5.0
"""An engine touches its lock every second; one that has not for so long may hang."""
ASK_SECONDS = 2.0
"""Within which an engine answers unless it hangs."""


@dataclass(frozen=True)
class EngineHandle:
    """An engine that this process has started; it goes on without us."""

    run: str
    folder: Path
    pid: int
    process: "subprocess.Popen[bytes]"
    """Kept so that the engine's end is noticed and it does not stay a zombie of ours."""


@dataclass(frozen=True)
class Connection:
    """A run, and a way to its engine."""

    folder: RunFolder

    def send(self, command: str, node: str | None = None, **fields: Any) -> dict[str, Any]:
        """Send one command to the run's engine; its event carries the field `id`, which is made up unless given.

        Returns:
            the answer's data.

        Raises:
            PoiseError: no engine runs it or it is on another host (4), or what the engine answered.
        """
        engine = self.folder.engine()
        if engine is None:
            raise PoiseError(
                f"no engine runs {self.folder.id} now: `poise resume {self.folder.id}` starts one",
                Exit.REFUSED,
            )
        if not engine.identity.here:
            raise PoiseError(f"{self.folder.id} is run by {engine}: steer it there", Exit.REFUSED)
        return send(engine.socket, command, node=node, by="cli", **{"id": secrets.token_hex(8), **fields})

    def silent_for(self) -> float | None:
        """Seconds since the run's engine last showed that it works; None where it answers, or none is alive here.

        Its heartbeat tells within seconds; only where that is old, for a clock may have been set, it is asked.
        """
        engine, age = self.folder.engine(), heartbeat_age(self.folder.lock)
        if engine is None or age is None or age < SILENT_SECONDS:
            return None
        if engine.identity.here:
            try:
                send(engine.socket, "ping", timeout=ASK_SECONDS)
                return None
            except PoiseError:
                return age
        return age


def start_engine(request: Mapping[str, Any]) -> EngineHandle:
    """Start a new run in a process of its own and return once it is ready to be steered.

    Args:
        request: see "Start" in docs/architecture.md, without `ready_fd`; paths must be absolute.

    Raises:
        PoiseError: what the engine found wrong with the request, or why it did not come up.
    """
    return _spawn("start", request)


def resume_engine(folder: Path, allow_weak_sandbox: bool = False, **asked: float | str | None) -> EngineHandle:
    """Start the engine of a run that exists.

    Args:
        folder: the run's folder, absolute.
        allow_weak_sandbox: run candidate code although layers of the sandbox are missing.
        asked: `candidates`, `hours`, `gpu_hours`, `usd` that the run gets now, None leaves one as it is; or
            `confirm` or `ablate` (a candidate) and `seeds`: that study and nothing else.

    Raises:
        PoiseError: the run is locked, has nothing left to do, has spent more, or the engine did not come up.
    """
    return _spawn("resume", {"run_dir": str(folder), "allow_weak_sandbox": allow_weak_sandbox, **asked})


def connect(reference: str | None, runs_dir: Path | None) -> Connection:
    """The run meant by an id, a folder or nothing (the newest).

    Args:
        reference: an id, a folder, or None.
        runs_dir: the option `--runs-dir`; without it this user's live engines are found wherever they run.

    Raises:
        PoiseError: no such run (3).
    """
    try:
        return Connection(find_run(reference, default_runs_dir(runs_dir)))
    except PoiseError:
        if runs_dir is not None or (reference is not None and not RUN_NAME.fullmatch(reference)):
            raise
        for engine in live_engines():
            if reference in (None, engine.run):
                return Connection(RunFolder(engine.folder))
        raise


def live_run(runs_dir: Path | None) -> Connection | None:
    """The run that an engine of this user leads now, those in `runs_dir` first; None if there is none."""
    here = default_runs_dir(runs_dir).resolve()
    engines = [e for e in live_engines() if runs_dir is None or e.folder.parent == here]
    engines.sort(key=lambda engine: engine.folder.parent != here)
    return Connection(RunFolder(engines[0].folder)) if engines else None


def last_words(folder: RunFolder) -> str | None:
    """What an engine that died said was the matter: the last line of its log that is meant for users."""
    try:
        with folder.engine_log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.removeprefix("poise: ") for line in reversed(lines) if line.startswith("poise: ")), None)


def _spawn(verb: str, request: Mapping[str, Any]) -> EngineHandle:
    read_end, write_end = os.pipe()
    # Until the engine has a log, what it complains about goes here.
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                # -P: a folder named `engine` where the user stands must not shadow ours.
                [sys.executable, "-P", "-m", "engine", verb, json.dumps({**request, "ready_fd": write_end})],
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                start_new_session=True,
                pass_fds=(write_end,),
            )
        finally:
            os.close(write_end)
        line = _first_line(read_end, READY_SECONDS)
        if line is None:
            process.kill()
            process.wait()
            raise PoiseError(f"the engine was not ready within {READY_SECONDS:g} s; is the machine too busy?")
        try:
            answer = json.loads(line)
        except ValueError:
            code = process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"it ended with exit code {code}"
            raise PoiseError(f"the engine did not start: {reason}") from None
    if not answer["ok"]:
        process.wait()
        raise PoiseError(answer["error"], Exit(answer["code"]))
    return EngineHandle(answer["run"], Path(answer["dir"]), answer["pid"], process)


def _first_line(handle: int, seconds: float) -> bytes | None:
    """The first line of a pipe, or what came before its end; None if time ran out. Closes the pipe."""
    deadline = time.monotonic() + seconds
    data = b""
    with open(handle, "rb", buffering=0) as pipe:
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            if not (more := pipe.read(1 << 16)):
                break
            data += more
    return data
