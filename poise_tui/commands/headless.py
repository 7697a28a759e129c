"""A run without a terminal: progress lines to the end, and a graceful stop on SIGINT or SIGTERM."""

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
    """How often the user asked to end, by SIGINT or SIGTERM; SIGHUP just ends this client."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def watching(self) -> Iterator["Signals"]:
        """Count instead of dying, until the block ends."""
        before = {s: signal.signal(s, self._count) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


def follow(folder: RunFolder, signals: Signals, handle: EngineHandle | None = None) -> Exit:
    """Print a run's progress until it has ended and its engine is gone.

    The first signal stops the run gracefully, the second leaves its engine running.

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
                print(line, flush=True)
            if event.kind == "run.status":
                status = event.data["status"]
        if not alive:
            break
        if signals.count > asked:
            asked = signals.count
            if asked > 1:
                left = "is stopping by itself" if stopping else "goes on without us"
                print(f"{folder.id} {left}: `poise status {folder.id}` tells how far it is", flush=True)
                return Exit.ERROR
            stopping = _ask_to_stop(folder)
        time.sleep(POLL_SECONDS)
    code = handle.process.wait() if handle is not None else 0
    if status in ("finished", "stopped"):
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
        print("stopping: trainings are checkpointed first (once more: do not wait for it)", flush=True)
        return True
    except PoiseError as error:
        print(f"cannot stop it: {error} (once more: leave the engine running)", flush=True)
        return False
