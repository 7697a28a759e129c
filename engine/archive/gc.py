"""What of an ended run may be removed, and removing it; nothing that a resume, a promotion or a study needs is named.

Documents, events, metrics, samples, scores, algorithms and logs always stay: a report before and after is the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.archive.check import check
from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.archive.journal import journal_path, journals
from engine.archive.recovery import PREVIOUS
from engine.archive.remove import remove_tree
from engine.archive.store import Archive, read_archive
from engine.errors import Exit, PoiseError
from engine.process.lock import RunLock

Document = Mapping[str, Any]
Kind = Literal["checkpoints", "adapters", "spare generation"]

OVER = ("scored", "failed")
"""Trials that no engine ever goes on with. One that stopped at a rung may be promoted, or have a last chance when the
run is extended; one of a pruned candidate may be restored."""
BEST = 5
"""Candidates whose adapters stay, by Overall of whole trainings."""
WHOLE = 1.0


@dataclass(frozen=True)
class Removable:
    """One file or folder that is not needed any more."""

    kind: Kind
    path: Path
    bytes: int
    why: str


def removable(folder: RunFolder, keep: int = BEST) -> list[Removable]:
    """Everything that may go, in the order of trials; reads only.

    Args:
        folder: of the run.
        keep: so many of the best candidates keep their adapters; the root, pinned and confirmed ones keep theirs too.

    Raises:
        PoiseError: the run is live (4), or has no readable archive.
    """
    _refuse_live(folder)
    archive = read_archive(folder.archive)
    candidates, trials = archive.candidates(), archive.trials()
    found = [*_trainings(folder, candidates, trials, keep), *_spare_generation(folder)]
    return [thing for thing in found if thing.bytes > 0]


def remove(folder: RunFolder, things: Sequence[Removable]) -> int:
    """Remove what `removable` named, under the run's lock, and tell it as an event.

    Returns:
        bytes that are free now.

    Raises:
        PoiseError: refused (4), an engine has taken the run up, or something cannot be removed.
    """
    lock = RunLock.acquire(folder.lock, "")
    try:
        free, stuck = 0, []
        for thing in things:
            if thing.path.is_dir() and not thing.path.is_symlink():
                remove_tree(thing.path)
            else:
                with suppress(OSError):
                    thing.path.unlink()
            if os.path.lexists(thing.path):
                stuck.append(thing.path)
            else:
                free += thing.bytes
        kinds = ", ".join(f"{sum(t.kind == kind for t in things)} {kind}" for kind in sorted({t.kind for t in things}))
        archive = Archive.open(folder.archive)
        try:
            told = f"gc removed {kinds}: {free} bytes"
            archive.append_events([Event("log", None, {"level": "info", "message": told})])
        finally:
            archive.close()
    finally:
        lock.release()
    if stuck:
        raise PoiseError(f"{len(stuck)} things cannot be removed, the first is {stuck[0]}: look at its permissions")
    return free


def best(candidates: Sequence[Document], keep: int) -> set[str]:
    """The candidates whose adapters stay."""
    whole = [c for c in candidates if c.get("overall") is not None and c.get("fidelity", WHOLE) == WHOLE]
    whole = [c for c in whole if c["status"] == "scored"]
    first = sorted(whole, key=lambda c: (-c["overall"], c["id"]))[:keep]
    marked = [c for c in candidates if c["parent"] is None or c.get("pinned") or c.get("confirmed")]
    return {c["id"] for c in (*first, *marked)}


def size_of(path: Path) -> int:
    """Bytes that the files in a folder, or a file, take on the disk; links count as themselves."""
    total, waiting = 0, [path]
    while waiting:
        at = waiting.pop()
        try:
            status = os.lstat(at)
            total += status.st_blocks * 512
            if at.is_dir() and not at.is_symlink():
                waiting += [Path(entry.path) for entry in os.scandir(at)]
        except OSError:
            continue
    return total


def _refuse_live(folder: RunFolder) -> None:
    if (engine := folder.engine()) is not None:
        raise PoiseError(
            f"run {folder.id} is live, its engine is {engine}: `poise stop {folder.id}` first", Exit.REFUSED
        )


def _trainings(
    folder: RunFolder, candidates: Sequence[Document], trials: Sequence[Document], keep: int
) -> Iterator[Removable]:
    kept = best(candidates, keep)
    for trial in trials:
        if trial["status"] not in OVER:
            continue
        place = folder.trial(trial["id"])
        why = f"the training is {trial['status']}"
        yield Removable("checkpoints", place.checkpoints, _size(place.checkpoints), why)
        # An ablation's adapter is of an algorithm with parts switched off: nobody's best.
        if trial["status"] == "failed" or trial["candidate"] not in kept or trial["off"]:
            why = f"{trial['candidate']} is not among the {keep} best" if not trial["off"] else "of an ablation"
            yield Removable("adapters", place.adapter, _size(place.adapter), why)


def _spare_generation(folder: RunFolder) -> Iterator[Removable]:
    """The snapshot before the present one and its journals: needed only where the present one is damaged."""
    report = check(folder.path)
    if not report.ok:
        return
    old = [journal_path(folder.path, n) for n in journals(folder.path) if n < report.snapshot_generation]
    for path in (folder.path / PREVIOUS, *old):
        yield Removable("spare generation", path, _size(path), "the present one was read and is whole")


def _size(path: Path) -> int:
    return size_of(path) if os.path.lexists(path) else 0
