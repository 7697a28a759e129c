"""Inside a child: find the function of the job's kind, run it, write what came of it."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import untrusted
from engine.archive.files import read_limited, write_json
from engine.errors import PoiseError

Job = dict[str, Any]
Function = Callable[[Job], dict[str, Any]]

KINDS = {
    "verify": "engine.verify.verify:run_job",
    "train": "engine.training.run:run_job",
    "score": "engine.scoring.scorer:run_job",
}
"""The function of each kind of job, imported in the child alone."""

CALL = "call:"
"""Jobs of kind `call:module:function` run any function, if the launcher allows it (tests do)."""


class Paused(Exception):
    """Raised by a job that stopped at a step boundary to be resumed later; `data` is its result so far."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        super().__init__("paused")
        self.data = data or {}


class Stopped(Exception):
    """Raised by a job that ended early for good, with the cause; `data` is its result so far."""

    def __init__(self, cause: str = "stopped", data: dict[str, Any] | None = None) -> None:
        super().__init__(cause)
        self.data = data or {}


class Failure(PoiseError):
    """Raised by a job that failed for a known reason, one of `REASONS`."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


REASONS = ("memory", "diverged", "disk", "grader", "indivisible")
"""Why a job may say that it failed, where the engine acts on it: no memory, no finite numbers, no space on the disk, no
grader, or no memory where the micro-batch cannot be made smaller.
"""


NO_SPACE_EXIT = 75
"""The exit code of a child that found no space even for its result (EX_TEMPFAIL of sysexits.h)."""
LAST_MEGABYTES = 16
"""With less than this left on the disk, a write that failed for no reason given failed for want of space."""


def control_word(folder: Path) -> str | None:
    """What the engine asks of the job in this folder: "pause", "stop" or None. Cheap enough for each step."""
    try:
        word = read_limited(folder / "control", 64).decode(errors="replace").strip()
    except OSError:
        return None
    return word if word in ("pause", "stop") else None


def log_name(kind: str) -> str:
    """The file in the job's folder that its output goes to: `train.log`, `score.log`, ..."""
    return f"{kind.partition(':')[0]}.log"


def one_line(text: str, limit: int = 300) -> str:
    """Untrusted text as a cause: one printable line."""
    return untrusted.one_line(text, limit)


def run(job: Job, allow_calls: bool = False) -> int:
    """Run a job in this process and write `result.json` into its folder.

    Returns:
        the exit code: 0 if a result was written.
    """
    status, cause, data, reason = _outcome(job, allow_calls)
    folder = Path(job["folder"])
    result = {"status": status, "cause": cause, "data": data, "reason": reason}
    try:
        write_json(folder / "result.json", result, durable=False)
    except (TypeError, ValueError) as error:
        cause = one_line(f"the job's data is no JSON: {error}")
        write_json(folder / "result.json", {"status": "failed", "cause": cause, "data": {}}, durable=False)
    return 0


def _outcome(job: Job, allow_calls: bool) -> tuple[str, str | None, dict[str, Any], str | None]:
    try:
        return "done", None, _function(job["kind"], allow_calls)(job), None
    except Paused as paused:
        return "paused", None, paused.data, None
    except Stopped as stopped:
        return "stopped", one_line(str(stopped)), stopped.data, None
    except PoiseError as error:
        return "failed", one_line(str(error)), {}, getattr(error, "reason", None)
    except BaseException as error:  # candidate code may raise anything, SystemExit and KeyboardInterrupt included
        with suppress(Exception):  # the log may be full
            traceback.print_exc()
        cause, reason = _cause(error, job)
        return "failed", cause, {}, reason
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()


def _function(kind: str, allow_calls: bool) -> Function:
    if kind.startswith(CALL) and allow_calls:
        target = kind.removeprefix(CALL)
    elif kind in KINDS:
        target = KINDS[kind]
    else:
        raise PoiseError(f"no such kind of job: {kind}")
    module, _, name = target.partition(":")
    function: Function = getattr(importlib.import_module(module), name)
    return function


def _cause(error: BaseException, job: Job) -> tuple[str, str | None]:
    """The last line of the traceback; running out of memory, which has several forms, is named plainly."""
    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text.lower():
        limit = job.get("limits", {}).get("memory_mb")
        return "out of memory" + (f" (limit {limit:g} MB)" if limit is not None else ""), "memory"
    if _no_space(error, text, job):
        return "no space left on the disk", "disk"
    if isinstance(error, SystemExit):
        return one_line(f"the code called exit({error.code!r})"), None
    return one_line(text.splitlines()[-1] if text else type(error).__name__), None


def _no_space(error: BaseException, text: str, job: Job) -> bool:
    """Whether the disk is full; libraries written in other languages say so in words, torch hardly at all."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if "PytorchStreamWriter failed" in text:
        found = os.statvfs(job["folder"])
        return found.f_bavail * found.f_frsize < LAST_MEGABYTES << 20
    return "No space left on device" in text or "Disk quota exceeded" in text
