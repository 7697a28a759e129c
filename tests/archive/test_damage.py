"""Bytes flipped, zeroed or cut by a disk: what is good is kept, what is lost is told, nothing is invented."""

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.archive.check import check
from engine.archive.events import Event, EventReader
from engine.archive.journal import HEADER, encode, scan
from engine.archive.recovery import PREVIOUS, Damage
from engine.archive.store import Archive, Change, read_archive
from engine.errors import PoiseError

COMMITS = 12


def write(folder: Path, number: int, archive: Archive) -> None:
    id = f"c{number % 5}"
    archive.commit([Change("candidates", id, {"n": number, "text": "x" * 50})], [Event("n", id, {"n": number})])


def crashed(folder: Path) -> Path:
    """An archive as a killed writer leaves it: two snapshots, journals 0 (kept), 1 (kept) and 2 with 4 commits."""
    folder.mkdir()
    archive = Archive.open(folder / "archive.json")
    for number in range(COMMITS):
        if number in (4, 8):
            archive.compact()
        write(folder, number, archive)
    os.close(archive._lock)
    (folder / "archive.lock").unlink()  # it names this process, which lives on
    return folder


def states() -> list[Any]:
    found: dict[str, Any] = {}
    history = [{}]
    for number in range(COMMITS):
        found = {**found, f"c{number % 5}": number}
        history.append(found)
    return history


HISTORY = states()


def state(archive: Any) -> Any:
    return {document["id"]: document["n"] for document in archive.candidates()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crashed(tmp_path_factory.mktemp("sound") / "run")


def fresh_copy(sound: Path, tmp_path: Path) -> Path:
    folder = tmp_path / os.urandom(6).hex()
    shutil.copytree(sound, folder)
    return folder


def test_the_crashed_archive_is_whole(sound: Path, tmp_path: Path) -> None:
    folder = fresh_copy(sound, tmp_path)
    names = {"archive.000001.journal", "archive.000002.journal", "events-000001.jsonl", "events-000002.jsonl"}
    assert names < set(os.listdir(folder))
    archive = Archive.open(folder / "archive.json")
    assert (state(archive), archive.damages) == (HISTORY[-1], ())


def records(folder: Path, generation: int) -> list[tuple[int, int]]:
    data = (folder / f"archive.{generation:06d}.journal").read_bytes()
    return [(record.start, record.end) for record in scan(data, generation, generation * 4).records]


@pytest.mark.fault(4)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(how=st.sampled_from(["flip", "zero", "cut", "noise", "append"]), at=st.floats(0, 1), size=st.integers(1, 300))
def test_a_damaged_end_is_cut_back_to_the_last_good_commit_and_told(
    sound: Path, tmp_path: Path, how: str, at: float, size: int
) -> None:
    """Damage from one byte of the last record on (or behind it)."""
    folder = fresh_copy(sound, tmp_path)
    path = folder / "archive.000002.journal"
    data = bytearray(path.read_bytes())
    start, end = records(folder, 2)[-1]
    place = start + int(at * (end - start - 1))
    if how == "flip":
        data[place] ^= 1 << size % 8
    elif how == "zero":
        data[place:] = bytes(end - place + size)
    elif how == "cut":
        del data[place:]
    elif how == "noise":
        data[place:] = os.urandom(end - place + size)
    else:
        data += os.urandom(size) if size % 2 else bytes(size)
    path.write_bytes(data)
    whole = how == "append" or data[:end] == (sound / path.name).read_bytes()
    assert state(read_archive(folder / "archive.json")) == HISTORY[COMMITS - (not whole)]
    report = check(folder)
    archive = Archive.open(folder / "archive.json")
    assert state(archive) == HISTORY[COMMITS - (not whole)]
    told = [event.data["message"] for event in EventReader(folder / "events.jsonl").read() if event.kind == "log"]
    if len(data) != start:  # cut to nothing is only seen by the events that are ahead
        assert [damage.tail for damage in archive.damages] == [True]
        assert "no whole record" in told[0]
        assert any("no whole record" in problem for problem in report.problems)
    if not whole:
        assert any("events 12 to 12 are not in the journal" in line for line in told)
        assert not report.ok
    assert_next_is_good(folder, archive)


@pytest.mark.fault(5)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    how=st.sampled_from(["flip", "zero", "noise", "remove", "insert"]),
    victim=st.integers(0, 2),
    at=st.floats(0, 1),
    size=st.integers(1, 60),
)
def test_damage_in_the_middle_loses_only_the_commits_it_hit_and_is_told(
    sound: Path, tmp_path: Path, how: str, victim: int, at: float, size: int
) -> None:
    folder = fresh_copy(sound, tmp_path)
    path = folder / "archive.000002.journal"
    data = bytearray(path.read_bytes())
    start, end = records(folder, 2)[victim]
    place = start + int(at * (end - start - 1))
    last = min(place + size, end)
    if how == "flip":
        data[place] ^= 1 << size % 8
    elif how == "zero":
        data[place:last] = bytes(last - place)
    elif how == "noise":
        data[place:last] = os.urandom(last - place)
    elif how == "remove":
        del data[place:last]
    else:
        data[place:place] = b"\xff" * size
    damaged = bytes(data)
    path.write_bytes(damaged)
    lost = 0 if how == "insert" and place == start else 1
    if damaged == (sound / path.name).read_bytes():
        return
    expected = dict(HISTORY[8])
    for number in range(8, COMMITS):
        if not (lost and number == 8 + victim):
            expected[f"c{number % 5}"] = number
    assert state(read_archive(folder / "archive.json")) == expected
    assert not check(folder).ok
    archive = Archive.open(folder / "archive.json")
    assert state(archive) == expected
    [damage] = archive.damages
    assert (damage.records, damage.tail) == (lost, False)
    [kept] = [name for name in os.listdir(folder) if name.startswith(path.name + ".damaged-")]
    assert (folder / kept).read_bytes() == damaged, "the damaged file is kept as it was"
    told = [event.data["message"] for event in EventReader(folder / "events.jsonl").read() if event.kind == "log"]
    assert f"{lost} commits lost" in told[0]
    assert_next_is_good(folder, archive)


