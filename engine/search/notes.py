"""The researcher's own notes: a folder of texts that every proposal is shown, read anew for each."""

from __future__ import annotations

import os
from pathlib import Path

from engine.archive.files import read_limited
from engine.search.text import clean

SUFFIXES = (".md", ".txt")
LARGEST = 64 * 1024
"""Bytes read of one file."""
MOST_FILES = 50


def read_notes(folder: Path | None, room: int) -> str:
    """The notes in the order of their names, each under its name, within `room` characters; nothing without a folder.

    A file that cannot be read is left out and said to be: notes help, they never stop a run.
    """
    if folder is None or not folder.is_dir():
        return ""
    told: list[str] = []
    for name in sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES))[:MOST_FILES]:
        try:
            text = clean(read_limited(folder / name, LARGEST).decode(errors="replace")).strip()
        except OSError as error:
            text = f"(left out: {error.strerror or 'it is no plain file, or too large'})"
        head = f"## {clean(name)}\n"
        left = room - len(head) - 2
        if left < len("…"):
            break
        if text:
            told.append(head + clean(text, left))
            room -= len(told[-1]) + 2
    return "\n\n".join(told)
