"""The real program in a real terminal."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from engine.process.lock import RunLock
from tests.dashboard import recorded
from tests.dashboard.terminal import DEADLINE, Terminal

pytestmark = pytest.mark.pty


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    recorded.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("color", [{}, {"NO_COLOR": "1"}, {"POISE_ASCII": "1"}], ids=["color", "no color", "ascii"])
def test_it_draws_a_run_follows_a_resize_and_leaves_with_q(runs: Path, color: dict[str, str]) -> None:
    terminal = Terminal(runs, 24, 80, **color)
    terminal.wait_for("c000 GRPO", "c004", "+26.5", "no GPU")
    if "POISE_ASCII" in color:
        assert "├" not in terminal.text and "▸" not in terminal.text
    terminal.resize(50, 200)
    terminal.wait_for("c000 GRPO", " idea ", "Hypothesis")
    terminal.child.send("q")
    assert terminal.ended() == (0, None)


def test_q_and_d_leave_a_live_run_alone(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    lock = RunLock.acquire(folder.lock, "nobody listens")
    terminal = Terminal(tmp_path, 24, 80)
    terminal.wait_for("running", "c004")
    terminal.child.send("q")
    terminal.wait_for("leave it running", "stop it")
    terminal.child.send("d")
    assert terminal.ended() == (0, None)
    assert b"`poise attach recorded` shows it again" in (terminal.child.before or b"")
    lock.release()


@pytest.mark.fault(13)
@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN], ids=["plain", "under nohup"])
def test_a_hang_up_ends_the_viewer(runs: Path, before: signal.Handlers) -> None:
    inherited = signal.signal(signal.SIGHUP, before)
    try:
        terminal = Terminal(runs, 24, 80)
    finally:
        signal.signal(signal.SIGHUP, inherited)
    terminal.wait_for("c004")
    viewer = psutil.Process(terminal.child.pid)
    terminal.child.ptyproc.fileobj.close()  # as when the window is closed or the connection is lost
    terminal.child.closed = terminal.child.ptyproc.closed = True  # or it closes that number again, by then another's
    viewer.wait(DEADLINE)
    assert not viewer.is_running()


def test_an_idle_dashboard_writes_nothing(runs: Path) -> None:
    terminal = Terminal(runs, 24, 80)
    terminal.wait_for("c004", "+26.5", "no GPU")
    terminal.bytes_until_quiet(0.5)
    assert terminal.bytes_until_quiet(1.5) == 0
    terminal.child.send("j")
    assert 0 < terminal.bytes_until_quiet(0.5) < 10_000
    terminal.child.send("q")
    assert terminal.ended() == (0, None)


def test_the_dashboard_is_light_with_every_pane_opened(runs: Path, tmp_path: Path) -> None:
    """No torch, transformers, trl or litellm in the process, and less memory than its budget of 80 MB."""
    code = (
        "import sys\nfrom poise_tui.cli import main\n"
        "try: main(sys.argv[2:])\nfinally: open(sys.argv[1], 'w').write('\\n'.join(sys.modules))"
    )
    terminal = Terminal(runs, 50, 200, program=["-P", "-c", code, str(tmp_path / "modules")])
    terminal.wait_for("c004", "no GPU")
    panes = {"2": "Overall", "3": "48 updates", "4": "Hypothesis", "7": "Nothing yet", "8": "disk is filling"}
    panes |= {"1": "Overall", "]": "algorithm = Algorithm", "?": "everything at a glance"}
    for key, wanted in panes.items():
        terminal.child.send(key)
        terminal.wait_for(wanted)
    assert psutil.Process(terminal.child.pid).memory_info().rss < 80e6
    terminal.child.send("qq")
    assert terminal.ended() == (0, None)
    modules = {name.partition(".")[0] for name in (tmp_path / "modules").read_text().split()}
    assert "textual" in modules and not modules & {"torch", "transformers", "trl", "litellm", "numpy"}