def assert_next_is_good(folder: Path, archive: Archive) -> None:
    """It goes on as if nothing had been, with numbers that were never used."""
    before = EventReader(folder / "events.jsonl").read()
    write(folder, 99, archive)
    expected = state(archive)
    archive.close()
    again = Archive.open(folder / "archive.json")
    assert (state(again), again.damages) == (expected, ())
    again.close()
    events = EventReader(folder / "events.jsonl").read()
    assert events[:-1] == before
    assert events[-1].seq > COMMITS


@pytest.mark.fault(5)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(at=st.floats(0, 1), size=st.integers(1, 400), how=st.sampled_from(["flip", "zero", "cut", "remove"]))
def test_a_damaged_snapshot_is_made_good_from_the_one_before_and_the_journal(
    sound: Path, tmp_path: Path, at: float, size: int, how: str
) -> None:
    folder = fresh_copy(sound, tmp_path)
    path = folder / "archive.json"
    data = bytearray(path.read_bytes())
    place = int(at * (len(data) - 1))
    if how == "flip":
        data[place] ^= 1
    elif how == "zero":
        data[place : place + size] = bytes(len(data[place : place + size]))
    elif how == "cut":
        del data[place:]
    else:
        path.unlink()
    if how != "remove":
        path.write_bytes(data)
    assert state(read_archive(path)) == HISTORY[-1]
    archive = Archive.open(path)
    assert state(archive) == HISTORY[-1]
    [damage] = archive.damages
    assert f"put together from {PREVIOUS}" in str(damage)
    assert_next_is_good(folder, archive)


def test_a_snapshot_that_nothing_stands_in_for_says_what_is_left(sound: Path, tmp_path: Path) -> None:
    folder = fresh_copy(sound, tmp_path)
    (folder / "archive.json").write_bytes(b"{")
    (folder / PREVIOUS).unlink()
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder) if name != "archive.lock"}
    with pytest.raises(PoiseError, match=r"is damaged.*restore it from a copy; the journals.*4 commits.*events.jsonl"):
        Archive.open(folder / "archive.json")
    assert "restore it from a copy" in check(folder).problems[0]
    assert {name: (folder / name).read_bytes() for name in before} == before, "nothing was touched"


@pytest.mark.fault(5)
def test_a_missing_journal_is_told(sound: Path, tmp_path: Path) -> None:
    folder = fresh_copy(sound, tmp_path)
    (folder / "archive.000002.journal").unlink()
    archive = Archive.open(folder / "archive.json")
    assert state(archive) == HISTORY[8]
    assert any("archive.000002.journal is missing" in str(damage) for damage in archive.damages)
    assert_next_is_good(folder, archive)


def test_events_that_somebody_changed_are_rebuilt_and_kept_as_they_were(sound: Path, tmp_path: Path) -> None:
    folder = fresh_copy(sound, tmp_path)
    path = folder / "events-000002.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"n":9', b'"n":7'))
    reader = EventReader(folder / "events.jsonl")
    reader.read()
    archive = Archive.open(folder / "archive.json")
    assert path.read_bytes().startswith(whole)
    assert [event.kind for event in reader.read()] == ["log"], "a reader keeps its place"
    assert len([name for name in os.listdir(folder) if name.startswith("events-000002.jsonl.damaged-")]) == 1
    archive.close()


def test_zeros_and_other_generations_are_no_records() -> None:
    assert not scan(bytes(5000), 1, 0).records
    assert not scan(encode(1, 1, b"{}"), 2, 0).records
    assert not scan(HEADER.pack(b"PJ1\n", 1, 0, 1) + struct.pack("<I", zlib.crc32(b"")), 1, 0).records
    twice = encode(1, 1, b"{}") * 2
    assert len(scan(twice, 1, 0).records) == 1, "nothing is applied twice"


def test_a_damage_reads_as_one_line(sound: Path, tmp_path: Path) -> None:
    assert str(Damage("a line", tmp_path)) == "a line"
