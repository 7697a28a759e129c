"""What an archive's files hold, put together: the snapshot, then every good record after it. Reads only."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from engine.archive.database import encode_changes, replay
from engine.archive.journal import Scan, journal_path, journals, scan
from engine.archive.snapshot import BEGINNING, OUTBOX, Document, Mark, Tables, Unreadable, load_snapshot
from engine.errors import Exit, PoiseError

PREVIOUS = "archive.previous.json"
"""The snapshot before the present one; the journal since is kept too, so that one of them may be lost."""


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written."""

    what: str
    """One line for the user: what, where, how much, and what became of it."""
    path: Path
    start: int = 0
    """Where it begins, in bytes."""
    end: int = 0
    records: int = 0
    """How many records (commits) are known to be lost."""
    tail: bool = False
    """Whether it is only an unfinished end, as a crash or power cut leaves it."""

    def __str__(self) -> str:
        return self.what


@dataclass
class Segment:
    """One journal: its good records and the events they tell of."""

    generation: int
    path: Path
    start: int
    """The sequence number before its first record."""
    data: bytes
    scan: Scan
    lines: list[bytes] = field(default_factory=list)
    """Its events as lines of events.jsonl."""
    event: int = 0
    """Number of its last event; 0 if it has none."""

    @property
    def rest(self) -> int:
        """Bytes behind its last good record."""
        return len(self.data) - self.scan.end


@dataclass
class Contents:
    """All that is provably good."""

    tables: Tables = field(default_factory=dict)
    mark: Mark = BEGINNING
    """Of the snapshot that was used."""
    segments: list[Segment] = field(default_factory=list)
    """The journals after it, in order."""
    damages: list[Damage] = field(default_factory=list)
    outbox: list[Document] | None = None
    """Of the former format: events that are perhaps not in events.jsonl; None for the present one."""
    fresh: bool = False
    """Whether there is no archive at all."""
    size: int = 0
    """Of the snapshot, in bytes."""

    @property
    def sequence(self) -> int:
        """The last record's number."""
        return max([self.mark.record, *(segment.scan.last for segment in self.segments[-1:])])

    @property
    def event(self) -> int:
        """The last event's number."""
        return max([self.mark.event, *(segment.event for segment in self.segments)])


