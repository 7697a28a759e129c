"""Following files that grow: events.jsonl, the dashboard's only feed, telemetry, metrics."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import open_regular

ROTATED = re.compile(r"events-(\d{6,})\.jsonl")


def events_path(folder: Path, generation: int) -> Path:
    """The file of events that belongs to a generation of the journal; that of the first is `events.jsonl`."""
    return folder / (f"events-{generation:06d}.jsonl" if generation else "events.jsonl")


def event_files(folder: Path) -> list[int]:
    """Generations whose events lie in a run's folder, in order. Only the last one still grows."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    later = sorted(int(match[1]) for name in names if (match := ROTATED.fullmatch(name)))
    return [0, *later] if "events.jsonl" in names else later


@dataclass(frozen=True)
class Event:
    """One thing that happened. The archive gives it its number and time; they are 0 until then."""

    kind: str
    node: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    time: float = 0.0

    def line(self) -> bytes:
        """The line of events.jsonl."""
        fields = {"seq": self.seq, "time": self.time, "kind": self.kind, "node": self.node, "data": self.data}
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Event":
        """An event from a parsed line. Raises KeyError, TypeError or ValueError if it is none."""
        return cls(str(value["kind"]), value["node"], dict(value["data"]), int(value["seq"]), float(value["time"]))


class LinesReader:
    """New complete lines of a growing file, at the cost of one `stat` when there are none.

    A torn last line waits for its end. A file that is not there yet, a pipe or a link reads as empty. A
    file that was replaced or has shrunk is read again from its start.
    """

    def __init__(self, path: Path, *, max_line: int | None = None) -> None:
        """
        Args:
            path: the file, which may come later.
            max_line: longer lines are dropped (and counted in `dropped`) without holding them in memory.
        """
        self.path = path
        self.dropped = 0
        self._max_line = max_line
        self._cursor = 0
        self._inode = 0
        self._within_long_line = False

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: it changes with every byte that is read."""
        return self._inode, self._cursor

    def read(self, max_bytes: int | None = None) -> list[bytes]:
        """The lines since the last call, without their ends.

        Args:
            max_bytes: stop after about this much; the rest comes with the next call.
        """
        try:
            handle = open_regular(self.path)
        except OSError:
            return []
        with open(handle, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._cursor:
                self._inode, self._cursor, self._within_long_line = status.st_ino, 0, False
            if status.st_size == self._cursor:
                return []
            wanted = status.st_size - self._cursor
            data = os.pread(file.fileno(), wanted if max_bytes is None else min(wanted, max_bytes), self._cursor)
        end = data.rfind(b"\n") + 1
        if end == 0:
            if self._max_line is None and len(data) < wanted:
                return self.read()  # one line longer than max_bytes
            if self._max_line is not None and len(data) > self._max_line:
                self._cursor += len(data)
                self._within_long_line = True
            return []
        self._cursor += end
        lines = data[: end - 1].split(b"\n")
        if self._within_long_line:
            del lines[0]
            self.dropped += 1
            self._within_long_line = False
        if self._max_line is not None:
            whole = len(lines)
            lines = [line for line in lines if len(line) <= self._max_line]
            self.dropped += whole - len(lines)
        return lines


class JsonLinesReader:
    """Objects of a growing JSON-lines file, each once and in order.

    Lines that are no JSON object are counted in `dropped`. Where every object carries a growing number
    (`seq`, `time`, `step`), name it as `order`: then nothing is reported twice when the file is rewritten.
    """

    def __init__(self, path: Path, *, order: str | None = None, max_line: int | None = None) -> None:
        self._lines = LinesReader(path, max_line=max_line)
        self._order = order
        self._last = float("-inf")
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many complete lines could not be used."""
        return self._dropped + self._lines.dropped

    @property
    def place(self) -> tuple[int, int]:
        """See `LinesReader.place`."""
        return self._lines.place

    def go_on(self, path: Path) -> None:
        """Read another file from its start, in the same order of numbers."""
        self._dropped += self._lines.dropped
        self._lines = LinesReader(path)

    def read(self, max_bytes: int | None = None) -> list[dict[str, Any]]:
        """The objects since the last call; see `LinesReader.read`."""
        found: list[dict[str, Any]] = []
        for line in self._lines.read(max_bytes):
            try:
                value = orjson.loads(line)
                if not isinstance(value, dict):
                    raise TypeError("not an object")
                if self._order is not None:
                    number = float(value[self._order])
                    if number <= self._last:
                        continue
                    self._last = number
                found.append(value)
            except (ValueError, KeyError, TypeError):
                self._dropped += 1
        return found


def last_events(folder: Path, kind: str, count: int) -> list[Event]:
    """The newest events of one kind, the newest first, found by reading back from the end of a run's files.

    Args:
        folder: of the run.
        kind: of the events.
        count: at most so many.
    """
    found: list[Event] = []
    needle = b'"kind":' + orjson.dumps(kind)
    for generation in reversed(event_files(folder)):
        data = events_path(folder, generation).read_bytes()
        at = len(data)
        while len(found) < count and (at := data.rfind(needle, 0, at)) >= 0:
            end, at = data.find(b"\n", at), data.rfind(b"\n", 0, at) + 1
            with suppress(KeyError, TypeError, ValueError):  # a torn or damaged line
                event = Event.of(orjson.loads(data[at:end]))
                if event.kind == kind:
                    found.append(event)
    return found


class EventReader:
    """The events of a run, each once and in order, however often a file is rebuilt or the next one begun."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of `events.jsonl`; the files that follow it lie beside it.
        """
        self._folder = path.parent
        self._generation = 0
        self._reader = JsonLinesReader(path, order="seq")
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many complete lines were no events."""
        return self._dropped + self._reader.dropped

    def read(self, max_bytes: int | None = None) -> list[Event]:
        """The events since the last call; see `LinesReader.read`."""
        events: list[Event] = []
        while True:
            # Asked before reading: a file that has a follower grows no more, so that its end is its end.
            later = [generation for generation in event_files(self._folder) if generation > self._generation]
            place = self._reader.place
            for value in self._reader.read(max_bytes):
                try:
                    events.append(Event.of(value))
                except (KeyError, TypeError, ValueError):
                    self._dropped += 1
            if self._reader.place != place:
                if events and max_bytes is not None:
                    return events
            elif later:
                self._generation = later[0]
                self._reader.go_on(events_path(self._folder, later[0]))
            else:
                return events
