"""The archive: all candidates, all trials and the run itself. What `commit` returned for is on disk, whatever happens.

A TinyDB in memory over three kinds of file (see docs/reliability.md): `archive.json` is a snapshot that a stock TinyDB
opens; `archive.N.journal` holds a checksummed record of every commit since, documents and events together, and is the
one source of truth; `events.jsonl` and its followers are the projection of its events that clients read.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from engine.archive.database import Changes, Database, JournalStorage, JournalTable
from engine.archive.event_log import EventLog, complete_outbox, last_told, mend, set_aside
from engine.archive.events import Event, events_path
from engine.archive.formats import require_format
from engine.archive.journal import NO_SPACE, Journal, NoSpace, ReadOnlyArchive, journal_path, journals
from engine.archive.recovery import PREVIOUS, Contents, Damage, load, read_events, read_segment, require
from engine.archive.snapshot import Document, Mark, Stored, write_snapshot
from engine.archive.writer_lock import release_lock, take_lock
from engine.errors import Exit, PoiseError

__all__ = ["Archive", "ArchiveView", "Change", "Damage", "Document", "NoSpace", "ReadOnlyArchive", "read_archive"]

TableName = Literal["candidates", "trials", "run"]

COMPACT_BYTES = 16 << 20
"""A journal that has grown to this, and to the size of the snapshot, is folded into a new snapshot."""


@dataclass(frozen=True)
class Change:
    """Fields to set in the document `id` of a table; a document that is not there yet is created.

    Fields are replaced whole, not merged in depth.
    """

    table: TableName
    id: str
    fields: Mapping[str, Any]


class ArchiveView:
    """An archive as it was when it was read. Documents are copies: changing one changes nothing here."""

    def __init__(self, storage: JournalStorage, damages: Sequence[Damage]) -> None:
        self._storage = storage
        self.database = Database(storage)
        """The TinyDB itself, for queries."""
        self.damages = tuple(damages)
        """What was found damaged when the archive was opened; empty when all was well."""

    def candidate(self, id: str) -> Document:
        """One candidate. Raises PoiseError (3) if there is none of this id."""
        return self._one("candidates", id)

    def candidates(self) -> list[Document]:
        """All candidates, in the order of decisions."""
        return [document.load() for document in self._table("candidates").values()]

    def trial(self, id: str) -> Document:
        """One trial. Raises PoiseError (3) if there is none of this id."""
        return self._one("trials", id)

    def trials(self, candidate: str | None = None) -> list[Document]:
        """All trials, or those of one candidate, in the order they were created."""
        trials = [trial.load() for trial in self._table("trials").values()]
        return [trial for trial in trials if candidate is None or trial["candidate"] == candidate]

    def run(self) -> Document:
        """The run's document. Raises PoiseError (3) while there is none."""
        for document in self._table("run").values():
            return document.load()
        raise PoiseError("the archive holds no run yet", Exit.NOT_FOUND)

    def _one(self, table: TableName, id: str) -> Document:
        doc_id = self._storage.doc_id(table, id)
        if doc_id is None:
            raise PoiseError(f"no {id!r} among the {table}", Exit.NOT_FOUND)
        return self._table(table)[doc_id].load()

    def _table(self, name: str) -> Mapping[str, Stored]:
        return self._storage.tables.get(name, {})


