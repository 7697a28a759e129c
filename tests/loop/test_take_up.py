"""A run that is taken up again gets the budgets its user names, never less than it has spent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.archive.events import EventReader
from engine.archive.store import Archive
from engine.errors import Exit, PoiseError
from engine.loop.book import Book
from engine.loop.take_up import take_up
from tests.cli.conftest import write_run


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A finished run of two candidates besides the root; it took an hour, and half a dollar by the archive."""
    archive = Archive.open(write_run(tmp_path, "mine") / "archive.json")
    book = Book(archive)
    book.reopen_run()
    book.spend(wall_seconds=3600.0, llm_usd=0.5)
    yield book
    archive.close()


def refused(book: Book, tmp_path: Path, code: Exit, **wanted: float) -> str:
    before = book.run["budget"]
    with pytest.raises(PoiseError) as caught:
        take_up(book, wanted, tmp_path / "llm.jsonl")
    assert caught.value.code == code and book.run["budget"] == before
    return str(caught.value)


def test_named_budgets_are_in_the_run_document_and_told_and_others_stay(book: Book, tmp_path: Path) -> None:
    take_up(book, {"candidates": 5, "hours": None, "usd": 2.0}, tmp_path / "llm.jsonl")
    wanted = {"candidates": 5, "hours": None, "usd": 2.0}
    assert book.run["budget"] == wanted
    told = EventReader(tmp_path / "mine" / "events.jsonl").read()
    assert [e.data for e in told if e.kind == "run.updated"][-1] == {"budget": wanted, "closed": None}
    assert told[-1].data["message"] == "taken up with --candidates 5 --usd 2"
    take_up(book, {"hours": 1.5, "candidates": 6}, tmp_path / "llm.jsonl")
    assert book.run["budget"] == {"candidates": 6, "hours": 1.5, "usd": 2.0}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"candidates": 1}, "--candidates 1: run mine has used 2 already"),
        ({"candidates": 9, "hours": 0.5}, "--hours 0.5: run mine has used 1 already"),
        ({"candidates": 9, "usd": 0.4}, "--usd 0.4: run mine has used 0.5 already"),
        ({"hours": 3.0}, "run mine has its 2 candidates: give --candidates more"),
        ({"candidates": 9, "gpu_hours": 3.0}, "--gpu-hours 3: this machine has no NVIDIA GPU"),
    ],
)
def test_less_than_what_is_spent_is_one_line_and_changes_nothing(
    book: Book, tmp_path: Path, wanted: dict[str, float], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.loop.config.gpu_names", lambda: ())
    assert refused(book, tmp_path, Exit.USAGE, **wanted).startswith(says)


def test_calls_the_archive_does_not_know_of_count_and_so_do_those_left_open(book: Book, tmp_path: Path) -> None:
    lines = [{"id": "a", "usd": 0.7}, {"id": "b", "usd": 0.2}]
    (tmp_path / "llm.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    open_calls = {"b": {"usd": 5.0}, "c": {"usd": 1.0}}
    (tmp_path / "llm.reserved.json").write_text(json.dumps(open_calls))
    line = refused(book, tmp_path, Exit.USAGE, candidates=9, usd=1.8)
    assert line.endswith("has used 1.9 already: give that or more")
    take_up(book, {"candidates": 9, "usd": 1.9}, tmp_path / "llm.jsonl")


def test_the_slice_of_time_an_engine_died_in_is_charged_before_a_budget_is_compared(book: Book, tmp_path: Path) -> None:
    book.spend(wall_seconds=3600.0, reserved={"wall_seconds": 36.0, "trials": {}})
    assert "--hours 1.005: run mine has used 1.01" in refused(book, tmp_path, Exit.USAGE, candidates=9, hours=1.005)
    take_up(book, {"candidates": 9, "hours": 1.02}, tmp_path / "llm.jsonl")
    assert book.run["spent"]["wall_seconds"] == 3636.0, "charged once"


def test_a_finished_run_that_would_end_at_once_is_refused(book: Book, tmp_path: Path) -> None:
    assert refused(book, tmp_path, Exit.REFUSED).startswith("run mine is finished: extend it by `poise resume mine`")
    book.set_run(budget={**book.run["budget"], "hours": 1.0})
    line = refused(book, tmp_path, Exit.REFUSED, candidates=9)
    assert line == "run mine: budget of 1 h used: give it more hours too"


def test_a_run_that_was_stopped_is_taken_up_without_naming_anything(book: Book, tmp_path: Path) -> None:
    book.set_run_status("stopped")
    before = book.run["budget"]
    take_up(book, {"candidates": None}, tmp_path / "llm.jsonl")
    assert book.run["budget"] == before
