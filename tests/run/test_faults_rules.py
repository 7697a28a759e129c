"""The rules behind the faults: what is started again and how often, what is taken over, what is obeyed once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.archive.store import Archive, NoSpace, ReadOnlyArchive, read_archive
from engine.errors import PoiseError
from engine.loop.book import Book
from engine.loop.commands import read_command
from engine.loop.runner import taken_over, unusable
from engine.loop.steering import Steering
from engine.loop.supervise import begin, verdict

TRIAL: dict[str, Any] = {"trained": False, "cause": None, "starts": 1, "reached": 0}


def result(reason: str | None, status: str = "killed", cause: str = "it ended") -> dict[str, Any]:
    return {"status": status, "cause": cause, "reason": reason}


@pytest.mark.parametrize("reason", ["killed", "hung", "server", "grader"])
def test_what_ended_from_outside_is_started_again_a_capped_number_of_times(reason: str) -> None:
    trial, starts = dict(TRIAL, starts=0, reached=-1), 0
    while True:
        fields, refused = begin(trial, 0, retries=3)
        assert refused is None
        trial |= fields
        starts += 1
        judged = verdict(trial, result(reason), 3, waiting=False)
        if judged.act != "again":
            break
    assert starts == 4
    assert (judged.act, judged.cause) == ("failed", "it ended (given up after 4 starts without progress)")


def test_a_training_that_came_further_has_all_its_starts_again() -> None:
    trial = dict(TRIAL, starts=4, reached=16)
    assert begin(trial, 32, retries=3) == ({"starts": 1, "reached": 32}, None)
    assert begin(trial, 16, retries=3)[1] == "given up after 4 starts without progress"


def test_memory_is_tried_once_with_half_the_micro_batch_and_then_the_candidate_is_infeasible() -> None:
    first = verdict(TRIAL, result("memory", "failed", "out of memory"), 3, waiting=False)
    assert (first.act, first.fields["micro_batches"]) == ("again", 2)
    second = verdict(TRIAL | first.fields, result("memory", "failed", "out of memory"), 3, waiting=False)
    assert (second.act, second.cause) == ("infeasible", "out of memory, also with micro-batches of 1/2 the size")
    whole = result("indivisible", "failed", "a smaller micro-batch is not possible: X works on it as a whole")
    refused = verdict(TRIAL | first.fields, whole, 3, waiting=False)
    assert refused.act == "infeasible"
    assert refused.cause == "out of memory; a smaller micro-batch is not possible: X works on it as a whole"


@pytest.mark.parametrize("reason", ["diverged", "time", None])
def test_what_would_come_again_is_not_tried_again(reason: str | None) -> None:
    assert verdict(TRIAL, result(reason, "failed"), 3, waiting=False).act == "failed"


def test_a_pause_costs_no_start() -> None:
    for reason in ("asked", "killed", "hung"):
        judged = verdict(TRIAL, result(reason), 3, waiting=True)
        assert (judged.act, judged.fields) == ("aside", {"starts": 0})
    assert verdict(TRIAL, result(None, "paused"), 3, waiting=False).act == "aside"


JOB = {"id": "c001-search-0", "kind": "score", "adapter_sha256": "a1", "protocol": "p1", "score_seed": 7, "gpu": 0}


@pytest.mark.parametrize(
    ("change", "known"),
    [({}, True), ({"gpu": 1}, True), ({"adapter_sha256": "b2"}, False), ({"protocol": "p2"}, False),
     ({"score_seed": 8}, False)],
)  # fmt: skip
def test_scores_on_the_disk_are_taken_over_if_they_are_of_this_adapter_and_protocol(
    tmp_path: Path, change: dict[str, Any], known: bool
) -> None:
    job = {**JOB, "folder": str(tmp_path)}
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert taken_over(job) is None, "it had not ended"
    done = {"status": "done", "cause": None, "data": {"overall": 30.0, "benchmarks": {}}}
    (tmp_path / "result.json").write_text(json.dumps(done))
    found = taken_over({**job, **change})
    assert (found is not None) == known
    if found is not None:
        assert found["data"]["overall"] == 30.0


@pytest.mark.parametrize("overall", [None, "30", float("nan"), float("inf"), -1.0, 101.0])
def test_what_is_no_score_is_never_a_score(overall: Any) -> None:
    rest = {"benchmarks": {}, "standard_error": 1.0, "responses": {}}
    assert unusable({"overall": overall, **rest}) is not None
    assert unusable({"overall": 30.0, **rest}) is None
    assert unusable({"overall": 30.0, **rest, "standard_error": float("nan")}) is not None


def book(tmp_path: Path) -> tuple[Archive, Book]:
    archive = Archive.open(tmp_path / "archive.json")
    made = Book(archive)
    made.open_run({"id": "r", "status": "running", "spent": {}})
    return archive, made


def test_what_finds_no_space_waits_in_order_and_is_written_as_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, ours = book(tmp_path)

    def full(*_: object) -> None:
        raise NoSpace(tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "commit", full)
        patch.setattr(archive, "append_events", full)
        ours.create_candidate({"id": "c000", "status": "queued", "parent": None})
        ours.set_status("c000", "training")
        ours.log("hello")
        assert (ours.waiting, ours.flush()) == (3, False)
        assert ours.candidates["c000"]["status"] == "training", "the engine itself knows"
    ours.set_status("c000", "scoring")
    assert ours.waiting == 4, "what comes later does not overtake"
    assert ours.flush() and ours.waiting == 0
    archive.close()
    assert read_archive(tmp_path / "archive.json").candidate("c000")["status"] == "scoring"
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [e["data"].get("status") or e["kind"] for e in told] == ["running", "queued", "training", "log", "scoring"]


def test_a_broken_archive_is_written_to_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, ours = book(tmp_path)

    def broken(*_: object) -> None:
        raise ReadOnlyArchive(tmp_path, "fsync: Input/output error")

    monkeypatch.setattr(archive, "append_events", broken)
    with pytest.raises(ReadOnlyArchive):
        ours.log("hello")
    with pytest.raises(ReadOnlyArchive):
        ours.flush()
    assert ours.broken is not None
    archive.close()


class Pinned:
    """As much of an engine as pinning needs."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.study_only = False
        self.book = SimpleNamespace(
            run={"id": "r"},
            candidates={"c001": {"id": "c001", "name": "x"}},
            update=lambda *_, **fields: None,
            tell=lambda kind, node, data: self.told.append(data),
        )

    async def notify(self) -> None:
        pass


