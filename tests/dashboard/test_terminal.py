"""Terminals as they are: colours, glyphs, multiplexers."""

from __future__ import annotations

import base64
import locale
import re

import pytest

from poise_tui.cells import ASCII, BLOCK, BRAILLE, Cell
from poise_tui.format import choose_glyphs
from poise_tui.terminal import SCREEN_CHUNK, clipboard, notice
from poise_tui.themes import NAMES, THEMES

COPY = "\x1b]52;c;" + base64.b64encode("探 text".encode()).decode() + "\x07"


def test_a_copy_reaches_the_terminal_through_tmux_and_screen() -> None:
    assert clipboard("探 text", {}) == COPY
    assert clipboard("探 text", {"TMUX": "x"}) == COPY + "\x1bPtmux;\x1b" + COPY + "\x1b\\"
    long = clipboard("x" * 5000, {"STY": "x"})
    parts = re.findall(r"\x1bP(.*?)\x1b\\", long, re.DOTALL)
    assert all(len(part) <= SCREEN_CHUNK for part in parts)
    assert base64.b64decode("".join(parts).removeprefix("\x1b]52;c;").removesuffix("\x07")) == b"x" * 5000


def test_a_notice_holds_nothing_that_ends_it_early() -> None:
    assert notice("a\x07b\x1b\\c\n", {}) == "\x1b]9;a bc\x07"


@pytest.mark.parametrize(
    ("asked", "environment", "encoding", "wanted"),
    [
        (None, {}, "UTF-8", BRAILLE),
        ("auto", {"TERM": "linux"}, "UTF-8", ASCII),
        (None, {}, "ANSI_X3.4-1968", ASCII),
        ("block", {"POISE_ASCII": "1"}, "UTF-8", BLOCK),
        (None, {"POISE_GLYPHS": "block"}, "UTF-8", BLOCK),
        (None, {"POISE_ASCII": "1"}, "UTF-8", ASCII),
        ("braille", {"TERM": "linux"}, "ANSI_X3.4-1968", BRAILLE),
    ],
)
def test_glyphs_are_what_the_terminal_can_show_unless_the_user_knows_better(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, environment: dict[str, str], encoding: str, wanted: Cell
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.delenv("POISE_GLYPHS", raising=False)
    monkeypatch.setattr(locale, "getencoding", lambda: encoding)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    glyphs = choose_glyphs(asked)
    assert glyphs.cell is wanted
    if wanted is ASCII:
        strings = [glyphs.pipe, glyphs.tee, glyphs.elbow, glyphs.dot, *glyphs.status.values(), *glyphs.mark.values()]
        assert all(text.isascii() for text in strings)


def test_every_theme_that_can_be_asked_for_is_there() -> None:
    assert {theme.name for theme in THEMES} == set(NAMES.values())


def test_good_and_bad_differ_for_colour_blind_eyes_too() -> None:
    """A red-green blind eye sees blue against yellow: the two must differ there, and in lightness or not at all."""
    safe = next(theme for theme in THEMES if theme.name == "poise-safe")

    def blue_yellow(colour: str | None) -> float:
        assert colour is not None
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return blue - (red + green) / 2

    assert blue_yellow(safe.success) - blue_yellow(safe.error) > 100
