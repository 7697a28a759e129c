"""Removing what untrusted code has left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, however deep it is and whatever its modes; no link is followed.

    `shutil.rmtree` calls itself for each level and gives up at the thousandth. Nobody else may be at work in the
    folder. What cannot be removed stays.
    """
    with suppress(OSError):
        handle = os.open(folder, _FOLDER)
        try:
            above: list[str] = []
            while True:
                if (below := _empty(handle)) is not None:
                    os.chmod(below, 0o700, dir_fd=handle)
                    handle = _move(handle, below)
                    above.append(below)
                elif above:
                    handle = _move(handle, "..")
                    os.rmdir(above.pop(), dir_fd=handle)
                else:
                    break
        finally:
            os.close(handle)
        os.rmdir(folder)


def _empty(handle: int) -> str | None:
    """Remove the files in a folder until one of its folders is met, and name that."""
    with os.scandir(handle) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=handle)
    return None


def _move(handle: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=handle)
    os.close(handle)
    return there
