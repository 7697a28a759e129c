"""The archive: all candidates, all trials and the run itself, in one TinyDB file that is never half written.

A commit changes documents and records the events that tell of it in one replacement of `archive.json`;
`events.jsonl` is a projection of those events. The events of a commit stay in the table `outbox` of the
same file until the next commit, so that a crash between the two files loses nothing: opening the archive
appends what is missing.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson
from tinydb import TinyDB, where
from tinydb.storages import Storage
from tinydb.table import Table

from engine.archive.events import Event
from engine.archive.files import write_atomic
from engine.errors import Exit, PoiseError

TableName = Literal["candidates", "trials", "run"]
Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Fields to set in the document `id` of a table; a document that is not there yet is created.

    Fields are replaced whole, not merged in depth.
    """

    table: TableName
    id: str
    fields: Mapping[str, Any]


class AtomicStorage(Storage):
    """The database in memory; each write replaces the file, so that no crash can halve it."""

    def __init__(self, path: Path, writable: bool) -> None:
        self._path = path
        self._writable = writable
        self._held = False
        self._data = self._load()

    def read(self) -> dict[str, dict[str, Any]] | None:
        """All tables. TinyDB changes them in place, then calls `write`."""
        return self._data

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Keep all tables and, unless inside `one_write`, replace the file."""
        if not self._writable:
            raise PoiseError(f"{self._path} was opened for reading only", Exit.REFUSED)
        self._data = data
        if not self._held:
            write_atomic(self._path, orjson.dumps(data))

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """All changes within reach the disk together, or (on any error) not at all."""
        self._held = True
        try:
            yield
            self._held = False
            self.write(self._data or {})
        except BaseException:
            self._data = self._load()
            raise
        finally:
            self._held = False

    def _load(self) -> dict[str, dict[str, Any]] | None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PoiseError(f"cannot read {self._path}: {error.strerror}") from None
        try:
            tables = orjson.loads(data)
        except ValueError as error:
            raise PoiseError(f"{self._path} is damaged ({error}): restore it from a copy") from None
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise PoiseError(f"{self._path} is no archive: it holds no tables")
        return tables


class ArchiveView:
    """An archive as it was when it was read. Documents are copies: changing one changes nothing here."""

    def __init__(self, storage: AtomicStorage) -> None:
        self._database = TinyDB(storage=lambda: storage)

    def candidate(self, id: str) -> Document:
        """One candidate. Raises PoiseError (3) if there is none of this id."""
        return self._one("candidates", id)

    def candidates(self) -> list[Document]:
        """All candidates, in the order of decisions."""
        return [_copy(document) for document in self._table("candidates")]

    def trial(self, id: str) -> Document:
        """One trial. Raises PoiseError (3) if there is none of this id."""
        return self._one("trials", id)

    def trials(self, candidate: str | None = None) -> list[Document]:
        """All trials, or those of one candidate, in the order they were created."""
        trials = iter(self._table("trials"))
        return [
            _copy(document) for document in trials if candidate is None or document["candidate"] == candidate
        ]

    def run(self) -> Document:
        """The run's document. Raises PoiseError (3) while there is none."""
        for document in self._table("run"):
            return _copy(document)
        raise PoiseError("the archive holds no run yet", Exit.NOT_FOUND)

    def _one(self, table: TableName, id: str) -> Document:
        document = self._table(table).get(where("id") == id)
        if not isinstance(document, dict):
            raise PoiseError(f"no {id!r} among the {table}", Exit.NOT_FOUND)
        return _copy(document)

    def _table(self, name: str) -> Table:
        # No query cache: it would outlive a rolled-back commit.
        return self._database.table(name, cache_size=0)


