"""A run without a terminal: progress lines to the end, and a graceful stop on SIGINT or SIGTERM."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from poise_tui.client import Connection, EngineHandle, last_words
from poise_tui.commands.progress import Progress

POLL_SECONDS = 0.2


class Signals:
    """How often the user asked to end, by SIGINT or SIGTERM; SIGHUP, of a terminal that is closed, asks for nothing."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def watching(self) -> Iterator["Signals"]:
        """Count instead of dying, until the block ends."""
        before = {s: signal.signal(s, self._count) for s in (signal.SIGINT, signal.SIGTERM)}
        # A handler and not SIG_IGN, which every process started from here would inherit.
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


def follow(folder: RunFolder, signals: Signals, handle: EngineHandle | None = None) -> Exit:
    """Print a run's progress until it has ended and its engine is gone.

    The first signal stops the run gracefully, the second leaves its engine running. When the terminal goes away it
    waits on in silence, so that a script goes on where the run has ended.

    Returns:
        DONE when the run ended in order, ERROR when it goes on without us.

    Raises:
        PoiseError: the engine died.
    """
    reader, progress = EventReader(folder.events), Progress()
    status, asked, stopping = "running", 0, False
    while True:
        alive = folder.engine() is not None
        for event in reader.read():
            for line in progress.lines(event):
                _say(line)
            if event.kind == "run.status":
                status = event.data["status"]
        if not alive:
            break
        if signals.count > asked:
            asked = signals.count
            if asked > 1:
                left = "is stopping by itself" if stopping else "goes on without us"
                _say(f"{folder.id} {left}: `poise status {folder.id}` tells how far it is")
                return Exit.ERROR
            stopping = _ask_to_stop(folder)
        time.sleep(POLL_SECONDS)
    code = handle.process.wait() if handle is not None else 0
    if status == "finished" or (status == "stopped" and code == 0):
        return Exit.DONE
    if code > 0 and (words := last_words(folder)) is not None:
        raise PoiseError(f"the engine of {folder.id} ended: {words}")
    raise PoiseError(
        f"the engine of {folder.id} died (see {folder.engine_log}): `poise resume {folder.id}` takes it up"
    )


def _ask_to_stop(folder: RunFolder) -> bool:
    """Whether the engine has accepted to stop."""
    try:
        Connection(folder).send("stop")
        _say("stopping: trainings are checkpointed first (once more: do not wait for it)")
        return True
    except PoiseError as error:
        _say(f"cannot stop it: {error} (once more: leave the engine running)")
        return False


def _say(line: str) -> None:
    """Print a line; from when the terminal is gone, to nobody."""
    try:
        print(line, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:  # a pipe whose reader has gone ends the command
            raise
        nobody = os.open(os.devnull, os.O_WRONLY)
        if os.path.samestat(os.fstat(1), os.fstat(2)):
            os.dup2(nobody, 2)
        os.dup2(nobody, 1)
