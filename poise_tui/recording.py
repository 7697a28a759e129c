"""A run's events by their place and time, read from its files when they are wanted: a million take 24 MB to know."""

from array import array
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path

import orjson

from engine.archive.events import Event, event_files, events_path
from engine.archive.files import open_regular
from engine.archive.folder import RunFolder

GAP = 10.0
"""Seconds that a time without events takes in a replay, at most."""


class Recording:
    """What has happened in a run, in order. Index it once, then read any part of it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder.path
        self._places = array("Q")
        """Where each event's line begins in its file."""
        self._files: list[tuple[int, Path]] = []
        """The number of the first event of each file."""
        self.times = array("d")
        """Unix seconds of each event, never falling."""
        self.seconds = array("d")
        """When it comes in a replay: the same, with gaps cut short, from 0 on."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def length(self) -> float:
        """Seconds that a replay takes at the speed of life."""
        return self.seconds[-1] if self.seconds else 0.0

    def index(self) -> None:
        """Find all events, each once."""
        last = float("-inf")
        for generation in event_files(self._folder):
            path = events_path(self._folder, generation)
            self._files.append((len(self), path))
            with suppress(OSError), open(open_regular(path), "rb") as file:
                place = 0
                for line in file:
                    begin, place = place, place + len(line)
                    if line.endswith(b"\n") and (found := _seq_and_time(line)) is not None and found[0] > last:
                        last = found[0]
                        self._add(begin, found[1])

    def _add(self, place: int, time: float) -> None:
        time = max(time, self.times[-1]) if self.times else time
        gap = min(GAP, time - self.times[-1]) if self.times else 0.0
        self._places.append(place)
        self.seconds.append(self.length + gap)
        self.times.append(time)

    def events(self, first: int, end: int) -> list[Event]:
        """Events by their numbers, `end` not included; lines that are no events any more are left out."""
        found: list[Event] = []
        for i, (begin, path) in enumerate(self._files):
            stop = self._files[i + 1][0] if i + 1 < len(self._files) else len(self)
            low, high = max(first, begin), min(end, stop)
            if low < high:
                found += _read(path, self._places[low:high])
        return found

    def until(self, seconds: float) -> int:
        """How many events have come by a moment of the replay."""
        return bisect_right(self.seconds, seconds)

    def time_at(self, seconds: float) -> float:
        """Unix time of a moment of the replay."""
        if not self.times:
            return 0.0
        at = max(0, self.until(seconds) - 1)
        following = self.times[at + 1] if at + 1 < len(self) else self.times[at]
        return min(self.times[at] + max(0.0, seconds - self.seconds[at]), following)


def _seq_and_time(line: bytes) -> tuple[int, float] | None:
    try:
        event = Event.of(orjson.loads(line))
    except (KeyError, TypeError, ValueError):
        return None
    return event.seq, event.time


def _read(path: Path, places: "array[int]") -> list[Event]:
    found = []
    try:
        with open(open_regular(path), "rb") as file:
            file.seek(places[0])
            for place in places:
                if file.tell() != place:  # a line in between was no event
                    file.seek(place)
                try:
                    found.append(Event.of(orjson.loads(file.readline())))
                except (KeyError, TypeError, ValueError):
                    continue
    except OSError:
        return found
    return found
