"""The real program in a real terminal."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pexpect
import psutil
import pyte
import pytest

from tests.dashboard import recorded

pytestmark = pytest.mark.pty
DEADLINE = 30.0


class Terminal:
    """`poise attach` on the recorded run, and the screen it draws."""

    def __init__(self, runs: Path, rows: int, columns: int, **environment: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0
        # COLUMNS and LINES, which test runners set, would overrule the terminal's real size.
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        env = {**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **environment}
        command = ["-P", "-m", "poise_tui", "attach", "recorded", "--runs-dir", str(runs)]
        self.child = pexpect.spawn(sys.executable, command, env=env, dimensions=(rows, columns), timeout=1)

    def wait_for(self, *texts: str) -> str:
        """Read until the screen says all of this."""
        end = time.monotonic() + DEADLINE
        while not all(t in self.text for t in texts):
            assert time.monotonic() < end, f"never on screen: {texts}\n{self.text}"
            try:
                data = self.child.read_nonblocking(1 << 16, timeout=0.1)
            except pexpect.TIMEOUT:
                continue
            self.bytes += len(data)
            self._stream.feed(data)
        return self.text

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def resize(self, rows: int, columns: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def ended(self) -> tuple[int | None, int | None]:
        """Exit status and signal, once it has ended."""
        self.child.expect(pexpect.EOF, timeout=DEADLINE)
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    recorded.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("color", [{}, {"NO_COLOR": "1"}, {"POISE_ASCII": "1"}], ids=["color", "no color", "ascii"])
def test_it_draws_a_run_follows_a_resize_and_leaves_with_q(runs: Path, color: dict[str, str]) -> None:
    terminal = Terminal(runs, 24, 80, **color)
    terminal.wait_for("c000 GRPO", "c004", "+26.5", "no GPU")
    if "POISE_ASCII" in color:
        assert "├" not in terminal.text and "▶" not in terminal.text
    terminal.resize(50, 200)
    terminal.wait_for("c000 GRPO", "3 idea", "Hypothesis")
    terminal.child.send("q")
    assert terminal.ended() == (0, None)


def test_a_lost_connection_ends_the_viewer(runs: Path) -> None:
    terminal = Terminal(runs, 24, 80)
    terminal.wait_for("c004")
    os.kill(terminal.child.pid, signal.SIGHUP)
    terminal.child.expect(pexpect.EOF, timeout=DEADLINE)
    terminal.child.close()
    assert not terminal.child.isalive()


def test_the_dashboard_is_light(runs: Path) -> None:
    """No torch in the process, and less memory than its budget of 80 MB."""
    terminal = Terminal(runs, 50, 200)
    terminal.wait_for("c004", "no GPU")
    process = psutil.Process(terminal.child.pid)
    libraries = {Path(m.path).name for m in process.memory_maps()}
    assert not [name for name in libraries if "torch" in name]
    assert process.memory_info().rss < 80e6
    terminal.child.send("q")
    assert terminal.ended() == (0, None)
