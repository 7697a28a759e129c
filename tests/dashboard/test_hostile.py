"""Nothing that a candidate, a model or a broken disk writes can steer the terminal or end the dashboard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from poise_tui.app import PoiseApp
from poise_tui.feed import FolderFeed
from poise_tui.format import UNICODE, many_lines, one_line
from poise_tui.run_files import read_code, read_samples
from poise_tui.store import Store
from poise_tui.widgets import detail_text
from tests.dashboard import recorded
from tests.dashboard.recorded import HOSTILE, screen, until

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = sorted({e.kind for e in recorded.events()} | {"decision", "run.updated", "llm.call", "unknown"})


SEQUENCES = st.lists(st.sampled_from(["\x1b[31m", "\x1b]0;t\x07", "\x9b2J", "a", "\n", "\u202e"])).map("".join)


@given(text=st.text() | SEQUENCES)
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert one_line(text).isprintable()
    assert all(line.isprintable() for line in many_lines(text).split("\n"))


def test_terminal_sequences_vanish_with_their_parameters() -> None:
    assert one_line("a\x1b[1;31mb\x1b]8;;http://x\x07c\x1b[0m") == "abc"


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_events_of_any_shape_never_end_the_feed(data: st.DataObject) -> None:
    store = Store()
    history = recorded.events()
    for event in history:
        keys = st.sampled_from(sorted(event.data)) if event.data else st.just("x")
        if data.draw(st.integers(0, 9)) == 0:
            broken = {**event.data, data.draw(keys): data.draw(JSON)}
            event = Event(data.draw(st.sampled_from(KINDS)), event.node, broken, event.seq, event.time)
        store.fold([event])
    snapshot = store.snapshot()
    for candidate in snapshot.candidates.values():
        detail_text.idea(candidate, snapshot)
        detail_text.scores(candidate, snapshot)
        detail_text.reflection(candidate)


async def test_markup_and_escapes_of_a_candidate_are_shown_as_plain_text(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    folder.candidate("c003").algorithm.write_text(f"# {HOSTILE}\n")
    app = PoiseApp(folder=folder)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: "c003 quick [bold]fix[/]" in screen(app), "the name in the tree")
        await pilot.press("G", "k")
        await until(pilot, lambda: "quick [bold]fix[/]   keeps work alive" in screen(app), "the hypothesis")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "# quick [bold]fix[/]" in screen(app), "the code")
        await pilot.press("x")
        await until(pilot, lambda: "Prune c003 quick [bold]fix[/]" in screen(app), "the question")
        assert not {"\x1b", "\u202e"} & set(screen(app))


def test_files_that_are_no_files_read_as_nothing(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    algorithm, samples = folder.candidate("c001").algorithm, folder.trial("c000-search-0").samples
    algorithm.unlink()
    algorithm.symlink_to(secret)
    samples.unlink()
    os.mkfifo(samples)
    assert read_code(folder, "c001") is None and read_samples(folder, "c000-search-0") == ()


def test_broken_samples_are_left_out_and_huge_files_are_read_in_part(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    samples = folder.trial("c000-search-0").samples
    whole = samples.read_bytes()
    samples.write_bytes(b"x" * 5_000_000 + b"\n[1]\n{}\n" + whole + whole[:40])
    folder.candidate("c000").algorithm.write_bytes(b"\xff" * 5_000_000)
    assert [s.completion for s in read_samples(folder, "c000-search-0")] == [f"9#{i}" for i in range(8)]
    code = read_code(folder, "c000")
    assert code is not None and len(code) < 300_000


@pytest.mark.parametrize("lock", [b"", b"{", b'{"pid": "x"}', b"\x00" * 100_000])
def test_an_unreadable_lock_is_a_dead_run(tmp_path: Path, lock: bytes) -> None:
    folder = recorded.write(tmp_path, status="running")
    folder.lock.write_bytes(lock)
    run = FolderFeed(folder).poll().run
    assert run is not None and run.shown == "dead"


def test_a_completion_is_shown_with_what_it_earned(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    text = detail_text.samples(read_samples(folder, "c000-search-0")).plain
    assert "update 4: 1 of 8 correct, reward 1.00" in text and "add: 4+5=" in text
    assert "9#0" in text and "+1.50" in text and "correct 1.00 format 4.00 brevity 0.80" in text


def folder_with(tmp_path: Path, **fields: Any) -> RunFolder:
    folder = recorded.write(tmp_path)
    event = Event("candidate.updated", "c001", fields, 10_000, recorded.START + 52)
    with folder.events.open("ab") as file:
        file.write(event.line())
    return folder


async def test_wide_characters_do_not_push_the_scores_out_of_line(tmp_path: Path) -> None:
    app = PoiseApp(folder=folder_with(tmp_path, name="探索" * 30))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "探索" in screen(app) and "+26.5" in screen(app), "the name and the scores")
        for line in screen(app).splitlines():
            assert "探" not in line or UNICODE.ellipsis in line
