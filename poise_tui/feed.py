"""Reads a run's growing files into snapshots; the dashboard's only way to know anything."""

from collections.abc import Callable
from time import monotonic, thread_time, time
from typing import Protocol

from engine.archive.events import EventReader, JsonLinesReader
from engine.archive.folder import RunFolder, shown_status
from poise_tui.client import ASK_SECONDS, Connection
from poise_tui.snapshot import Run, Snapshot
from poise_tui.store import Store

CHUNK = 1 << 18
"""Bytes that are read and parsed at a time, so that the memory this takes stays small (77 MB instead of 87 with 2 MiB,
for 2,000 nodes and 80,000 points)."""

BOX_SECONDS = 0.3
"""Processor time that a poll may spend on reading before it shows what it has: a huge history arrives in steps, and
most of what a step costs is the picture. The first one is a single chunk, on screen at once."""

STATUS_SECONDS = 1.0
"""How often to ask whether an engine still holds the run."""

SILENT_SECONDS = 15.0
"""Of silence before anything is said of it: an engine that loads PyTorch on a busy machine pauses for some."""

LIVE = ("running", "paused")
"""Statuses of a run that an engine should be working on."""


class Feed(Protocol):
    """What the dashboard polls, from one thread."""

    behind: bool
    """Whether the last poll left something undone."""

    def poll(self) -> Snapshot:
        """The run as it is now; the same object again if nothing is new."""
        ...


class FolderFeed:
    """Polls one run's folder, from one thread."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = monotonic) -> None:
        self.folder = folder
        self.behind = False
        """Whether the last poll left something unread."""
        self._events = EventReader(folder.events)
        self._telemetry = JsonLinesReader(folder.telemetry, order="time", max_line=1 << 20)
        self._store = Store()
        self._clock = clock
        self._next_status = float("-inf")
        self._box = 0.0

    def poll(self) -> Snapshot:
        """Read what is new. Nothing new costs two `stat` calls and gives the same snapshot again."""
        events = self._read()
        self._store.fold_telemetry(self._telemetry.read())
        snapshot = self._store.snapshot()
        now = self._clock()
        if snapshot.run is not None and (events or now >= self._next_status):
            self._next_status = now + STATUS_SECONDS
            self._look_at_engine(snapshot.run)
            snapshot = self._store.snapshot()
        return snapshot

    def _look_at_engine(self, run: Run) -> None:
        """Whether the run's folder and its engine are there, and since when the engine is silent."""
        there = self.folder.path.is_dir()
        self._store.set_shown_status(shown_status(run.status, self.folder) if there else "gone")
        silence = Connection(self.folder).silent_for() if there and run.status in LIVE else None
        if silence is None or silence < SILENT_SECONDS:
            self._store.set_silent_since(None)
        else:
            self._next_status += ASK_SECONDS  # it was asked and did not answer: not every second
            if run.silent_since is None:
                self._store.set_silent_since(time() - silence)

    def _read(self) -> bool:
        """Fold new events for as long as a poll may take; whether there were any."""
        until, found = thread_time() + self._box, False
        while events := self._events.read(CHUNK):
            self._store.fold(events)
            found = True
            if thread_time() >= until:
                self._box = BOX_SECONDS
                self.behind = True
                return True
        self.behind = False
        return found