class Archive(ArchiveView):
    """The engine's archive: the only one that writes. Not for use from several threads."""

    def __init__(self, path: Path, contents: Contents, lock: int, compact_bytes: int) -> None:
        super().__init__(JournalStorage(contents.tables, self._store), contents.damages)
        self._path = path
        self._folder = path.parent
        self._lock = lock
        self._compact_bytes = compact_bytes
        self._snapshot_bytes = contents.size
        self._mark = contents.mark
        self._thread: threading.Thread | None = None
        self._postponed_until = 0
        self._unwritten = b""
        self._open = True
        self._journal: Journal
        self._events: EventLog
        found = self._repair(contents)
        with suppress(NoSpace):
            self.append_events([Event("log", None, {"level": "error", "message": line}) for line in found])

    @classmethod
    def open(cls, path: Path, *, compact_bytes: int = COMPACT_BYTES) -> "Archive":
        """Open (or begin) the archive in a run's folder, and mend what a crash or the disk did to it.

        What was found is in `damages`, and told as `log` events.

        Args:
            path: of `archive.json`; journal and events lie beside it.
            compact_bytes: size of the journal from which on it is folded into a new snapshot.

        Raises:
            PoiseError: refused (4) if another process has it open for writing; 1 if its snapshot is lost.
            NoSpace: there is no room to mend or begin it; nothing was changed.
        """
        lock = take_lock(path.with_name("archive.lock"))
        try:
            return cls(path, load(path), lock, compact_bytes)
        except BaseException as error:
            release_lock(lock)
            if isinstance(error, OSError):
                _explain(error, path)
            raise

    @property
    def failed(self) -> str | None:
        """Why the archive became read-only; None while it is well."""
        return self._journal.failed

    def commit(self, changes: Sequence[Change], events: Sequence[Event]) -> list[Event]:
        """Change documents and record the events that tell of it, all or nothing.

        Returns:
            the events with their numbers and time, when changes and events are on disk.

        Raises:
            NoSpace: nothing was changed; the same commit works when there is space.
            ReadOnlyArchive: the disk has failed; nothing more is acknowledged.
            TypeError: nothing was changed (a value that is no JSON).
        """
        now = time.time()
        numbered = [replace(event, seq=self._seq + i, time=now) for i, event in enumerate(events, start=1)]
        if not numbered and not changes:
            return []
        lines = [event.line() for event in numbered]
        self._storage.change(self._documents(changes), lambda stored: self._store(stored, lines))
        for change in changes:
            self.database.table(change.table).clear_cache()
        self._seq += len(numbered)
        self._project(b"".join(lines))
        return numbered

    def append_events(self, events: Sequence[Event]) -> list[Event]:
        """Record events that change no document (trial.metrics, log); a commit like any other."""
        return self.commit([], events)

    def compact(self) -> None:
        """Fold the journal into a new snapshot now, and wait for it."""
        self._join()
        self._postponed_until = 0
        self._roll()
        self._join()

    def close(self) -> None:
        """Bring the snapshot up to date, for others to read, and give all files back."""
        if not self._open:
            return
        self._open = False
        self._join()
        try:
            if self.failed is None and self._journal.sequence > self._mark.record:
                mark = replace(self._mark, record=self._journal.sequence, event=self._seq)
                write_snapshot(self._path, self._storage.tables, mark, None)
        except OSError:
            pass  # the journal has it all
        finally:
            self._journal.close()
            self._events.close()
            release_lock(self._lock)

    def _documents(self, changes: Sequence[Change]) -> Changes:
        """The whole new documents."""
        tables: dict[str, dict[str, Document | None]] = {}
        begun: dict[tuple[str, str], str] = {}
        for change in changes:
            table = tables.setdefault(change.table, {})
            doc_id = self._storage.doc_id(change.table, change.id) or begun.get((change.table, change.id))
            if doc_id is None:
                handler = self.database.table(change.table)
                assert isinstance(handler, JournalTable)
                doc_id = begun[change.table, change.id] = handler.new_id()
            before: Mapping[str, Any] | None = table.get(doc_id) or self._table(change.table).get(doc_id)
            table[doc_id] = {**(before or {}), **change.fields, "id": change.id}
        return dict(tables)

    def _store(self, tables: bytes, lines: Sequence[bytes] = ()) -> None:
        """One record: changed documents as JSON, and their events. It is on disk when this returns."""
        limit = max(self._compact_bytes, self._snapshot_bytes)
        if self._journal.end >= max(limit, self._postponed_until):
            self._roll()
        self._journal.append(b'{"tables":%s,"events":[%s]}' % (tables, b",".join(lines)))

    def _project(self, lines: bytes) -> None:
        """Append to the file of events. What finds no room now is tried again with the next commit."""
        self._unwritten += lines
        if self._unwritten and self._events.append(self._unwritten):
            self._unwritten = b""

    def _roll(self) -> None:
        """Go on in a new journal, and fold everything before it into a snapshot, in the background."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._project(b"")
        self._journal.check()
        if self._unwritten:
            return
        sequence, generation = self._journal.sequence, self._journal.generation + 1
        try:
            journal = Journal(self._folder, generation, sequence, 0)
            try:
                events = EventLog(self._folder, generation)
            except BaseException:
                journal.close()
                journal.path.unlink(missing_ok=True)
                raise
        except OSError as error:
            self._not_compacted(error)
            return
        self._journal.close()
        before, self._journal, self._events = self._events, journal, events
        # Documents are never changed in place, so that their tables are all there is to copy.
        tables = {name: dict(table) for name, table in self._storage.tables.items()}
        mark = Mark(generation, sequence, sequence, self._seq)
        self._thread = threading.Thread(target=self._compact, args=(before, tables, mark), name="compaction")
        self._thread.start()

    def _compact(self, events: EventLog, tables: Mapping[str, Mapping[str, Stored]], mark: Mark) -> None:
        """In a thread of its own: the new snapshot, then away with journals that even the old one does not need."""
        try:
            try:
                events.sync()
            finally:
                events.close()
            write_snapshot(self._path, tables, mark, self._folder / PREVIOUS)
            self._snapshot_bytes = self._path.stat().st_size
            for generation in journals(self._folder):
                if generation < self._mark.generation:
                    journal_path(self._folder, generation).unlink()
            self._mark = mark
        except OSError as error:
            self._not_compacted(error)

    def _not_compacted(self, error: OSError) -> None:
        """Journals do without a snapshot: try again later. But a disk that fails is final."""
        if error.errno in NO_SPACE:
            self._postponed_until = self._journal.end + self._compact_bytes // 4
        else:
            self._journal.failed = f"snapshot: {error.strerror}"

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _repair(self, contents: Contents) -> list[str]:
        """Make the files agree with what is good, keeping aside whatever is taken away.

        Returns:
            what was wrong, a line each.
        """
        for name in (f".{self._path.name}.*", ".events*.jsonl.*"):
            for leftover in self._folder.glob(name):
                leftover.unlink()
        lines = [damage.what + self._set_aside(damage) for damage in contents.damages]
        if contents.outbox is not None:
            complete_outbox(self._folder, contents.outbox)
        self._seq = max(contents.event, last_told(self._folder))
        for generation in journals(self._folder):
            if generation < contents.mark.generation and not (at := events_path(self._folder, generation)).exists():
                old = read_events(read_segment(journal_path(self._folder, generation), generation, None))
                mend(at, old)
        for segment in contents.segments:
            mended = mend(events_path(self._folder, segment.generation), segment.lines)
            if mended is not None:
                lines.append(mended.what)
                self._seq = max(self._seq, mended.last)
        if contents.outbox is not None or any(not damage.tail for damage in contents.damages):
            self._begin_anew(contents)
        else:
            generation = contents.segments[-1].generation if contents.segments else contents.mark.generation
            end = contents.segments[-1].scan.end if contents.segments else 0
            self._journal = Journal(self._folder, generation, contents.sequence, end)
            self._events = EventLog(self._folder, generation)
            if not self._path.exists():
                write_snapshot(self._path, {}, self._mark, None)
        return lines

    def _begin_anew(self, contents: Contents) -> None:
        """After damage, or from the former format: a new snapshot of what is good, and a new journal."""
        old = journals(self._folder)
        generation = max([contents.mark.generation, *old]) + 1
        self._journal = Journal(self._folder, generation, contents.sequence, 0)
        self._events = EventLog(self._folder, generation)
        self._mark = Mark(generation, contents.sequence, contents.sequence, self._seq)
        write_snapshot(self._path, contents.tables, self._mark, None)
        (self._folder / PREVIOUS).unlink(missing_ok=True)
        for generation in old:
            journal_path(self._folder, generation).unlink()

    def _set_aside(self, damage: Damage) -> str:
        """Keep what recovery takes away. A crash leaves it again only if it happens once more."""
        try:
            data = damage.path.read_bytes()
        except FileNotFoundError:
            return ""
        if damage.tail:
            data = data[damage.start : damage.end]
        if not data.strip(b"\0"):
            return f"; cut: {damage.end - damage.start} zero bytes"
        return f"; as it was: {set_aside(damage.path, data, 'damaged').name}"


def read_archive(path: Path) -> ArchiveView:
    """Read an archive without disturbing the engine that writes it.

    Raises:
        PoiseError: no such archive (3), its snapshot is lost (1), or a newer version has written it (4).
    """
    require(path)
    require_format(path.parent)
    contents = load(path)
    # To a reader, an unfinished end is a commit that is being written.
    return ArchiveView(
        JournalStorage(contents.tables, lambda stored: _refuse(path)), [d for d in contents.damages if not d.tail]
    )


def _refuse(path: Path) -> NoReturn:
    raise PoiseError(f"{path} was opened for reading only", Exit.REFUSED)


def _explain(error: OSError, path: Path) -> NoReturn:
    if error.errno in NO_SPACE:
        raise NoSpace(path) from error
    raise PoiseError(f"cannot open {path} for writing: {error.strerror}", Exit.REFUSED) from error