class Archive(ArchiveView):
    """The engine's archive: the only one that writes. Not for use from several threads."""

    def __init__(self, storage: AtomicStorage, events: "EventLog") -> None:
        super().__init__(storage)
        self._storage = storage
        self._events = events
        outbox = [Event.of(document) for document in self._table("outbox")]
        self._unwritten = [event for event in outbox if event.seq > events.last]
        self._seq = max([events.last, *(event.seq for event in outbox)])
        self._project([])

    @classmethod
    def open(cls, path: Path) -> "Archive":
        """Open (or begin) the archive in a run's folder; its events lie in `events.jsonl` beside it.

        Raises:
            PoiseError: refused (4) if another process has it open for writing; 1 if a file is damaged.
        """
        events = EventLog(path.with_name("events.jsonl"))
        try:
            return cls(AtomicStorage(path, writable=True), events)
        except BaseException:
            events.close()
            raise

    def commit(self, changes: Sequence[Change], events: Sequence[Event]) -> list[Event]:
        """Change documents and record the events that tell of it, all or nothing.

        Returns:
            the events with their numbers and time, when changes and events are on disk.

        Raises:
            OSError, TypeError: nothing was changed (no space; a value that is no JSON).
        """
        numbered = self._number(events)
        pending = [*self._unwritten, *numbered]
        with self._storage.one_write():
            for change in changes:
                document = _copy({**change.fields, "id": change.id})
                self._table(change.table).upsert(document, where("id") == change.id)
            if pending:
                outbox = self._table("outbox")
                outbox.truncate()
                outbox.insert_multiple(orjson.loads(event.line()) for event in pending)
        self._seq += len(numbered)
        self._unwritten = pending
        self._project([])
        return numbered

    def append_events(self, events: Sequence[Event]) -> list[Event]:
        """Record events that change no document (trial.metrics, log); a crash at this moment may lose them.

        Returns:
            the events with their numbers and time.
        """
        numbered = self._number(events)
        self._seq += len(numbered)
        self._project(numbered)
        return numbered

    def close(self) -> None:
        """Give both files back."""
        self._events.close()

    def _number(self, events: Sequence[Event]) -> list[Event]:
        now = time.time()
        return [replace(event, seq=self._seq + i, time=now) for i, event in enumerate(events, start=1)]

    def _project(self, more: list[Event]) -> None:
        """Append what events.jsonl lacks. What cannot be written now (no space) is tried again next time."""
        self._unwritten += more
        if self._unwritten and self._events.append(self._unwritten):
            self._unwritten = []


class EventLog:
    """events.jsonl, open for appending; its lock makes an archive's writer the only one."""

    def __init__(self, path: Path) -> None:
        """Open the log and cut a torn last line.

        Raises:
            PoiseError: refused (4) if another process has it open; 1 if its last line is no event.
        """
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise PoiseError(f"cannot write {path}: {error.strerror}", Exit.REFUSED) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.last, self._end = self._recover()
        except BlockingIOError:
            os.close(self._handle)
            raise PoiseError(f"{path.parent} is being written by another process", Exit.REFUSED) from None
        except (ValueError, KeyError, TypeError):
            os.close(self._handle)
            raise PoiseError(f"{path} is damaged: its last line is no event") from None

    def append(self, events: Sequence[Event]) -> bool:
        """Write events to disk. False if that failed; then the log is as it was."""
        data = b"".join(event.line() for event in events)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._handle, data[written:], self._end + written)
            os.fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._end)
            return False
        self._end += len(data)
        self.last = events[-1].seq
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _recover(self) -> tuple[int, int]:
        """The last event's number and where it ends, reading no more of the file than its last line."""
        size = os.fstat(self._handle).st_size
        tail = b""
        start = size
        while start > 0 and tail.count(b"\n") < 2:
            step = min(1 << 16, start)
            start -= step
            tail = os.pread(self._handle, step, start) + tail
        end = start + tail.rfind(b"\n") + 1
        if end < size:
            os.ftruncate(self._handle, end)
        lines = tail[: end - start].splitlines()
        return (int(orjson.loads(lines[-1])["seq"]) if lines else 0), end


def read_archive(path: Path) -> ArchiveView:
    """Read an archive without disturbing the engine that writes it.

    Raises:
        PoiseError: no such archive (3), or it is damaged (1).
    """
    if not path.exists():
        raise PoiseError(f"no archive at {path}", Exit.NOT_FOUND)
    return ArchiveView(AtomicStorage(path, writable=False))


def _copy(document: Mapping[str, Any]) -> Document:
    """A deep copy through JSON, which is quicker than `deepcopy` and refuses what could not be stored."""
    copy: Document = orjson.loads(orjson.dumps(document))
    return copy
