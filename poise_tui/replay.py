"""A run that is over, as if it happened again: the feed of `poise replay`, with a place in time and a speed."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from engine.archive.events import JsonLinesReader
from engine.archive.folder import RunFolder
from poise_tui.recording import Recording
from poise_tui.snapshot import Json, Snapshot
from poise_tui.store import Store

SPEEDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
KEY_EVENTS = 2000
KEYS = 32
"""So many are kept at most."""
BOX_SECONDS = 0.2
"""How long a poll may fold before it shows how far it is."""
STEP = 200
"""Events folded at a time."""


@dataclass(frozen=True)
class Place:
    """Where a replay stands; seconds of the replay."""

    at: float
    length: float
    speed: float
    playing: bool
    time: float
    """Unix seconds of what is on show."""


class ReplayFeed:
    """Polled from one thread like the feed of a live run; any thread may move it."""

    def __init__(
        self,
        folder: RunFolder,
        speed: float = 10.0,
        clock: Callable[[], float] = monotonic,
        key_events: int = KEY_EVENTS,
    ) -> None:
        """
        Args:
            folder: of a run, ended or not; what comes later is not seen.
            speed: times the speed of life, at first.
            clock: seconds of any origin.
            key_events: between two states that are kept for going back, at least.
        """
        self.folder = folder
        self.behind = False
        """Whether the state on show is not yet that of the place in time."""
        self._clock, self._lock, self._key_events = clock, Lock(), key_events
        self._recording: Recording | None = None
        self._samples: list[Json] = []
        self._store, self._folded, self._sampled = Store(), 0, 0
        self._keys: list[tuple[int, int, Store]] = []
        self._at, self._speed, self._playing, self._last = 0.0, speed, True, clock()

    # -- from any thread ---------------------------------------------------------------------------------------

    @property
    def place(self) -> Place:
        """Where it stands now."""
        with self._lock:
            self._move()
            length = self._recording.length if self._recording else 0.0
            time = self._recording.time_at(self._at) if self._recording else 0.0
            return Place(self._at, length, self._speed, self._playing, time)

    def now(self) -> float:
        """Unix time of what is on show."""
        return self.place.time

    def seek(self, seconds: float) -> None:
        """Go to a moment of the replay."""
        with self._lock:
            self._move()
            length = self._recording.length if self._recording else 0.0
            self._at = max(0.0, min(seconds, length))

    def play(self, playing: bool | None = None) -> None:
        """Go on or stop; without a word the other of the two, from the start if it stands at the end."""
        with self._lock:
            self._move()
            self._playing = not self._playing if playing is None else playing
            if self._playing and self._recording and self._at >= self._recording.length:
                self._at = 0.0

    def faster(self, steps: int) -> None:
        """Another of the speeds."""
        with self._lock:
            self._move()
            nearest = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self._speed))
            self._speed = SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + steps))]

    def _move(self) -> None:
        now = self._clock()
        if self._playing and self._recording is not None:
            self._at += (now - self._last) * self._speed
            if self._at >= self._recording.length:
                self._at, self._playing = self._recording.length, False
        self._last = now

    # -- from the thread that polls ----------------------------------------------------------------------------

    def poll(self) -> Snapshot:
        """The run as it was at the place in time, or on the way there."""
        recording = self._recording
        if recording is None:
            recording = Recording(self.folder)
            recording.index()
            self._samples += JsonLinesReader(self.folder.telemetry, order="time", max_line=1 << 20).read()
            with self._lock:
                self._recording, self._last = recording, self._clock()
        wanted = recording.until(self.place.at)
        if wanted < self._folded:
            self._go_back(wanted)
        until = monotonic() + BOX_SECONDS
        while self._folded < wanted and monotonic() < until:
            end = min(wanted, self._folded + min(STEP, self._key_events))
            self._store.fold(recording.events(self._folded, end))
            self._folded = end
            if end - (self._keys[-1][0] if self._keys else 0) >= max(self._key_events, len(recording) // KEYS):
                self._keys.append((end, self._sampled, self._store.copy()))
        self.behind = self._folded < wanted
        now, first = self.now(), self._sampled
        while self._sampled < len(self._samples) and self._samples[self._sampled]["time"] <= now:
            self._sampled += 1
        self._store.fold_telemetry(self._samples[first : self._sampled])
        return self._store.snapshot()

    def _go_back(self, wanted: int) -> None:
        """To the newest state that was kept and is not after so many events."""
        earlier = [key for key in self._keys if key[0] <= wanted]
        self._folded, self._sampled, kept = earlier[-1] if earlier else (0, 0, Store())
        self._store = kept.copy()
