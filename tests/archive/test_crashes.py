"""Kill the writer, or cut the power, at every single call that changes a file: the old state or the new one."""

import errno
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tinydb import TinyDB

from engine.archive.events import Event, EventReader
from engine.archive.store import Archive, Change, NoSpace, ReadOnlyArchive, read_archive
from engine.archive.writer_lock import release_lock
from engine.errors import PoiseError
from tests.archive.crashes import Crash, Recorder


def documents(count: int) -> dict[str, Any]:
    """The candidates after so many commits: the last of three is updated by each third commit."""
    found: dict[str, Any] = {}
    for number in range(count):
        apply(found, number)
    return found


def apply(found: dict[str, Any], number: int) -> None:
    id = f"c{number - number % 3:03d}" if number % 3 == 2 else f"c{number:03d}"
    found.setdefault(id, {"id": id})["text"] = f"{number}" * 40


def commit(archive: Archive, recorder: Recorder, number: int) -> None:
    found = documents(number + 1)
    before = documents(number)
    [changed] = [document for id, document in found.items() if before.get(id) != document]
    archive.commit([Change("candidates", changed["id"], changed)], [Event("n", changed["id"], {"n": number})])
    recorder.acknowledged = number + 1


def live(path: Path, recorder: Recorder) -> None:
    """A life with everything in it: begin, commit, compact, commit while compacting, close, reopen."""
    archive = Archive.open(path)
    for number in range(4):
        commit(archive, recorder, number)
    archive.compact()
    for number in range(4, 7):
        commit(archive, recorder, number)
    archive._roll()
    for number in range(7, 9):
        commit(archive, recorder, number)
    archive.close()
    archive = Archive.open(path)
    commit(archive, recorder, 9)
    archive.compact()
    commit(archive, recorder, 10)
    archive.close()


def verify(crash: Crash, folder: Path) -> None:
    """Open what a crash left: all that was acknowledged is there, and at most the commit that was under way."""
    path = crash.put(folder) / "archive.json"
    by_count = {count: documents(count) for count in (crash.acknowledged, crash.acknowledged + 1)}
    if path.exists():  # a reader that comes first
        seen = {document["id"]: document for document in read_archive(path).candidates()}
        assert seen in by_count.values(), crash.where
    archive = Archive.open(path)
    assert all(damage.tail for damage in archive.damages), (crash.where, archive.damages)
    found = {document["id"]: document for document in archive.candidates()}
    assert found in by_count.values(), crash.where
    count = next(count for count, expected in by_count.items() if expected == found)
    events = [event for event in EventReader(folder / "events.jsonl").read() if event.kind == "n"]
    assert [event.data["n"] for event in events] == list(range(count)), crash.where
    archive.commit([Change("candidates", "after", {"text": "x"})], [Event("after")])
    archive.close()
    again = Archive.open(path)
    assert again.candidates() == archive.candidates()
    assert not again.damages
    again.close()
    with TinyDB(path, access_mode="r") as stock:
        assert len(stock.table("candidates")) == len(found) + 1


@pytest.mark.fault(2, 3, 6)
def test_a_crash_at_any_call_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with Recorder(tmp_path / "run").watching() as recorder:
        live(tmp_path / "run" / "archive.json", recorder)
    kinds = Counter(crash.where.split(",")[0] for crash in recorder.crashes.values())
    assert kinds["killed"] > 50, "the recorder saw the calls"
    assert kinds["power cut"] > 50
    assert kinds["killed in the middle of a write"] > 10
    for number, crash in enumerate(recorder.crashes.values()):
        verify(crash, tmp_path / f"crash{number}")


@pytest.mark.fault(3, 6)
def test_events_reach_the_disk_though_the_compaction_that_was_to_care_for_them_never_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine is killed before its compaction begins; the next one compacts, and the power goes."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "archive.json"
    with Recorder(tmp_path / "run").watching() as recorder:
        killed = Archive.open(path)
        for number in range(3):
            commit(killed, recorder, number)
        with monkeypatch.context() as patch:
            patch.setattr(Archive, "_compact", lambda *_: None)
            killed._roll()
        for number in range(3, 5):
            commit(killed, recorder, number)
        release_lock(killed._lock)
        archive = Archive.open(path)
        commit(archive, recorder, 5)
        archive.compact()
    for how, crash in enumerate(recorder.now):
        verify(crash, tmp_path / f"crash{how}")


@pytest.mark.fault(2, 7, 8)
@pytest.mark.parametrize(
    ("call", "code"), [("sync", errno.EIO), ("pwrite", errno.EIO), ("pwrite", errno.ENOSPC), ("open", errno.ENOSPC)]
)
def test_a_disk_that_fails_at_any_call_loses_nothing_acknowledged(tmp_path: Path, call: str, code: int) -> None:
    """Each call fails once; what was acknowledged is there afterwards, and nothing that was refused counts twice."""
    outcomes: Counter[str] = Counter()
    for number in itertools.count():
        folder = tmp_path / str(number)
        folder.mkdir()
        with Recorder(folder, fail=(call, number, code)).watching() as recorder:
            outcomes[attempt(folder / "archive.json", recorder)] += 1
        if not recorder.failed:
            break
        for how, crash in enumerate(recorder.now):
            verify(crash, tmp_path / f"{number} after {how}")
    if code == errno.EIO:
        assert outcomes["read-only"] > 5
        assert not outcomes["no space"]
    else:
        assert outcomes["no space"] + outcomes["went on"] > 5
        assert not outcomes["read-only"]


def attempt(path: Path, recorder: Recorder) -> str:
    try:
        live(path, recorder)
    except ReadOnlyArchive:
        return "read-only"
    except NoSpace:
        return "no space"
    except PoiseError:
        return "not opened"
    return "went on"
