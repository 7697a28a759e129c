"""Readers follow a growing file cheaply and survive whatever happens to it."""

import json
import os
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.archive.events import Event, EventReader, JsonLinesReader, LinesReader, last_events


def line(seq: int) -> bytes:
    return Event("log", None, {"n": seq}, seq, 1.0).line()


def test_the_newest_events_of_a_kind_are_found_from_the_end_whatever_the_lines_between(tmp_path: Path) -> None:
    kinds = ["steering", "log", "steering", "steering"]
    lines = [Event(kind, None, {"n": i, "kind": "steering"}, i, 1.0).line() for i, kind in enumerate(kinds)]
    (tmp_path / "events.jsonl").write_bytes(lines[0] + b'not json "kind":"steering"\n' + lines[1])
    (tmp_path / "events-000001.jsonl").write_bytes(lines[2] + lines[3] + b'{"seq":9,"kind":"steering","no')
    assert [e.seq for e in last_events(tmp_path, "steering", 9)] == [3, 2, 0]
    assert [e.seq for e in last_events(tmp_path, "steering", 2)] == [3, 2]
    assert last_events(tmp_path / "missing", "steering", 2) == []


def test_an_event_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    event = Event("candidate.created", "c001", {"overall": 31.5, "seeds": [1]}, 1, 12.5)
    path.write_bytes(event.line())
    assert EventReader(path).read() == [event]
    assert list(json.loads(event.line())) == ["seq", "time", "kind", "node", "data"]


def test_a_file_that_comes_later_is_read_when_it_is_there(tmp_path: Path) -> None:
    reader = EventReader(tmp_path / "events.jsonl")
    assert reader.read() == []
    (tmp_path / "events.jsonl").write_bytes(line(1))
    assert [event.seq for event in reader.read()] == [1]
    assert reader.read() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 200), max_size=30), st.one_of(st.none(), st.integers(1, 400)), st.integers(1, 12))
def test_however_the_file_grows_each_event_comes_once_and_in_order(
    tmp_path: Path, cuts: list[int], max_bytes: int | None, count: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    whole = b"".join(line(seq) for seq in range(1, count + 1))
    reader, seen, written = EventReader(path), [], 0
    for cut in [*cuts, len(whole)]:
        with path.open("ab") as file:
            file.write(whole[written : written + cut])
        written += cut
        seen += reader.read(max_bytes)
    while more := reader.read(max_bytes):
        seen += more
    assert [event.seq for event in seen] == list(range(1, count + 1))
    assert reader.dropped == 0


def test_a_torn_tail_that_recovery_cuts_and_writes_anew_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + line(2)[:10])
    reader = EventReader(path)
    assert [event.seq for event in reader.read()] == [1]
    path.write_bytes(line(1) + line(2))
    assert [event.seq for event in reader.read()] == [2]


def test_a_rebuilt_file_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + line(2))
    reader = EventReader(path)
    reader.read()
    for rebuilt in (line(1), line(1) + line(2) + line(3)):
        (tmp_path / "new").write_bytes(rebuilt)
        os.replace(tmp_path / "new", path)
        seen = [event.seq for event in reader.read()]
    assert seen == [3]


def test_lines_that_are_no_events_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    bad = [b"\n", b"nonsense\n", b"[1]\n", b'{"seq": 2}\n', b"\x00\x00\n", b'{"seq": "x"}\n']
    path.write_bytes(line(1) + b"".join(bad) + line(3))
    reader = EventReader(path)
    assert [event.seq for event in reader.read()] == [1, 3]
    assert reader.dropped == len(bad)


def test_a_line_without_end_costs_no_memory_and_the_next_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = LinesReader(path, max_line=100)
    largest = 0
    with path.open("ab") as file:
        file.write(b"first\n" + b"x" * 1000)
        file.flush()
        assert reader.read(500) == [b"first"]
        for _ in range(5):
            file.write(b"y" * 1000)
            file.flush()
            largest = max(largest, sum(map(len, reader.read(500))))
        file.write(b"\nlast\n")
    lines = []
    for _ in range(20):
        lines += reader.read(500)
    assert (lines, reader.dropped, largest) == ([b"last"], 1, 0)


def test_pipes_links_and_folders_read_as_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "target").write_bytes(line(1))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("pipe", "link", "."):
        assert EventReader(tmp_path / name).read() == []


def test_samples_are_ordered_by_the_number_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"time": t}) + b"\n" for t in (1.5, 1.0, 2.5)))
    assert [value["time"] for value in JsonLinesReader(path, order="time").read()] == [1.5, 2.5]
    assert [value["time"] for value in JsonLinesReader(path).read()] == [1.5, 1.0, 2.5]
