"""The snapshot: `archive.json`, plain TinyDB JSON that a stock TinyDB opens, replaced whole or not at all.

A document stands on a line. Beside the archive's tables it holds one more, `journal`, with one document: the mark. It
says which journal goes on from here, and has a checksum of everything before it.
"""

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from engine.archive.files import sync_folder, write_all

Document = dict[str, Any]


class Stored(Mapping[str, Any]):
    """A document as the JSON it was written as: a third of what it takes as Python objects. Reading parses it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def load(self) -> Document:
        """A document of the caller's own."""
        document: Document = orjson.loads(self.data)
        return document

    def __getitem__(self, key: str) -> Any:
        return self.load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self.load() == dict(other)

    __hash__ = None  # type: ignore[assignment]


Tables = dict[str, dict[str, Stored]]

MARK = "journal"
"""Name of the table that holds the mark."""

OUTBOX = "outbox"
"""Table of the former format: events that were perhaps not in events.jsonl yet."""

TAIL = 1 << 10
"""Bytes at the end of a snapshot among which its mark is."""

PIECE = 1 << 20
"""Bytes written at a time."""


@dataclass(frozen=True)
class Mark:
    """Where the journal goes on from a snapshot."""

    generation: int
    """The first journal to replay."""
    start: int
    """The sequence number before that journal's first record."""
    record: int
    """The last record that the snapshot holds already."""
    event: int
    """The number of the last event told up to that record."""


BEGINNING = Mark(0, 0, 0, 0)
"""The mark of an empty archive: its first journal holds everything."""


class Unreadable(Exception):
    """A snapshot that cannot be trusted; the message says why."""


def load_snapshot(file: BinaryIO) -> tuple[Tables, Mark | None]:
    """A snapshot's tables, and its mark: None for the former format, which had no journal.

    Raises:
        Unreadable: it is no TinyDB file, or not as it was written.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    _, found, tail = file.read().rpartition(b'\n"%s":' % MARK.encode())
    file.seek(0)
    if not found:
        return _load_former(file.read())
    try:
        stored = orjson.loads(b'{"":' + tail)[""]["1"]
        mark = Mark(*(int(stored[key]) for key in ("generation", "start", "record", "event")))
        tables, checksum = _load_lines(file, int(stored["bytes"]))
        if zlib.crc32(orjson.dumps(vars(mark)), checksum) != stored["crc32"]:
            raise Unreadable("damaged: its checksum is wrong")
        return tables, mark
    except (KeyError, TypeError, ValueError):
        raise Unreadable("damaged") from None


def _load_lines(file: BinaryIO, size: int) -> tuple[Tables, int]:
    """Line by line, so that no second copy of everything is ever in memory. Raises ValueError."""
    tables: Tables = {}
    table: dict[str, Stored] = {}
    checksum = 0
    for line in file:
        size -= len(line)
        if size < 0:
            break
        checksum = zlib.crc32(line, checksum)
        if line.endswith(b":{\n"):
            table = tables.setdefault(orjson.loads(line.removeprefix(b"{")[:-3]), {})
        elif line.startswith(b'"'):
            doc_id, _, document = line.partition(b":")
            table[doc_id[1:-1].decode()] = Stored(document.rstrip(b",\n"))
    return tables, checksum


def _load_former(data: bytes) -> tuple[Tables, None]:
    try:
        tables = orjson.loads(data)
    except ValueError as error:
        raise Unreadable(f"damaged: {error}" if data else "damaged: it is empty") from None
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise Unreadable("no archive: it holds no tables")
    if MARK in tables or b"\n" in data:  # the former format was one line
        raise Unreadable("not as the engine wrote it: damaged, or changed by another program")
    stored = {name: {i: Stored(orjson.dumps(d)) for i, d in table.items()} for name, table in tables.items()}
    return stored, None


def write_snapshot(path: Path, tables: Mapping[str, Mapping[str, Stored]], mark: Mark, keep: Path | None) -> None:
    """Replace a snapshot; a crash at any moment leaves the old one or the new one.

    Args:
        tables: may be shared with other threads as long as nobody changes the mappings or documents in place.
        keep: where the one that is replaced stays, or None.

    Raises:
        OSError: nothing was changed.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            _write(handle, tables, mark)
            os.fsync(handle)
        finally:
            os.close(handle)
        if keep is not None and path.exists():
            _keep(path, keep, path.with_name(f"{temporary.name}.old"))
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _keep(path: Path, keep: Path, temporary: Path) -> None:
    try:
        os.link(path, temporary)
    except PermissionError:  # a file system without hard links
        keep.unlink(missing_ok=True)
    else:
        os.rename(temporary, keep)


def _write(handle: int, tables: Mapping[str, Mapping[str, Stored]], mark: Mark) -> None:
    size = checksum = 0
    for piece in _pieces(tables):
        write_all(handle, piece, size)
        # In steps, so that a commit beside it never waits for a whole snapshot to reach the disk.
        os.fdatasync(handle)
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
    checksum = zlib.crc32(orjson.dumps(vars(mark)), checksum)
    stored = {**vars(mark), "bytes": size, "crc32": checksum}
    tail = b'"%s":{"1":%s}}' % (MARK.encode(), orjson.dumps(stored))
    write_all(handle, tail, size)


def _pieces(tables: Mapping[str, Mapping[str, Stored]]) -> Iterator[bytes]:
    """The tables as JSON, a document a line; one at a time, to let other threads in."""
    piece = bytearray(b"{")
    for name, table in tables.items():
        piece += orjson.dumps(name) + b":{\n"
        between = b""
        for doc_id, document in table.items():
            piece += between + orjson.dumps(doc_id) + b":" + document.data
            between = b",\n"
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        piece += b"\n},\n"
    yield bytes(piece if tables else piece + b"\n")
