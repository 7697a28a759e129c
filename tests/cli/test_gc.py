"""`poise gc` frees what nothing needs any more, says so first, and never touches what a run may still go on from."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.archive.gc import removable, size_of
from engine.archive.store import Archive, Change
from engine.errors import Exit
from engine.process.lock import RunLock
from tests.cli.conftest import CANDIDATE, Poise, refusal, write_run

TRIALS = {
    "c000-search-0": "scored",
    "c000-baseline-1": "scored",
    "c001-search-0": "scored",
    "c002-search-0": "failed",
    "c003-search-0": "waiting",  # stopped at a rung: it may be promoted
    "c004-search-0": "stopped",  # pruned: it may be restored
    "c001-confirm-100": "paused",  # a study that is not over
    "c005-search-0": "scored",
    "c005-ablate-200": "scored",
}
WEIGHTS = 100_000


def fill(folder: Path) -> RunFolder:
    """A run with trainings in every state, each with checkpoints and an adapter."""
    archive = Archive.open(folder / "archive.json")
    more: list[dict[str, Any]] = [
        {"id": "c003", "status": "stopped", "overall": 20.0, "fidelity": 0.5},
        {"id": "c004", "status": "pruned", "overall": None},
        {"id": "c005", "overall": 35.0},
    ]
    changes = [Change("candidates", c["id"], {**CANDIDATE, "parent": "c000", **c}) for c in more]
    for trial, status in TRIALS.items():
        node, purpose, _ = trial.split("-")
        off = ["X"] if purpose == "ablate" else []
        document = {"id": trial, "candidate": node, "purpose": purpose, "status": status, "off": off, "overall": None}
        changes.append(Change("trials", trial, document))
        place = folder / "trials" / trial
        for name in ("checkpoints/checkpoint-2/optimizer.pt", "adapter/adapter_model.safetensors", "metrics.jsonl"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(os.urandom(WEIGHTS))
    archive.commit(changes, [])
    archive.close()
    return RunFolder(folder)


@pytest.fixture
def run(runs: Path) -> RunFolder:
    return fill(write_run(runs, "r"))


def left(run: RunFolder, what: str) -> set[str]:
    return {trial for trial in TRIALS if (run.path / "trials" / trial / what).exists()}


def test_only_what_nothing_needs_is_removed(poise: Poise, run: RunFolder) -> None:
    exported = poise("export", "r").stdout
    done = poise("gc", "r", "--yes", "--keep", "1")
    assert done.returncode == 0, done.stderr
    assert left(run, "checkpoints") == {"c003-search-0", "c004-search-0", "c001-confirm-100"}
    # The best (c001), the root, and whoever may go on keep their adapters.
    gone = {"c002-search-0", "c005-search-0", "c005-ablate-200"}
    assert left(run, "adapter") == set(TRIALS) - gone
    assert left(run, "metrics.jsonl") == set(TRIALS)
    assert poise("export", "r").stdout == exported
    assert poise("doctor", "r").returncode == 0


def test_pinned_and_confirmed_candidates_keep_their_adapters(poise: Poise, run: RunFolder) -> None:
    archive = Archive.open(run.archive)
    archive.commit([Change("candidates", "c005", {"pinned": True})], [])
    archive.commit([Change("candidates", "c002", {"confirmed": {"verdict": "confirmed"}})], [])
    archive.close()
    poise("gc", "r", "--yes", "--keep", "0")
    assert "c005-search-0" in left(run, "adapter")
    assert "c005-ablate-200" not in left(run, "adapter"), "an algorithm with parts off is nobody's best"
    assert "c001-search-0" not in left(run, "adapter")


def test_what_it_says_beforehand_is_what_it_frees(poise: Poise, run: RunFolder) -> None:
    before = size_of(run.path / "trials")
    planned = sum(t.bytes for t in removable(run, 1) if t.kind != "spare generation")
    assert planned > 6 * WEIGHTS
    done = poise("gc", "r", "--dry-run", "--keep", "1", "--verbose")
    assert done.stdout.startswith("r: ")
    assert "trials/c000-search-0/checkpoints: the training is scored" in done.stdout
    assert size_of(run.path / "trials") == before
    poise("gc", "r", "--yes", "--keep", "1")
    # Folders that are gone take space in the one above them less, never more.
    assert 0 <= before - size_of(run.path / "trials") - planned < 4096 * len(TRIALS)
    assert EventReader(run.events).read()[-1].data["message"].startswith("gc removed ")
    assert poise("gc", "r", "--keep", "1").stdout == "r: nothing to remove\n"


def test_without_anybody_to_ask_nothing_is_removed(poise: Poise, run: RunFolder) -> None:
    done = poise("gc", "r")
    assert done.returncode == Exit.REFUSED
    assert done.stderr == "poise: nothing was removed: give --yes, since there is nobody to ask\n"
    assert left(run, "checkpoints") == set(TRIALS)


def test_a_live_run_is_refused(poise: Poise, run: RunFolder) -> None:
    lock = RunLock.acquire(run.lock, "/nowhere")
    try:
        assert "run r is live, its engine is process" in refusal(poise("gc", "r", "--yes"), Exit.REFUSED)
    finally:
        lock.release()
    assert left(run, "checkpoints") == set(TRIALS)


def test_links_that_candidate_code_left_are_not_followed(poise: Poise, run: RunFolder, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "inner").mkdir(parents=True)
    (precious / "inner" / "file").write_text("mine")
    place = run.trial("c002-search-0")
    (place.checkpoints / "link").symlink_to(precious)
    os.rename(place.adapter, place.path / "was")
    place.adapter.symlink_to(precious)
    assert poise("gc", "r", "--yes").returncode == 0
    assert (precious / "inner" / "file").read_text() == "mine"
    assert not os.path.lexists(place.checkpoints)
    assert not os.path.lexists(place.adapter)


def test_a_damaged_archive_keeps_its_spare_generation(poise: Poise, run: RunFolder) -> None:
    archive = Archive.open(run.archive)
    for number in range(2):
        archive.commit([Change("candidates", "c005", {"overall": 35.0 + number})], [])
        archive.compact()
    archive.close()
    assert {t.kind for t in removable(run)} >= {"spare generation"}
    text = run.archive.read_text()
    assert json.loads(text)
    run.archive.write_text(text[: len(text) // 2])
    assert "spare generation" not in {t.kind for t in removable(run)}
    assert (run.path / "archive.previous.json").exists()
