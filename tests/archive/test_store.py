"""What was acknowledged is there: documents and the events that tell of them, together or not at all."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from tinydb import TinyDB, where

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import Archive, Change, read_archive
from engine.errors import Exit, PoiseError
from tests.archive.conftest import candidate, change, trial

CHECKOUT = Path(__file__).parents[2]


def test_a_commit_is_read_back_by_the_engine_and_by_others(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0)), change("trials", trial("c000", "baseline", 0))], [])
    for view in (archive, read_archive(run_folder.archive)):
        assert view.candidate("c000") == candidate(0)
        assert view.candidates() == [candidate(0)]
        assert view.trials() == view.trials("c000") == [view.trial("c000-baseline-0")]
        assert view.trials("c001") == []


def test_a_change_sets_the_fields_it_names_and_leaves_the_others(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0, status="training", overall=None))], [])
    archive.commit([Change("candidates", "c000", {"status": "scored", "cost": {"llm_usd": 1.0}})], [])
    expected = candidate(0, status="scored", overall=None, cost={"llm_usd": 1.0})
    assert archive.candidate("c000") == expected
    assert read_archive(run_folder.archive).candidate("c000") == expected


def test_candidates_come_in_the_order_they_were_created(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    for number in (0, 1, 2, 3):
        archive.commit([change("candidates", candidate(number))], [])
    archive.commit([Change("candidates", "c001", {"status": "pruned"})], [])
    assert [c["id"] for c in archive.candidates()] == ["c000", "c001", "c002", "c003"]
    archive.close()
    assert [c["id"] for c in Archive.open(run_folder.archive).candidates()] == [
        "c000",
        "c001",
        "c002",
        "c003",
    ]


def test_events_are_numbered_from_one_without_a_gap_across_restarts(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    [created] = archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    [logged] = archive.append_events([Event("log", data={"message": "hello"})])
    archive.close()
    [status] = Archive.open(run_folder.archive).commit([], [Event("run.status", data={"status": "paused"})])
    assert EventReader(run_folder.events).read() == [created, logged, status]
    assert [created.seq, logged.seq, status.seq] == [1, 2, 3]


def test_changing_what_was_read_or_given_changes_no_archive(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    given = candidate(0)
    archive.commit([change("candidates", given)], [])
    given["cost"]["llm_usd"] = 99.0
    archive.candidate("c000")["cost"]["llm_usd"] = 99.0
    archive.candidates()[0]["cost"]["llm_usd"] = 99.0
    archive.commit([change("candidates", candidate(1))], [])
    assert read_archive(run_folder.archive).candidate("c000") == candidate(0)


def test_a_commit_that_cannot_be_stored_changes_nothing(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    bad: list[tuple[list[Change], list[Event]]] = [
        ([change("candidates", candidate(1)), Change("candidates", "c000", {"overall": object()})], []),
        ([change("candidates", candidate(1))], [Event("log", data={"message": object()})]),
    ]
    for changes, events in bad:
        with pytest.raises(TypeError):
            archive.commit(changes, events)
    assert archive.candidates() == [candidate(0)]
    archive.commit([change("candidates", candidate(2))], [Event("candidate.created", "c002")])
    assert [c["id"] for c in read_archive(run_folder.archive).candidates()] == ["c000", "c002"]
    assert [e.seq for e in EventReader(run_folder.events).read()] == [1, 2]


def test_a_crash_between_the_two_files_loses_no_event(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    before = run_folder.events.read_bytes()
    archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001"), Event("log")])
    archive.close()
    whole = run_folder.events.read_bytes()
    # Every point at which the append may have been cut, in the middle of a line included.
    for length in range(len(before), len(whole), 7):
        run_folder.events.write_bytes(whole[:length])
        Archive.open(run_folder.archive).close()
        assert run_folder.events.read_bytes() == whole


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """A disk that is full for files of this size: the kernel refuses to write beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_commit_that_finds_no_space_changes_nothing_and_tells_nothing(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    before = run_folder.archive.read_bytes(), run_folder.events.read_bytes()
    with files_limited_to(len(before[0]) + 10), pytest.raises(OSError, match="File too large"):
        archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001")])
    assert (run_folder.archive.read_bytes(), run_folder.events.read_bytes()) == before
    assert archive.candidates() == [candidate(0)]
    assert not list(run_folder.path.glob(".archive*"))
    archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001")])
    assert [(e.seq, e.node) for e in EventReader(run_folder.events).read()] == [(1, "c000"), (2, "c001")]


def test_events_that_found_no_space_are_written_when_there_is_some(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.append_events([Event("log", data={"message": "x" * 10_000})])
    size = run_folder.events.stat().st_size
    with files_limited_to(size + 10):
        archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
        assert run_folder.events.stat().st_size == size
    archive.append_events([Event("log")])
    kinds = [(e.seq, e.kind) for e in EventReader(run_folder.events).read()]
    assert kinds == [(1, "log"), (2, "candidate.created"), (3, "log")]


@pytest.mark.parametrize("round", range(6))
def test_kill_9_in_a_loop_of_commits_loses_nothing_acknowledged(run_folder: RunFolder, round: int) -> None:
    """A writer acknowledges each commit on a pipe and is killed at an arbitrary moment."""
    script = """
import sys
from pathlib import Path
from engine.archive.events import Event
from engine.archive.store import Archive, Change
archive = Archive.open(Path(sys.argv[1]))
number = len(archive.candidates())
while True:
    archive.commit([Change("candidates", f"c{number}", {"text": "x" * 500})], [Event("n", f"c{number}")])
    print(number, flush=True)
    number += 1
"""
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, run_folder.archive], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(5 + 7 * round)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += map(int, writer.stdout.read().split())
        writer.wait()
        writer.stdout.close()
        archive = Archive.open(run_folder.archive)
        archive.close()
        ids = [document["id"] for document in archive.candidates()]
        assert ids == [f"c{number}" for number in range(len(ids))]
        assert len(ids) > acknowledged[-1]
        events = EventReader(run_folder.events).read()
        assert [event.node for event in events] == ids
        assert [event.seq for event in events] == list(range(1, len(ids) + 1))


def test_a_second_writer_is_refused_and_readers_are_not(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [])
    with pytest.raises(PoiseError, match="being written by another process") as caught:
        Archive.open(run_folder.archive)
    assert caught.value.code == Exit.REFUSED
    assert read_archive(run_folder.archive).candidates() == [candidate(0)]
    archive.close()
    Archive.open(run_folder.archive).close()


def test_a_stock_tinydb_opens_the_archive(run_folder: RunFolder) -> None:
    """The file is plain TinyDB; this also holds the parts of TinyDB that the archive builds on."""
    assert version("tinydb") == "4.9.0"
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(i)) for i in range(3)], [Event("log")])
    with TinyDB(run_folder.archive) as stock:
        assert stock.tables() == {"candidates", "outbox"}
        assert stock.table("candidates").get(where("id") == "c001") == candidate(1)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"candidates": 3}', b"\x00" * 100])
