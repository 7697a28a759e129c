"""A discovery of 20,000 candidates: no commit gets slower, and neither memory nor files grow beyond what is kept."""

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from engine.archive.check import check
from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import Archive
from tests.archive.conftest import candidate, change, trial

pytestmark = pytest.mark.slow
CANDIDATES = 20_000
WINDOW = 1000
REFLECTION = "It held where groups were mixed, and nowhere else. " * 60
"""With the rest of a candidate's document about 4 KB."""


def life_of_one(archive: Archive, number: int) -> None:
    """What an engine commits for a candidate, in two commits instead of a dozen: each waits for the disk."""
    born: dict[str, Any] = candidate(number, status="training", overall=None, benchmarks={}, reflection=None)
    node = born["id"]
    own = trial(node, "search", 0, status="training", overall=None)
    told = [Event("candidate.created", node, born), Event("trial.created", node, own)]
    archive.commit([change("candidates", born), change("trials", own)], told)
    points = [{"step": step, "reward": 0.5, "kl": 0.01, "parts": {}} for step in range(16)]
    metrics = Event("trial.metrics", node, {"trial": own["id"], "points": points})
    ended = {"id": node, "status": "scored", "reflection": REFLECTION, "overall": 30.0}
    archive.commit([change("candidates", ended)], [metrics, Event("candidate.updated", node, ended)])


def memory() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.fault(25)
def test_twenty_thousand_candidates_are_written_as_fast_as_the_first_ones(run_folder: RunFolder) -> None:
    begun, times = memory(), []
    archive = Archive.open(run_folder.archive)
    for number in range(CANDIDATES):
        began = time.perf_counter()
        life_of_one(archive, number)
        times.append(time.perf_counter() - began)
    grown = memory() - begun
    archive.compact()
    kept = run_folder.archive.stat().st_size
    first, last = median(times[WINDOW : 3 * WINDOW]), median(times[-2 * WINDOW :])
    files = sizes(run_folder.path)
    journals = sum(size for name, size in files.items() if name.endswith(".journal"))
    print(f"a candidate's life {first * 1e3:.2f} ms, in the end {last * 1e3:.2f} ms; {kept >> 20} MB kept, ", end="")
    print(f"memory +{grown >> 20} MB, journals {journals >> 20} MB, {len(files)} files")
    assert kept > CANDIDATES * 3500
    assert last < 3 * first
    assert grown < 10 * kept
    assert journals < 4 * kept, "old journals are removed"
    archive.close()
    began = time.perf_counter()
    again = Archive.open(run_folder.archive)
    reopened = time.perf_counter() - began
    assert reopened < CANDIDATES / 2 * first, "it opens in a fraction of the time it took to write"
    assert len(again.candidates()) == CANDIDATES and not again.damages
    again.close()
    assert check(run_folder.path).ok
    seen = 0
    reader = EventReader(run_folder.events)
    while some := reader.read(1 << 20):
        assert [event.seq for event in some] == list(range(seen + 1, seen + len(some) + 1))
        seen += len(some)
    assert seen == CANDIDATES * 4
    assert memory() - begun < 12 * kept


def sizes(folder: Path) -> dict[str, int]:
    return {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