def load(path: Path) -> Contents:
    """Put an archive together, without a lock and without changing anything.

    Args:
        path: of `archive.json`.

    Raises:
        PoiseError: it cannot be read, or its snapshot is lost and nothing stands in for it (1).
    """
    for _ in range(20):
        try:
            snapshot = _open(path)
            try:
                contents = _load(path, snapshot)
                if _same(path, snapshot):
                    return contents
            finally:
                if snapshot is not None:
                    os.close(snapshot)
        except FileNotFoundError:
            continue  # its writer has just replaced the snapshot and removed the journal before it
        except OSError as error:
            raise PoiseError(f"cannot read {error.filename or path}: {error.strerror}") from None
    raise PoiseError(f"{path} changes faster than it can be read: try again")


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _same(path: Path, snapshot: int | None) -> bool:
    """Whether the snapshot is still the one that was read: then no journal after it was removed meanwhile."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return snapshot is None
    if snapshot is None:
        return False
    then = os.fstat(snapshot)
    return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)


def _load(path: Path, snapshot: int | None) -> Contents:
    generations = journals(path.parent)
    contents = Contents()
    contents.size = os.fstat(snapshot).st_size if snapshot is not None else 0
    if snapshot is None and not generations and not (path.parent / PREVIOUS).exists():
        contents.fresh = True
        return contents
    try:
        if snapshot is None:
            raise Unreadable("missing")
        with os.fdopen(os.dup(snapshot), "rb") as file:
            contents.tables, mark = load_snapshot(file)
        if mark is None:
            if generations:
                raise Unreadable("of the former format, but there are journals")
            contents.outbox = [event.load() for event in contents.tables.pop(OUTBOX, {}).values()]
            return contents
        contents.mark = mark
    except Unreadable as reason:
        if snapshot is None and generations[:1] == [0] and not (path.parent / PREVIOUS).exists():
            pass  # a crash when it was begun: the first journal holds everything
        else:
            instead = _stand_in(path, contents, generations, reason)
            what = f"{path} is {reason}: the archive was put together from {instead} and the journal"
            contents.damages.append(Damage(what, path, 0, contents.size))
    last, sequence = max([contents.mark.generation, *generations]), contents.mark.start
    for generation in range(contents.mark.generation, last + 1):
        name = journal_path(path.parent, generation)
        if generation not in generations:
            what = f"{name} is missing: changes after snapshot or journal {generation} are lost"
            contents.damages.append(Damage(what, name))
            continue
        segment = read_segment(name, generation, sequence)
        _tell(contents.damages, segment, is_last=generation == last)
        _replay(contents, segment)
        sequence = segment.scan.last
    if contents.segments and sequence < contents.mark.record:
        missing = contents.mark.record - sequence
        what = f"{contents.segments[-1].path} has lost its last {missing} records; the snapshot holds what they changed"
        contents.damages.append(Damage(what, contents.segments[-1].path))
    return contents


def _stand_in(path: Path, contents: Contents, generations: Sequence[int], reason: Unreadable) -> str:
    """Go on from the snapshot before, or from the very beginning, where every journal since is there."""
    try:
        with (path.parent / PREVIOUS).open("rb") as file:
            tables, mark = load_snapshot(file)
        if mark is not None and mark.generation in generations:
            contents.tables, contents.mark = tables, mark
            return PREVIOUS
    except (FileNotFoundError, Unreadable):
        pass
    if generations[:1] == [0]:
        return "its beginning"
    advice = "restore it from a copy"
    if generations:
        segment = read_segment(journal_path(path.parent, generations[0]), generations[0], None)
        advice += f"; the journals, which hold what changed since (first of {len(segment.scan.records)} commits), are "
        advice += "untouched, and events.jsonl tells what happened"
    raise PoiseError(f"{path} is {reason}: {advice}")


def read_segment(path: Path, generation: int, start: int | None) -> Segment:
    """One journal.

    Args:
        start: the sequence number before its first record; None if that is not known.
    """
    data = path.read_bytes()
    found = scan(data, generation, start if start is not None else 0)
    if start is None and found.gaps and found.gaps[0].end == found.gaps[0].start:
        del found.gaps[0]
    return Segment(generation, path, start or 0, data, found)


def _tell(damages: list[Damage], segment: Segment, is_last: bool) -> None:
    path = segment.path
    for gap in segment.scan.gaps:
        size, lost = gap.end - gap.start, gap.records
        what = f"{path} is damaged at byte {gap.start}: {size} bytes, {lost} commits lost; all good ones were kept"
        damages.append(Damage(what, path, gap.start, gap.end, lost))
    if segment.rest:
        end = segment.scan.end
        what = f"{path} ends in {segment.rest} bytes that are no whole record (from byte {end}): a commit that was "
        what += "being written, or its damaged end"
        damages.append(Damage(what, path, end, len(segment.data), 0, tail=is_last))


def _replay(contents: Contents, segment: Segment) -> None:
    for record in segment.scan.records:
        value = orjson.loads(record.payload)
        if record.sequence > contents.mark.record:
            replay(contents.tables, encode_changes(value["tables"]))
        _note_events(segment, value["events"])
    contents.segments.append(segment)


def read_events(segment: Segment) -> list[bytes]:
    """The lines of a journal that is not replayed."""
    for record in segment.scan.records:
        _note_events(segment, orjson.loads(record.payload)["events"])
    return segment.lines


def _note_events(segment: Segment, events: list[Document]) -> None:
    for event in events:
        segment.lines.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        segment.event = event["seq"]


def require(path: Path) -> None:
    """Raise unless there is an archive. Raises PoiseError (3)."""
    if not path.exists() and not (path.parent.is_dir() and journals(path.parent)):
        raise PoiseError(f"no archive at {path}", Exit.NOT_FOUND)
