"""The snapshot: `archive.json`, plain TinyDB JSON that a stock TinyDB opens, replaced whole or not at all.

A document stands on a line. Beside the archive's tables it holds one more, `journal`, with one document: the mark. It says which journal goes
on from here, and a checksum of everything before it.
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
Tables = dict[str, dict[str, Document]]

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
        stored = orjson.loads(tail[:-1])["1"]
        mark = Mark(*(int(stored[key]) for key in ("generation", "start", "record", "event")))
        return _load_lines(file, int(stored["bytes"]), stored["crc32"]), mark
    except (KeyError, TypeError, ValueError):
        raise Unreadable("damaged") from None


def _load_lines(file: BinaryIO, size: int, expected: int) -> Tables:
    """Line by line, so that no second copy of everything is ever in memory. Raises ValueError or Unreadable."""
    tables: Tables = {}
    table: dict[str, Document] = {}
    checksum = 0
    for line in file:
        size -= len(line)
        if size < 0:
            break
        checksum = zlib.crc32(line, checksum)
        if line.endswith(b":{\n"):
            table = tables.setdefault(orjson.loads(line.removeprefix(b"{")[:-3]), {})
        elif line.startswith(b'"'):
            table.update(orjson.loads(b"{%s}" % line.rstrip(b",\n")))
    if checksum != expected:
        raise Unreadable("damaged: its checksum is wrong")
    return tables


def _load_former(data: bytes) -> tuple[Tables, None]:
    try:
        tables = orjson.loads(data)
    except ValueError as error:
        raise Unreadable(f"damaged: {error}" if data else "damaged: it is empty") from None
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise Unreadable("no archive: it holds no tables")
    if MARK in tables:
        raise Unreadable("not as the engine wrote it: another program has changed it")
    return tables, None


def write_snapshot(path: Path, tables: Mapping[str, Mapping[str, Document]], mark: Mark, keep: Path | None) -> None:
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


def _write(handle: int, tables: Mapping[str, Mapping[str, Document]], mark: Mark) -> None:
    size = checksum = 0
    for piece in _pieces(tables):
        write_all(handle, piece, size)
        # In steps, so that a commit beside it never waits for a whole snapshot to reach the disk.
        os.fdatasync(handle)
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
    stored = {**vars(mark), "bytes": size, "crc32": checksum}
    tail = b'"%s":{"1":%s}}' % (MARK.encode(), orjson.dumps(stored))
    write_all(handle, tail, size)


def _pieces(tables: Mapping[str, Mapping[str, Document]]) -> Iterator[bytes]:
    """The tables as JSON, a document a line; one at a time, to let other threads in."""
    piece = bytearray(b"{")
    for name, table in tables.items():
        piece += orjson.dumps(name) + b":{\n"
        between = b""
        for doc_id, document in table.items():
            piece += between + orjson.dumps(doc_id) + b":" + orjson.dumps(document)
            between = b",\n"
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        piece += b"\n},\n"
    yield bytes(piece if tables else piece + b"\n")
