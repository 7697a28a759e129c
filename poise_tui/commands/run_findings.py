"""What `poise doctor RUN` finds of one run; it reads, and repairs nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.archive.check import check
from engine.archive.estimate import UNFINISHED
from engine.archive.events import JsonLinesReader
from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from engine.errors import PoiseError
from engine.process.control import send
from engine.process.lock import heartbeat_age, live_holder, read_holder
from engine.training.checkpoints import MANIFEST, facts
from poise_tui.commands.finding import LEAST_FREE, Finding, size
from poise_tui.commands.machine_findings import disk_kind
from poise_tui.format import one_line

PING_SECONDS = 5.0


def run_findings(folder: RunFolder) -> Iterator[Finding]:
    """Everything about one run.

    Raises:
        PoiseError: it has no archive (3).
    """
    yield from archive(folder)
    try:
        found = read_archive(folder.archive)
        document, trials = found.run(), found.trials()
    except PoiseError as error:
        document, trials = {}, []
        advice = "what can be read of it is told above; restore archive.json from a copy, or start a new run"
        yield Finding("run", "error", one_line(error), advice)
    yield engine(folder, str(document.get("status", "")))
    yield calls(folder, float(document.get("spent", {}).get("llm_usd", 0.0)))
    yield checkpoints(folder, trials)
    yield room(folder)


def archive(folder: RunFolder) -> Iterator[Finding]:
    """The archive's state, by its own check."""
    found = check(folder.path)
    records = sum(journal.records for journal in found.journals)
    documents = ", ".join(f"{count} {table}" for table, count in sorted(found.documents.items()) if count)
    shown = f"{documents or 'empty'}; {size(found.snapshot_bytes)} of snapshot, {records} records of journal"
    yield Finding("archive", "ok" if found.ok else "error", shown, "" if found.ok else "see the lines below")
    for problem in found.problems:
        yield Finding("archive", "error", one_line(problem), f"`poise resume {folder.id}` repairs what can be repaired")
    for note in found.notes:
        yield Finding("archive", "ok", one_line(note))
    yield Finding("events", "ok", f"{found.events.last} in {found.events.files} files, {size(found.events.bytes)}")
    yield disk_kind(found.filesystem)
    if found.free_bytes < LEAST_FREE:
        yield Finding("disk", "error", f"{size(found.free_bytes)} free", "free some: a full disk pauses the run")


def engine(folder: RunFolder, status: str) -> Finding:
    """The lock, who holds it, and whether that engine lives and answers."""
    last, holder = read_holder(folder.lock), live_holder(folder.lock)
    if holder is None:
        if status not in ("running", "paused"):
            return Finding("engine", "ok", f"none runs it; the run is {status or 'unreadable'}")
        died = f"process {last.identity.pid} died" if last else "it is gone without a trace"
        log = f"{folder.engine_log} may say why"
        return Finding("engine", "warning", f"{died} while the run was {status}; {log}", f"`poise resume {folder.id}`")
    if not holder.identity.here:
        advice = f"resume it there, or delete {folder.lock} if that engine is gone"
        return Finding("engine", "warning", f"locked by {holder}, another host", advice)
    try:
        send(holder.socket, "ping", timeout=PING_SECONDS)
    except PoiseError as error:
        advice = f"look into {folder.engine_log}; `kill -9 {holder.identity.pid}`, then `poise resume {folder.id}`"
        return Finding("engine", "error", f"{holder} holds the lock, but {error}", advice)
    beat = heartbeat_age(folder.lock) or 0.0
    return Finding("engine", "ok", f"{holder} runs it and answers; its last heartbeat was {beat:.0f} s ago")


def calls(folder: RunFolder, known_usd: float) -> Finding:
    """The ledger of the language model against what the archive knows to be spent."""
    reader, count, usd = JsonLinesReader(folder.llm), 0, 0.0
    for record in reader.read():
        count += 1
        usd += float(record.get("usd") or 0.0)
    shown = f"{count} calls, ${usd:.4f}"
    if reader.dropped:
        advice = "what they cost is in the archive; their answers would be asked for again"
        return Finding("llm.jsonl", "warning", f"{shown}; {reader.dropped} lines cannot be read", advice)
    if known_usd > usd + 1e-6:
        advice = "nothing: the larger sum counts against the budget"
        return Finding("llm.jsonl", "warning", f"{shown}, but the archive knows of ${known_usd:.4f}", advice)
    return Finding("llm.jsonl", "ok", shown)


def checkpoints(folder: RunFolder, trials: list[dict[str, Any]]) -> Finding:
    """What a resume would go on from; every file is compared with what its checkpoint was sealed with."""
    waiting = [t["id"] for t in trials if t["status"] in UNFINISHED and not t.get("trained")]
    without, damaged = [], []
    for trial in waiting:
        kept = list(folder.trial(trial).checkpoints.glob("checkpoint-*"))
        intact = [path for path in kept if facts(path) is not None]
        without += [] if intact else [trial]
        damaged += [f"{trial}/{path.name}" for path in kept if path not in intact and (path / MANIFEST).exists()]
    shown = f"{len(waiting) - len(without)} of {len(waiting)} unfinished trainings have one"
    if without:
        shown += f"; from their beginning: {', '.join(map(one_line, without[:8]))}"
    if damaged:
        shown += f"; not as sealed: {', '.join(map(one_line, damaged[:8]))}"
        return Finding("checkpoints", "warning", shown, "nothing: a resume sets them aside and takes the one before")
    return Finding("checkpoints", "ok", shown if waiting else "no training waits for one")


def room(folder: RunFolder) -> Finding:
    """What the run takes on disk, and of what."""
    parts: dict[str, int] = {}
    for path, _, files in os.walk(folder.path):
        inside = Path(path).relative_to(folder.path).parts
        part = "checkpoints" if "checkpoints" in inside else inside[0] if inside else "the run's own files"
        for name in files:
            try:
                parts[part] = parts.get(part, 0) + os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:  # it has just gone
                continue
    largest = sorted(parts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{size(amount)} {one_line(part)}" for part, amount in largest[:4])
    return Finding("disk use", "ok", f"{size(sum(parts.values()))}: {shown}")
