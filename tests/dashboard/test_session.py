"""A whole session at a terminal, against a real engine: what one does in a day, in a few minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import psutil
import pytest

from engine.algorithms.render import render
from tests.dashboard.terminal import DEADLINE, Terminal
from tests.run.world import Events, World, engine_process, profile
from tests.search.samples import choice

WHOLE = 240.0
"""Seconds for what an engine takes its time for."""

pytestmark = [pytest.mark.pty, pytest.mark.slow]


@pytest.fixture
def world() -> Iterator[World]:
    """A machine of one's own; its path is short, for its sockets."""
    path = Path(mkdtemp(prefix="poise-session-"))
    mine = render("Mine-GRPO", "dividing by no deviation helps.", [choice("NoStd")])
    (path / "mine.py").write_text(mine)
    (path / "editor.py").write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n")
    yield World(path, {"EDITOR": f"{sys.executable} -P {path / 'editor.py'} {path / 'mine.py'}", "VISUAL": ""})
    rmtree(path, ignore_errors=True)


def test_start_watch_steer_leave_lose_the_terminal_come_back_and_report(world: World) -> None:
    runs, folder, environment = world.path / "runs", world.folder("s"), world.environment
    run = ("run", "--profile", str(profile(world.path)), "--name", "s", "--seed", "3", "--candidates", "6")
    terminal = Terminal(runs, 40, 140, command=run, **environment)
    events = Events(folder)

    terminal.wait_for("c000 GRPO", "updates", "running", limit=WHOLE)  # the first curve
    engine = engine_process(folder)
    events.wait("candidate.created", "c001")
    terminal.wait_for("c001", limit=WHOLE)

    terminal.child.send("gj*")
    events.wait("steering", "c001", command="pin")
    terminal.child.send("x")
    terminal.wait_for("Prune c001")
    terminal.child.send("y")
    events.wait("steering", "c001", command="prune")
    events.wait("candidate.status", "c001", status="pruned")
    terminal.wait_for("pruned")
    terminal.child.send("u")
    restored = events.wait("steering", "c001", command="restore")
    terminal.child.send("D")
    terminal.wait_for("directive:")
    terminal.child.send("shorter answers\r")
    events.wait("steering", command="direct", after=restored.seq)
    terminal.child.send("i")
    terminal.wait_for("Inject")
    terminal.child.send("y")
    events.wait("steering", command="inject")
    events.wait("candidate.created", "u001")
    terminal.wait_for("u001 Mine-GRPO", limit=WHOLE)

    terminal.child.send("q")
    terminal.wait_for("leave it running")
    terminal.child.send("d")
    assert terminal.ended() == (0, None)
    assert engine.is_running()

    terminal = Terminal(runs, 40, 140, command=("attach", "s"), **environment)
    terminal.wait_for("u001 Mine-GRPO", "running")
    viewer = psutil.Process(terminal.child.pid)
    terminal.child.ptyproc.fileobj.close()  # the window is closed
    terminal.child.closed = terminal.child.ptyproc.closed = True
    viewer.wait(DEADLINE)
    assert engine.is_running()

    terminal = Terminal(runs, 40, 140, command=("attach", "s"), **environment)
    terminal.wait_for("u001 Mine-GRPO", limit=WHOLE)
    events.wait("run.status", status="finished")
    terminal.wait_for("finished")
    terminal.child.send("q")
    assert terminal.ended() == (0, None)

    report = world.poise("report", "s", "--out", str(world.path / "report.html"))
    assert report.returncode == 0, report.stderr
    page = (world.path / "report.html").read_text()
    assert "Mine-GRPO" in page and "shorter answers" in page
