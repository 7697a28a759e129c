"""The journal: one checksummed record a commit, on disk before the commit is acknowledged."""

import errno
import os
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from engine.archive.files import sync_folder, write_all
from engine.errors import Exit, PoiseError

MAGIC = b"PJ1\n"
"""Begins every record. A payload is JSON, which never holds these four bytes: a newline follows only a brace there."""

HEADER = struct.Struct("<4sIIQ")
"""Magic, generation of the journal, length of the payload in bytes (>= 1), sequence number of the record."""

CHECKSUM = struct.Struct("<I")
"""CRC-32 of header and payload; it stands between them."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

NAME = re.compile(r"archive\.(\d{6,})\.journal")


class NoSpace(PoiseError):
    """The disk is full: nothing was changed, in memory or on disk. The same commit works once there is space."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no space left to write {path}: free some, nothing was lost", Exit.REFUSED)


class ReadOnlyArchive(PoiseError):
    """The disk failed a write or an fsync: what is on it is unknown, so nothing more is acknowledged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is read-only since the disk failed ({reason}): check the disk, then `poise resume` the run",
            Exit.REFUSED,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One good record and where it lies in its file, in bytes."""

    sequence: int
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes between good records that are none, and how many records are missing there."""

    start: int
    end: int
    records: int


@dataclass(slots=True)
class Scan:
    """What a journal holds: its good records, the damage between them, and where the last good one ends."""

    end: int = 0
    last: int = 0
    records: list[Record] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def journal_path(folder: Path, generation: int) -> Path:
    """The journal that goes on from the snapshot of this generation."""
    return folder / f"archive.{generation:06d}.journal"


def journals(folder: Path) -> list[int]:
    """Generations whose journals lie in a run's folder, in order."""
    return sorted(int(match[1]) for name in os.listdir(folder) if (match := NAME.fullmatch(name)))


def encode(generation: int, sequence: int, payload: bytes) -> bytes:
    """A record as it stands in the file."""
    head = HEADER.pack(MAGIC, generation, len(payload), sequence)
    return b"".join((head, CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(head))), payload))


def decode(data: bytes, start: int, generation: int) -> Record | None:
    """The record that begins at `start`, or None if there is no whole and sound one."""
    begin = start + HEADER.size + CHECKSUM.size
    if begin >= len(data):
        return None
    magic, of, length, sequence = HEADER.unpack_from(data, start)
    if magic != MAGIC or of != generation or length < 1 or begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    (checksum,) = CHECKSUM.unpack_from(data, start + HEADER.size)
    if zlib.crc32(payload, zlib.crc32(data[start : start + HEADER.size])) != checksum:
        return None
    return Record(sequence, payload, start, begin + length)


def scan(data: bytes, generation: int, after: int) -> Scan:
    """All good records, in order; damage is stepped over and told, never passed in silence.

    Args:
        data: the whole file.
        after: the sequence number before the journal's first record.
    """
    found = Scan(last=after)
    while (record := _next(data, found.end, generation, found.last)) is not None:
        missing = record.sequence - found.last - 1
        if missing or record.start > found.end:
            found.gaps.append(Gap(found.end, record.start, missing))
        found.records.append(record)
        found.end, found.last = record.end, record.sequence
    return found


def _next(data: bytes, start: int, generation: int, last: int) -> Record | None:
    """The first good record from `start` on that is newer than `last`."""
    while start >= 0:
        record = decode(data, start, generation)
        if record is not None and record.sequence > last:
            return record
        start = data.find(MAGIC, start + 1)
    return None


class Journal:
    """A journal open for appending. Whoever has it holds the archive's lock."""

    def __init__(self, folder: Path, generation: int, sequence: int, end: int) -> None:
        """Open a journal, or begin it: then it is on disk when this returns.

        Args:
            generation: of the snapshot it goes on from.
            sequence: number of its last record, or of the last one before it.
            end: where its last good record ends; what lies behind is cut.

        Raises:
            OSError: it cannot be made; nothing was changed.
        """
        self.path = journal_path(folder, generation)
        self.generation = generation
        self.sequence = sequence
        self.end = end
        self.failed: str | None = None
        """Why nothing more may be written; None while all is well."""
        new = not self.path.exists()
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            if os.fstat(self._handle).st_size > end:
                os.ftruncate(self._handle, end)
                os.fsync(self._handle)
            if new:
                os.fsync(self._handle)
                sync_folder(folder)
        except BaseException:
            os.close(self._handle)
            raise

    def append(self, payload: bytes) -> None:
        """Write one record; when this returns, it is on disk.

        Raises:
            NoSpace: nothing was changed.
            ReadOnlyArchive: the disk failed, now or before; the record does not count.
        """
        self.check()
        record = encode(self.generation, self.sequence + 1, payload)
        syncing = False
        try:
            write_all(self._handle, record, self.end)
            syncing = True
            os.fdatasync(self._handle)
        except BaseException as error:
            self._cut(error, syncing)
            raise
        self.end += len(record)
        self.sequence += 1

    def check(self) -> None:
        """Raise ReadOnlyArchive if the disk has failed."""
        if self.failed is not None:
            raise ReadOnlyArchive(self.path, self.failed)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _cut(self, error: BaseException, syncing: bool) -> None:
        """Take back a record that is not acknowledged; an error of the disk is final.

        A failed fsync is never tried again: the kernel may have dropped the pages and report success.
        """
        if isinstance(error, OSError) and (syncing or error.errno not in NO_SPACE):
            self.failed = f"{'fsync' if syncing else 'write'}: {error.strerror}"
        try:
            os.ftruncate(self._handle, self.end)
        except OSError as cause:
            self.failed = self.failed or f"truncate: {cause.strerror}"
        if self.failed is not None:
            raise ReadOnlyArchive(self.path, self.failed) from error
        if isinstance(error, OSError):
            raise NoSpace(self.path) from error
