"""What was acknowledged is there: documents and the events that tell of them, together or not at all."""

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import Archive, Change, NoSpace, read_archive
from engine.errors import Exit, PoiseError
from tests.archive.conftest import candidate, change, trial


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


def test_events_are_rebuilt_from_the_journal_wherever_they_were_cut(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001"), Event("log")])
    archive.close()
    whole = run_folder.events.read_bytes()
    for length in range(0, len(whole), 7):
        run_folder.events.write_bytes(whole[:length])
        Archive.open(run_folder.archive).close()
        assert run_folder.events.read_bytes() == whole
    run_folder.events.unlink()
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


def journal_of(folder: RunFolder, generation: int = 0) -> Path:
    return folder.path / f"archive.{generation:06d}.journal"


def test_a_commit_that_finds_no_space_changes_nothing_and_tells_nothing(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    before = journal_of(run_folder).read_bytes(), run_folder.events.read_bytes()
    with files_limited_to(len(before[0]) + 10), pytest.raises(NoSpace, match="no space left"):
        archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001")])
    assert (journal_of(run_folder).read_bytes(), run_folder.events.read_bytes()) == before
    assert archive.candidates() == [candidate(0)]
    archive.commit([change("candidates", candidate(1))], [Event("candidate.created", "c001")])
    assert [(e.seq, e.node) for e in EventReader(run_folder.events).read()] == [(1, "c000"), (2, "c001")]


def test_events_that_found_no_space_are_written_when_there_is_some(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.append_events([Event("log")])
    handle = archive._events._handle
    real, full = os.dup(handle), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handle)
    archive.commit([change("candidates", candidate(0))], [Event("candidate.created", "c000")])
    assert len(EventReader(run_folder.events).read()) == 1
    assert archive.candidates() == read_archive(run_folder.archive).candidates() == [candidate(0)]
    os.dup2(real, handle)
    archive.append_events([Event("log")])
    kinds = [(e.seq, e.kind) for e in EventReader(run_folder.events).read()]
    assert kinds == [(1, "log"), (2, "candidate.created"), (3, "log")]
    os.close(real)
    os.close(full)


@pytest.mark.fault(9)
def test_a_second_writer_is_refused_and_readers_are_not(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(0))], [])
    with pytest.raises(PoiseError, match=f"being written by process {os.getpid()} on") as caught:
        Archive.open(run_folder.archive)
    assert caught.value.code == Exit.REFUSED
    assert read_archive(run_folder.archive).candidates() == [candidate(0)]
    archive.close()
    Archive.open(run_folder.archive).close()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"candidates": 3}', b"\x00" * 100])
def test_a_damaged_archive_is_one_clear_line(run_folder: RunFolder, damage: bytes) -> None:
    run_folder.archive.write_bytes(damage)  # and no journal beside it
    with pytest.raises(PoiseError, match=r"archive\.json is (damaged|no archive)"):
        Archive.open(run_folder.archive)
    assert run_folder.archive.read_bytes() == damage


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
        view.database.table("candidates").insert({"id": "x"})
    assert run_folder.archive.read_bytes() == before
    assert not hasattr(view, "commit")


def test_numbers_that_are_not_finite_become_null(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([Change("candidates", "c000", {"overall": float("nan")})], [])
    assert archive.candidate("c000")["overall"] is None
    archive.close()
    json.loads(run_folder.archive.read_text(), parse_constant=lambda name: pytest.fail(name))
