"""All runs as rows, for a thread of the application: what there is, how it stands, and the end of one."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.archive.folder import RunFolder, list_runs
from engine.archive.remove import remove_tree
from engine.errors import Exit, PoiseError
from engine.process.lock import RunLock
from engine.process.registry import live_engines
from poise_tui.commands.status import summary
from poise_tui.format import one_line

Stamp = tuple[int, bool]


@dataclass(frozen=True)
class RunRow:
    """One run in the list."""

    folder: RunFolder
    status: str
    profile: str = ""
    nodes: int = 0
    best: float | None = None
    best_name: str = ""
    created: str = ""


class RunList:
    """Reads rows; those that have not changed are not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, RunRow]] = {}

    def rows(self, runs_dir: Path) -> tuple[RunRow, ...]:
        """The runs of a folder, newest first, and this user's live ones elsewhere."""
        folders = list_runs(runs_dir)
        here = {folder.path.resolve() for folder in folders}
        folders += [RunFolder(e.folder) for e in live_engines() if e.folder.resolve() not in here]
        return tuple(map(self._row, folders))

    def _row(self, folder: RunFolder) -> RunRow:
        try:
            written = max(file.stat().st_mtime_ns for file in folder.path.glob("events*.jsonl"))
        except (OSError, ValueError):
            written = 0
        stamp = (written, folder.engine() is not None)
        known = self._known.get(folder.path)
        if known is None or known[0] != stamp:
            known = self._known[folder.path] = (stamp, _read(folder))
        return known[1]


def _read(folder: RunFolder) -> RunRow:
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.created()))
    try:
        found = summary(folder)
    except PoiseError:
        return RunRow(folder, "unreadable", created=created)
    best: dict[str, Any] = found["best"][0] if found["best"] else {"overall": None, "name": ""}
    return RunRow(
        folder,
        status=str(found["run"]["status"]),
        profile=one_line(found["run"]["profile"]),
        nodes=sum(found["candidates"].values()),
        best=best["overall"],
        best_name=one_line(best["name"]),
        created=created,
    )


def delete_run(folder: RunFolder) -> None:
    """Remove a run with all that is in it.

    Raises:
        PoiseError: refused (4): an engine runs it, or something of it cannot be removed.
    """
    if (engine := folder.engine()) is not None:
        raise PoiseError(f"{folder.id} is run by {engine}: stop it first", Exit.REFUSED)
    lock = RunLock.acquire(folder.lock, "being deleted")  # no engine can begin meanwhile
    try:
        remove_tree(folder.path)
    finally:
        lock.release()
    if folder.path.exists():
        raise PoiseError(f"something in {folder.path} cannot be removed: see its permissions", Exit.REFUSED)
