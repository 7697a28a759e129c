"""What state an archive is in, for `poise doctor RUN`: reads only, and takes no lock."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from engine.archive.events import event_files, events_path
from engine.archive.journal import journal_path, journals
from engine.archive.recovery import Contents, load, require
from engine.archive.writer_lock import read_writer
from engine.errors import PoiseError

NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "beegfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"),
    }
)
"""File systems whose locks and fsync depend on another machine."""


@dataclass(frozen=True)
class JournalState:
    """One journal: sizes in bytes."""

    generation: int
    records: int
    bytes: int
    unfinished: int
    """Bytes behind its last good record; while it is being written, a commit on its way."""


@dataclass(frozen=True)
class EventsState:
    """All files of events together."""

    files: int
    bytes: int
    first: int
    """Numbers of the first and last event; 0 if there is none."""
    last: int
    bad_lines: int
    missing: int
    """Numbers that no file holds between 1 and the last."""


@dataclass(frozen=True)
class ArchiveReport:
    """What `check` found."""

    ok: bool
    """Whether nothing is damaged or lost."""
    documents: dict[str, int]
    """Table -> count."""
    snapshot_bytes: int
    snapshot_generation: int
    journals: tuple[JournalState, ...]
    events: EventsState
    writer: str | None
    """The process that has it open for writing."""
    problems: tuple[str, ...]
    """Damage and loss, a line each; what opening it would cut or repair is said there."""
    notes: tuple[str, ...]
    """What is worth knowing: bytes set aside by earlier repairs and when, an unfinished end, a network disk."""
    kept: tuple[str, ...]
    """Files that hold what earlier repairs took away."""
    filesystem: str
    free_bytes: int


def check(folder: Path) -> ArchiveReport:
    """Look at the archive in a run's folder.

    Raises:
        PoiseError: there is none (3). A damaged one is a report, not an error.
    """
    path = folder / "archive.json"
    require(path)
    problems, notes = [], []
    writer = read_writer(folder / "archive.lock")
    alive = writer is not None and (writer.alive() or not writer.here)
    try:
        contents = load(path)
    except PoiseError as error:
        contents = Contents()
        problems.append(str(error))
    for damage in contents.damages:
        if not damage.tail:
            problems.append(f"{damage.what}; opening the run for writing keeps what is good and sets the rest aside")
        elif alive:
            notes.append(f"{damage.path.name}: {damage.end - damage.start} bytes of a commit on its way")
        else:
            problems.append(f"{damage.what}; opening the run for writing cuts it")
    if contents.outbox is not None:
        notes.append("the archive has the former format: opening the run for writing converts it")
    events = _events(folder)
    if events.bad_lines:
        problems.append(f"events: {events.bad_lines} lines are no events")
    if events.missing:
        problems.append(f"events: {events.missing} of {events.last} numbers are missing")
    behind = contents.event - events.last
    if behind > 0 and not alive:
        notes.append(f"events: the last {behind} are only in the journal; opening the run for writing appends them")
    if behind < 0 and contents.segments and not alive:
        problems.append(f"events: the last {-behind} are not in the journal: commits that were told are lost")
    kept = sorted(name for name in os.listdir(folder) if ".damaged-" in name)
    for name in kept:
        status = (folder / name).stat()
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
        notes.append(f"{name}: {status.st_size} bytes set aside by a repair at {when}")
    if writer is not None and not alive:
        notes.append(f"process {writer.pid}, which had it open, died without closing it")
    filesystem = file_system(folder)
    if filesystem in NETWORK:
        notes.append(f"{folder} lies on {filesystem}, a network file system: do not rely on its locks and fsync")
    return ArchiveReport(
        ok=not problems,
        documents={name: len(table) for name, table in contents.tables.items()},
        snapshot_bytes=contents.size,
        snapshot_generation=contents.mark.generation,
        journals=_journals(folder, contents),
        events=events,
        writer=f"process {writer.pid} on {writer.host}" if writer is not None and alive else None,
        problems=tuple(problems),
        notes=tuple(notes),
        kept=tuple(kept),
        filesystem=filesystem,
        free_bytes=os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize,
    )


def _journals(folder: Path, contents: Contents) -> tuple[JournalState, ...]:
    """Those that were replayed; of older ones, kept for the snapshot before, only the size."""
    found = [
        JournalState(generation, 0, journal_path(folder, generation).stat().st_size, 0)
        for generation in journals(folder)
        if generation < contents.mark.generation
    ]
    for segment in contents.segments:
        records, size = len(segment.scan.records), len(segment.data)
        found.append(JournalState(segment.generation, records, size, segment.rest))
    return tuple(found)


def _events(folder: Path) -> EventsState:
    first = last = bad = size = count = 0
    generations = event_files(folder)
    for generation in generations:
        with events_path(folder, generation).open("rb") as file:
            for line in file:
                size += len(line)
                if not line.endswith(b"\n"):
                    continue  # torn, or on its way
                try:
                    number = int(orjson.loads(line)["seq"])
                except (ValueError, KeyError, TypeError):
                    bad += 1
                    continue
                if number > last:
                    first, last, count = first or number, number, count + 1
    return EventsState(len(generations), size, first, last, bad, last - count)


def file_system(path: Path) -> str:
    """The type of the file system a path lies on, as the kernel calls it; empty where it does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    here, best, found = os.path.realpath(path), -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape").rstrip("/")
        if (here + "/").startswith(mount + "/") and len(mount) >= best:
            best, found = len(mount), right.split()[0]
    return found