async def test_a_command_that_is_sent_twice_is_obeyed_once_and_says_who_sent_it() -> None:
    engine = Pinned()
    steering = Steering(engine)  # type: ignore[arg-type]
    for _ in range(2):
        assert await steering.handle("pin", {"node": "c001", "by": "cli", "id": "k1", "uid": 0}) == {}
    assert engine.told == [{"command": "pin", "node": "c001", "by": "cli", "user": "root", "id": "k1", "answer": {}}]
    await steering.handle("pin", {"node": "c001", "by": "cli", "id": "k2", "uid": 0})
    assert len(engine.told) == 2
    for _ in range(2):  # a refusal is remembered too
        with pytest.raises(PoiseError, match="no candidate 'c9'"):
            await steering.handle("pin", {"node": "c9", "id": "k3"})


@pytest.mark.parametrize(
    ("command", "fields", "why"),
    [
        ("explode", {}, "unknown command 'explode'"),
        ("prune", {}, "prune needs a node"),
        ("pause", {"node": 3}, "pause: node: "),
        ("pause", {"force": True}, "pause: force: "),
        ("ping", {"by": "x" * 65}, "ping: by: "),
    ],
)
def test_a_command_that_is_none_is_refused_in_one_line(command: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(PoiseError) as refused:
        read_command(command, fields)
    assert str(refused.value).startswith(why) and "\n" not in str(refused.value)
    assert refused.value.code == 2
