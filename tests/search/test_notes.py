"""The researcher's notes reach the prompt bounded and as plain text."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.search.notes import LARGEST, read_notes


def test_notes_are_told_under_their_names_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.pdf").write_text("no text")
    assert read_notes(tmp_path, 1000) == "## a.txt\nfirst\n\n## b.md\nsecond"


def test_no_folder_no_notes(tmp_path: Path) -> None:
    assert read_notes(None, 1000) == ""
    assert read_notes(tmp_path / "gone", 1000) == ""


def test_a_note_that_cannot_be_used_is_named_and_hides_no_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.md")
    (tmp_path / "b.md").write_text("x" * (LARGEST + 1))
    (tmp_path / "c.md").write_text("kept")
    told = read_notes(tmp_path, 10_000)
    assert told.count("left out") == 2
    assert told.endswith("## c.md\nkept")


def test_a_note_brings_no_escape_sequences(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("plain \x1b[31mred\x1b[0m \x07bell")
    assert read_notes(tmp_path, 100) == "## a.md\nplain red bell"


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(0, 500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_notes_never_exceed_their_room(tmp_path: Path, texts: list[str], room: int) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.md").write_text(text, encoding="utf-8", errors="replace")
    assert len(read_notes(tmp_path, room)) <= room