def test_a_damaged_archive_is_one_clear_line(run_folder: RunFolder, damage: bytes) -> None:
    run_folder.archive.write_bytes(damage)
    with pytest.raises(PoiseError, match=r"archive\.json is (damaged|no archive)"):
        Archive.open(run_folder.archive)
    assert run_folder.archive.read_bytes() == damage


def test_events_with_a_damaged_last_line_are_not_written_on(run_folder: RunFolder) -> None:
    run_folder.events.write_bytes(b'{"seq": 1}\nnonsense\n')
    with pytest.raises(PoiseError, match=r"events\.jsonl is damaged"):
        Archive.open(run_folder.archive)


def test_reading_an_archive_that_is_not_there_says_so(run_folder: RunFolder) -> None:
    with pytest.raises(PoiseError, match="no archive") as caught:
        read_archive(run_folder.archive)
    assert caught.value.code == Exit.NOT_FOUND
    archive = Archive.open(run_folder.archive)
    for missing in (lambda: archive.candidate("c009"), lambda: archive.trial("x"), archive.run):
        with pytest.raises(PoiseError) as caught:
            missing()
        assert caught.value.code == Exit.NOT_FOUND


def test_a_view_for_reading_writes_nothing(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [])
    before = run_folder.archive.read_bytes()
    view: Any = read_archive(run_folder.archive)
    with pytest.raises(PoiseError, match="reading only"):
        view._database.table("candidates").insert({"id": "x"})
    assert run_folder.archive.read_bytes() == before
    assert not hasattr(view, "commit")


def test_numbers_that_are_not_finite_become_null(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([Change("candidates", "c000", {"overall": float("nan")})], [])
    assert archive.candidate("c000")["overall"] is None
    json.loads(run_folder.archive.read_text(), parse_constant=lambda name: pytest.fail(name))
