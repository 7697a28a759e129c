"""Terminals as they are: few colours, no mouse, stormy windows, links that stall, multiplexers."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.process.lock import RunLock
from tests.dashboard import recorded
from tests.dashboard.terminal import DEADLINE, Terminal

pytestmark = pytest.mark.pty


@pytest.fixture
def live(tmp_path: Path) -> Iterator[RunFolder]:
    """The recorded run, held by this process."""
    folder = recorded.write(tmp_path, status="running")
    lock = RunLock.acquire(folder.lock, str(tmp_path / "nobody"))
    yield folder
    lock.release()


@pytest.mark.parametrize(
    ("environment", "options", "wanted", "unwanted"),
    [
        ({"COLORTERM": "truecolor"}, (), rb"[34]8;2;\d+;\d+;\d+", rb"[34]8;5;"),
        ({"COLORTERM": ""}, (), rb"[34]8;5;\d+", rb"[34]8;2;"),
        ({"COLORTERM": "", "TERM": "xterm"}, (), rb"\x1b\[[0-9;]*\b[39][0-7]\b", rb"[34]8;[25];"),
        ({"COLORTERM": "truecolor"}, ("--theme", "ansi"), rb"\x1b\[[0-9;]*\b3[0-7]\b", rb"48;2;"),
        ({"NO_COLOR": "1"}, (), rb"\x1b\[[0-9;]*m", rb"\x1b\[[0-9;]*\b(?:[34][0-8]|9[0-7])\b"),
    ],
    ids=["truecolor", "256", "16", "ansi", "none"],
)
def test_no_more_colours_are_used_than_the_terminal_has(
    tmp_path: Path, environment: dict[str, str], options: tuple[str, ...], wanted: bytes, unwanted: bytes
) -> None:
    recorded.write(tmp_path)
    terminal = Terminal(tmp_path, 24, 80, *options, **environment)
    terminal.wait_for("c004", "+26.5")
    terminal.child.send("q")
    assert terminal.ended() == (0, None)
    assert re.search(wanted, terminal.raw)
    assert (found := re.search(unwanted, terminal.raw)) is None, found


@pytest.mark.parametrize("glyphs", ["braille", "block", "ascii"])
def test_charts_are_drawn_with_the_glyphs_that_were_asked_for(tmp_path: Path, glyphs: str) -> None:
    recorded.write(tmp_path)
    terminal = Terminal(tmp_path, 40, 120, "--glyphs", glyphs)
    text = terminal.wait_for("c004", "48 updates")
    signs = {
        "braille": any("\u2800" < c < "\u2900" for c in text),
        "block": any(c in "▘▝▖▗▞▚▙▟▛▜" for c in text),
        "ascii": text.isascii(),
    }
    assert [name for name, there in signs.items() if there] == [glyphs]
    terminal.child.send("q")
    assert terminal.ended() == (0, None)


def test_the_mouse_is_left_to_the_terminal_if_one_wants_that(tmp_path: Path) -> None:
    recorded.write(tmp_path)
    for options, asked in (((), True), (("--no-mouse",), False)):
        terminal = Terminal(tmp_path, 24, 80, *options)
        terminal.wait_for("c004")
        assert (b"\x1b[?1003h" in terminal.raw) == asked
        terminal.child.send("q")
        assert terminal.ended() == (0, None)


def test_a_storm_of_resizes_ends_in_the_right_picture(tmp_path: Path) -> None:
    recorded.write(tmp_path)
    terminal = Terminal(tmp_path, 24, 80)
    terminal.wait_for("c004")
    for i in range(60):
        terminal.resize(5 + (i * 7) % 60, 20 + (i * 31) % 280)
    terminal.resize(80, 300)
    terminal.wait_for("c005 Brevity-GRPO", "Hypothesis", "leave")
    terminal.resize(24, 80)
    terminal.wait_for("c005 Brevity-GRPO", "no GPU", "leave")
    assert terminal.bytes_until_quiet(1.0) < 200_000
    terminal.child.send("q")
    assert terminal.ended() == (0, None)


def test_a_reader_that_stalls_catches_up_in_one_frame(live: RunFolder, tmp_path: Path) -> None:
    """While nobody reads, a hundred updates come; whoever looks again sees the last one, not the history."""
    terminal = Terminal(tmp_path, 24, 80)
    terminal.wait_for("c004", "25%")
    viewer = psutil.Process(terminal.child.pid)
    terminal.bytes_until_quiet(0.5)
    at = recorded.START + 60
    for i in range(300):
        with live.events.open("ab") as file:
            name = f"Name{i}-" + "x" * 40
            file.write(Event("candidate.updated", "c002", {"name": name}, 5000 + 2 * i, at).line())
            file.write(Event("log", None, {"level": "info", "message": f"line {i}"}, 5001 + 2 * i, at).line())
        time.sleep(0.01)  # the stall itself: many frames of the dashboard long
    assert viewer.is_running()
    last = Event("log", None, {"level": "info", "message": "the last line"}, 20_000, at)
    with live.events.open("ab") as file:
        file.write(last.line())
    before = terminal.bytes
    terminal.wait_for("the last line", "Name299")
    assert terminal.bytes - before < 400_000, "far less than 300 pictures"
    terminal.child.send("qd")
    assert terminal.ended() == (0, None)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_it_works_within_tmux(tmp_path: Path) -> None:
    recorded.write(tmp_path)
    socket = str(tmp_path / "tmux")
    attach = [sys.executable, "-P", "-m", "poise_tui", "attach", "recorded", "--runs-dir", str(tmp_path)]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}

    def tmux(*words: str) -> str:
        done = subprocess.run(["tmux", "-S", socket, *words], env=environment, capture_output=True, text=True)
        return done.stdout

    tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", *attach)
    try:
        until = time.monotonic() + DEADLINE
        while "+26.5" not in (text := tmux("capture-pane", "-p")):
            assert time.monotonic() < until, text
            time.sleep(0.1)
        assert "c004 Pruned-GRPO" in text and "├" in text
        tmux("send-keys", "q")
        while tmux("list-sessions"):
            assert time.monotonic() < until, "it ends with q"
            time.sleep(0.1)
    finally:
        with contextlib.suppress(OSError):
            tmux("kill-server")


def test_a_replay_runs_in_a_terminal(tmp_path: Path) -> None:
    recorded.write(tmp_path)
    terminal = Terminal(tmp_path, 24, 80, "--speed", "300", command=("replay", "recorded"))
    terminal.wait_for("300x", "c005 Brevity-GRPO", "finished")
    terminal.child.send("q")
    assert terminal.ended() == (0, None)
    assert isinstance(terminal.child, pexpect.spawn)
