"""A long life: any commits, compactions, crashes and reopenings in any order; other formats; other readers."""

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tinydb import where

from engine.archive.check import check
from engine.archive.events import Event, EventReader, event_files, events_path
from engine.archive.folder import RunFolder
from engine.archive.store import Archive, Change, read_archive
from tests.archive.conftest import candidate, change

fields = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(-99, 99) | st.text(max_size=20), max_size=3)
changes = st.lists(st.tuples(st.sampled_from(["candidates", "trials"]), st.integers(0, 6), fields), max_size=4)


class Life(RuleBasedStateMachine):
    """The archive beside plain dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.path = self.place / "0" / "archive.json"
        self.path.parent.mkdir()
        self.archive = Archive.open(self.path, compact_bytes=2000)
        self.model: dict[str, dict[str, Any]] = {"candidates": {}, "trials": {}}
        self.told = 0
        self.reader = EventReader(self.path.with_name("events.jsonl"))
        self.seen: list[int] = []

    @rule(changes=changes, events=st.integers(0, 3))
    def commit(self, changes: Any, events: int) -> None:
        told = [Event("n", None, {"n": self.told + i}) for i in range(events)]
        self.archive.commit([Change(table, f"x{number}", values) for table, number, values in changes], told)
        self.told += events
        for table, number, values in changes:
            self.model[table].setdefault(f"x{number}", {}).update(values | {"id": f"x{number}"})

    @rule(number=st.integers(0, 6), values=fields)
    def change_by_tinydb(self, number: int, values: Any) -> None:
        self.archive.database.table("candidates").update(values, where("id") == f"x{number}")
        if f"x{number}" in self.model["candidates"]:
            self.model["candidates"][f"x{number}"].update(values)

    @rule(number=st.integers(0, 6))
    def remove_by_tinydb(self, number: int) -> None:
        self.archive.database.table("trials").remove(where("id") == f"x{number}")
        self.model["trials"].pop(f"x{number}", None)

    @rule()
    def compact(self) -> None:
        self.archive.compact()

    @rule()
    def reopen(self) -> None:
        self.archive.close()
        self.archive = Archive.open(self.path, compact_bytes=2000)

    @precondition(lambda self: len(os.listdir(self.place)) < 5)
    @rule()
    def crash(self) -> None:
        """The life goes on in a copy, which is what a kill would have left."""
        self.archive._join()
        copy = self.place / str(len(os.listdir(self.place)))
        shutil.copytree(self.path.parent, copy)
        self.archive.close()
        self.path = copy / "archive.json"
        self.archive = Archive.open(self.path, compact_bytes=2000)
        self.reader = EventReader(self.path.with_name("events.jsonl"))
        self.seen = []

    @invariant()
    def all_is_there(self) -> None:
        assert self.archive.damages == ()
        for view in (self.archive, read_archive(self.path)):
            for table, documents in (("candidates", view.candidates()), ("trials", view.trials())):
                assert {document["id"]: document for document in documents} == self.model[table]
        self.seen += [event.data["n"] for event in self.reader.read(500)]
        self.seen += [event.data["n"] for event in self.reader.read()]
        assert self.seen == list(range(self.told))

    def teardown(self) -> None:
        self.archive.close()
        shutil.rmtree(self.place)


Life.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
test_whatever_happens_the_archive_is_what_was_committed = Life.TestCase


def test_events_rotate_without_a_reader_losing_its_place_and_old_files_never_change(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    early, kept = EventReader(run_folder.events), {}
    seen: list[int] = []
    for number in range(60):
        archive.append_events([Event("n", None, {"n": number})])
        if number % 10 == 9:
            archive.compact()
            for generation in event_files(run_folder.path)[:-1]:
                data = events_path(run_folder.path, generation).read_bytes()
                assert kept.setdefault(generation, data) == data
        if number % 7 == 0:
            seen += [event.seq for event in early.read(100)]
    while more := early.read(100):
        seen += [event.seq for event in more]
    late = [event.seq for event in EventReader(run_folder.events).read()]
    assert seen == late == list(range(1, 61))
    assert len(kept) == 6
    assert early.dropped == 0
    archive.close()


def test_readers_see_whole_commits_while_the_archive_is_written_and_compacted(run_folder: RunFolder) -> None:
    """Each commit sets the same number in two documents."""
    archive = Archive.open(run_folder.archive, compact_bytes=5000)
    archive.commit([Change("candidates", id, {"n": 0}) for id in ("a", "b")], [])
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            a, b = (document["n"] for document in read_archive(run_folder.archive).candidates())
            seen.append((a, b))

    reader = threading.Thread(target=read)
    reader.start()
    number = 0
    while reader.is_alive() and (len(seen) < 100 or archive._journal.generation < 4):
        number += 1
        archive.commit([Change("candidates", id, {"n": number, "pad": "x" * 200}) for id in ("a", "b")], [])
    stop.set()
    reader.join()
    archive.close()
    assert len(seen) >= 100, "the reader did not fail"
    assert all(a == b for a, b in seen)
    assert seen == sorted(seen)


def former(folder: RunFolder, told: int) -> bytes:
    """An archive of the format before the journal, whose events.jsonl lacks the last ones."""
    events = [Event("n", f"c{i}", {"n": i}, i + 1, 1.5) for i in range(4)]
    tables = {
        "candidates": {"1": candidate(0), "2": candidate(1)},
        "run": {"1": {"id": "demo", "status": "running"}},
        "outbox": {str(i + 1): orjson.loads(event.line()) for i, event in enumerate(events[2:])},
    }
    folder.archive.write_bytes(orjson.dumps(tables))
    folder.events.write_bytes(b"".join(event.line() for event in events[:told]) + b'{"seq": 9, "torn')
    return b"".join(event.line() for event in events)


def test_an_archive_of_the_former_format_is_read_checked_and_converted_without_loss(run_folder: RunFolder) -> None:
    for told in (2, 3, 4):
        shutil.rmtree(run_folder.path)
        run_folder.path.mkdir()
        lines = former(run_folder, told)
        assert read_archive(run_folder.archive).candidates() == [candidate(0), candidate(1)]
        assert any("former format" in note for note in check(run_folder.path).notes)
        archive = Archive.open(run_folder.archive)
        assert archive.candidates() == [candidate(0), candidate(1)]
        assert archive.run()["status"] == "running"
        assert archive.damages == ()
        assert run_folder.events.read_bytes() == lines
        [event] = archive.commit([change("candidates", candidate(2))], [Event("n", "c4")])
        assert event.seq == 5
        archive.close()
        again = Archive.open(run_folder.archive)
        assert len(again.candidates()) == 3
        assert [event.seq for event in EventReader(run_folder.events).read()] == [1, 2, 3, 4, 5]
        assert check(run_folder.path).ok
        again.close()


def test_a_check_of_a_sound_archive_finds_nothing_and_changes_nothing(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(i)) for i in range(3)], [Event("log"), Event("log")])
    before = {path.name: path.read_bytes() for path in run_folder.path.iterdir() if path.is_file()}
    report = check(run_folder.path)
    assert (report.ok, report.problems, report.notes) == (True, (), ())
    assert report.writer == f"process {os.getpid()} on {os.uname().nodename}"
    assert report.documents == {"candidates": 3}
    assert [(j.generation, j.records, j.unfinished) for j in report.journals] == [(0, 1, 0)]
    assert (report.events.first, report.events.last, report.events.missing) == (1, 2, 0)
    assert report.filesystem
    assert {path.name: path.read_bytes() for path in run_folder.path.iterdir() if path.is_file()} == before
    archive.close()
    assert check(run_folder.path).writer is None
