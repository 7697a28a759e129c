"""events.jsonl and the files after it, as the archive writes them: a projection of the journal, never rewritten.

Each generation of the journal has one file of events, so that the growing file can always be made anew from the
journal beside it. A file is finished, and on disk, before the journal it came from is removed.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from engine.archive.events import event_files, events_path
from engine.archive.files import sync_folder, write_all, write_atomic


@dataclass(frozen=True)
class Mended:
    """What was wrong with a file of events."""

    what: str
    last: int
    """The highest number of an event that was there, beyond what the journal knows."""


class EventLog:
    """The file of events that grows."""

    def __init__(self, folder: Path, generation: int) -> None:
        """Open it where it ends, or begin it. Raises OSError."""
        self.path = events_path(folder, generation)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        self._end = os.fstat(self._handle).st_size

    def append(self, lines: bytes) -> bool:
        """Write lines; they reach the disk when the system likes: the journal has them. False if there is no room."""
        try:
            write_all(self._handle, lines, self._end)
        except OSError:
            with suppress(OSError):  # or the next lines are written over what stands there now
                os.ftruncate(self._handle, self._end)
            return False
        self._end += len(lines)
        return True

    def sync(self) -> None:
        """Wait until all of it is on disk. Raises OSError."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def mend(path: Path, lines: list[bytes]) -> Mended | None:
    """Make a file of events the projection of its journal; what else stood there is kept beside it.

    Args:
        lines: of all events of that journal.

    Returns:
        what was lost or wrong; None if it was only behind, as a crash leaves it.

    Raises:
        OSError: no space; nothing was changed.
    """
    expected = b"".join(lines)
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if expected.startswith(found):
        # Synced even if nothing is missing: who was killed may have left it in memory alone, and its journal will go.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            write_all(handle, expected[len(found) :], len(found))
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, len(found))
            raise
        finally:
            os.close(handle)
        sync_folder(path.parent)
        return None
    kept = set_aside(path, found, "damaged")
    write_atomic(path, expected)
    last, known = last_number(found), last_number(expected)
    what = f"{path} did not agree with the journal and was rebuilt from it; as it was: {kept.name}"
    if last > known:
        what += f"; events {known + 1} to {last} are not in the journal: commits that were told are lost"
    return Mended(what, last)


def complete_outbox(folder: Path, outbox: list[dict[str, object]]) -> None:
    """Finish the events.jsonl of the former format: cut a torn line, append what the outbox holds. Raises OSError."""
    path = events_path(folder, 0)
    found = path.read_bytes() if path.exists() else b""
    whole = found[: found.rfind(b"\n") + 1]
    last = last_number(whole)
    keys = ("seq", "time", "kind", "node", "data")
    events = [{key: event[key] for key in keys} for event in outbox if int(str(event["seq"])) > last]
    missing = b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)
    if whole + missing != found:
        write_atomic(path, whole + missing)


def last_number(lines: bytes) -> int:
    """The highest number among the last events of a file, reading back over lines that are none; 0 if there is none."""
    end = lines.rfind(b"\n")
    while end >= 0:
        start = lines.rfind(b"\n", 0, end)
        try:
            return int(orjson.loads(lines[start + 1 : end])["seq"])
        except (ValueError, KeyError, TypeError):
            end = start
    return 0


def last_told(folder: Path) -> int:
    """The number of the last event in a run's files, whatever the journal says."""
    for generation in reversed(event_files(folder)):
        with events_path(folder, generation).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for tail in (min(size, 1 << 18), size):
                file.seek(size - tail)
                if last := last_number(b"\n" + file.read()):
                    return last
    return 0


def set_aside(path: Path, data: bytes, why: str) -> Path:
    """Keep bytes that recovery takes away, in a file beside. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = path.with_name(f"{path.name}.{why}-{stamp}-{os.urandom(2).hex()}")
    write_atomic(kept, data)
    return kept
