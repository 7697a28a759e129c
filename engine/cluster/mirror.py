"""A job's folder on two machines: what has changed in one, as pieces that make the other the same.

The job's process writes in the folder, so nothing in it is trusted: links are not followed, and what lands on the other
side lands in its folder or nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.archive.files import open_regular, sync_folder, write_all
from engine.training.checkpoints import MANIFEST

PIECE_BYTES = 4 << 20
"""Of a file, in one piece."""
BATCH_BYTES = 16 << 20
"""Of all pieces that are handed over at once, about."""
TAIL_BYTES = 1 << 10
"""Of what was handed over, looked at again to tell a file that has grown from one that was written anew."""
OWN = ("job.json", "control", "tmp")
"""Names in a job's folder that are different on each machine."""
KEPT_HERE = (*OWN, "result.json", "score", "adapter")
"""Names that a training which goes on does not need."""


@dataclass(frozen=True)
class Piece:
    """A part of a file, or the end of one.

    Attributes:
        path: seen from the folder.
        offset: where the bytes belong; 0 begins the file anew.
        data: the bytes; None: the file is gone.
    """

    path: str
    offset: int
    data: bytes | None


@dataclass
class _Told:
    inode: int
    mtime: int
    size: int
    tail: bytes


class Mirror:
    """What has changed in a folder since it was last asked.

    Args:
        folder: the job's.
        leave: names right in it that are not looked at.
    """

    def __init__(self, folder: Path, leave: Iterable[str] = OWN) -> None:
        self._folder = folder
        self._leave = frozenset(leave)
        self._told: dict[str, _Told] = {}

    def changes(self) -> list[Piece]:
        """Some changes, most of `BATCH_BYTES`; empty when there are none left.

        A checkpoint comes once it is sealed, its manifest last; what is gone comes after all else.
        """
        found = dict(self._files())
        pieces: list[Piece] = []
        room = BATCH_BYTES
        for path in sorted(found, key=lambda path: (path.rpartition("/")[2] == MANIFEST, path)):
            for piece in self._pieces(path, found[path]):
                pieces.append(piece)
                room -= len(piece.data or b"")
                if room <= 0:
                    return pieces
        for path in self._told.keys() - found.keys():
            del self._told[path]
            pieces.append(Piece(path, 0, None))
        return pieces

    def agree(self) -> None:
        """Take the folder as it is for what the other side has."""
        while self.changes():
            pass

    def _pieces(self, path: str, there: os.stat_result) -> Iterator[Piece]:
        told = self._told.get(path)
        if told is not None and (told.inode, told.mtime, told.size) == (there.st_ino, there.st_mtime_ns, there.st_size):
            return
        with suppress(OSError), open(open_regular(self._folder / path), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if told is None or not _grown(told, status, file.fileno()):
                told = self._told[path] = _Told(status.st_ino, status.st_mtime_ns, 0, b"")
                if status.st_size == 0:
                    yield Piece(path, 0, b"")
            while data := os.pread(file.fileno(), PIECE_BYTES, told.size):
                at = told.size
                told.size, told.tail = at + len(data), (told.tail + data)[-TAIL_BYTES:]
                yield Piece(path, at, data)
            told.mtime = os.fstat(file.fileno()).st_mtime_ns

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        left = [""]
        while left:
            inside = left.pop()
            with suppress(OSError), os.scandir(self._folder / inside) as entries:
                for entry in entries:
                    path = f"{inside}/{entry.name}" if inside else entry.name
                    if entry.name.startswith(".") or (not inside and entry.name in self._leave):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        sealed = inside != "checkpoints" or os.path.exists(os.path.join(entry.path, MANIFEST))
                        left += [path] if sealed else []
                    elif entry.is_file(follow_symlinks=False):
                        yield path, entry.stat(follow_symlinks=False)


def _grown(told: _Told, there: os.stat_result, handle: int) -> bool:
    """Whether a file begins with what was told of it, and holds more; not so if it was written anew."""
    if told.inode != there.st_ino or told.size >= there.st_size:
        return False
    return os.pread(handle, len(told.tail), told.size - len(told.tail)) == told.tail


def apply(folder: Path, pieces: Iterable[Piece]) -> None:
    """Make the changes in a folder; a piece that would land elsewhere is left out.

    Raises:
        OSError: the disk is full, for one.
    """
    for piece in pieces:
        parts = PurePosixPath(piece.path).parts
        if not parts or ".." in parts or parts[0] == "/":
            continue
        place = folder.joinpath(*parts)
        if any((folder.joinpath(*parts[:depth])).is_symlink() for depth in range(1, len(parts))):
            continue
        if piece.data is None:
            _remove(folder, place)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if piece.offset == 0:  # a new file: whoever reads the old one sees that it was replaced
            place.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if piece.offset == 0 else 0)
        handle = os.open(place, flags, 0o666)
        try:
            write_all(handle, piece.data, piece.offset)
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until all regular files below a folder are on disk: what is decided from them outlives a power cut."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            sync_folder(path)
        elif path.is_file() and not path.is_symlink():
            handle = open_regular(path)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _remove(folder: Path, place: Path) -> None:
    place.unlink(missing_ok=True)
    with suppress(OSError):  # until one still holds something
        while (place := place.parent) != folder:
            place.rmdir()
