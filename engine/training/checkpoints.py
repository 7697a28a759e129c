"""Checkpoints that can be trusted: each is sealed by a manifest of its files, written last, and checked before use.

    checkpoints/checkpoint-12/   TRL's files, pipeline.json, batch.pt in the middle of a batch, manifest.json
    checkpoints/damaged-12/      one whose files were not what its manifest says; kept to be looked at

No torch in here: the engine asks how far a training got.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import read_limited, sync_folder, write_json

MANIFEST = "manifest.json"
KEPT = 2
"""Checkpoints of one training on the disk: the newest, and the one before in case that one is damaged."""
MANIFEST_LIMIT = 1 << 20
MOST_DIGITS = 9
"""Of an update: candidate code can leave folders of any name."""


def seal(folder: Path, facts: dict[str, Any]) -> None:
    """Finish a checkpoint: bring its files to the disk, then write the manifest that makes it count.

    Args:
        folder: the checkpoint; nothing is written into it afterwards.
        facts: kept in the manifest.

    Raises:
        OSError: it stays unsealed.
    """
    files = {}
    for path in _files(folder):
        with path.open("rb") as file:
            files[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    for inner in {path.parent for path in _files(folder)}:
        sync_folder(inner)
    write_json(folder / MANIFEST, {"files": files, "facts": facts})
    sync_folder(folder.parent)


def facts(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint was sealed with; None unless every file is there and as it was then."""
    try:
        manifest = orjson.loads(read_limited(folder / MANIFEST, MANIFEST_LIMIT))
        wanted, found = manifest["files"], {}
        for path in _files(folder):
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
        return dict(manifest["facts"]) if found == wanted else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # folders can be deeper than a recursion
        return None


def newest(checkpoints: Path) -> Path | None:
    """The newest checkpoint that is what its manifest says; damaged ones are set aside, unfinished ones removed."""
    for step, path in sorted(_all(checkpoints), reverse=True):
        if facts(path) is not None:
            return path
        if (path / MANIFEST).exists():
            aside = checkpoints / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            print(f"{path.name} is damaged: set aside as {aside.name}", flush=True)
        else:
            shutil.rmtree(path)
    return None


def furthest(checkpoints: Path) -> int:
    """The update of the newest sealed checkpoint, unchecked; 0 if there is none."""
    return max((step for step, path in _all(checkpoints) if (path / MANIFEST).exists()), default=0)


def drop_old(checkpoints: Path) -> None:
    """Keep the newest sealed checkpoints only; by their number, since clocks may be set."""
    sealed = sorted((step, path) for step, path in _all(checkpoints) if (path / MANIFEST).exists())
    for _, path in sealed[:-KEPT]:
        # Without its manifest it no longer counts, so that one half removed is never taken for damaged.
        (path / MANIFEST).unlink()
        shutil.rmtree(path)


def _all(checkpoints: Path) -> list[tuple[int, Path]]:
    found = []
    for path in checkpoints.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isascii() and number.isdecimal() and len(number) <= MOST_DIGITS and path.is_dir():
            found.append((int(number), path))
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
