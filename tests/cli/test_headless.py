"""A headless run with a real engine: signals end the client as promised, and the engine only when asked."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from poise_tui.client import SILENT_SECONDS, Connection
from tests.cli.conftest import Poise

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, runs: Path) -> Iterator[Start]:
    """Starts `poise run --headless --name mine` and returns once its engine has announced the run."""
    clients = []

    def begin() -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "poise_tui", "run", "--headless", "--name", "mine", "--candidates", "1"]
        client = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        clients.append(client)
        assert client.stdout
        assert client.stdout.readline() == f"mine in {runs / 'mine'}\n"
        assert "profile tiny" in client.stdout.readline()
        return client

    yield begin
    for client in clients:
        client.kill()
        client.communicate()
    if (engine := RunFolder(runs / "mine").engine()) is not None:
        end(engine.identity.pid)


def end(pid: int) -> None:
    """Wait until an engine has ended; kill it if it takes a minute."""
    try:
        psutil.Process(pid).wait(60)
    except psutil.TimeoutExpired:
        psutil.Process(pid).kill()
        raise
    except psutil.NoSuchProcess:
        pass


def test_the_first_sigint_stops_the_run_gracefully_and_the_client_waits_for_its_end(
    start: Start, runs: Path, poise: Poise
) -> None:
    client = start()
    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err
    assert err == ""
    assert out.splitlines()[-1].endswith("run stopped: stopped by the user")
    folder = RunFolder(runs / "mine")
    assert folder.engine() is None
    assert read_archive(folder.archive).run()["status"] == "stopped"
    assert poise("ls").stdout.splitlines()[1].split()[:2] == ["mine", "stopped"]


def test_a_hangup_ends_nothing_and_the_run_can_be_steered_from_elsewhere(
    start: Start, runs: Path, poise: Poise
) -> None:
    client = start()
    client.send_signal(signal.SIGHUP)
    folder = RunFolder(runs / "mine")
    engine = folder.engine()
    assert engine is not None
    assert poise("status").stdout.startswith(f"mine: running, engine {engine.identity.pid} on ")
    alone = poise()
    assert (alone.returncode, alone.stdout) == (4, "")
    assert alone.stderr.startswith("poise: mine is going on already")
    assert poise("pause").stdout == "mine: pausing the run\n"
    assert poise("status").stdout.startswith("mine: paused, ")
    assert poise("pin", "c000").stdout == "mine: pinned c000\n"
    unknown = poise("prune", "c999")
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert "c999" in unknown.stderr
    line = poise("resume", "--candidates", "3", "--gpu-hours", "2").stderr
    assert line.endswith("stop it before you change --candidates, --gpu-hours\n")
    assert client.poll() is None, "a hang-up does not end the client"
    client.send_signal(signal.SIGHUP)
    assert poise("stop", "--runs-dir", runs).stdout == "mine: stopping\n"
    end(engine.identity.pid)
    out, _ = client.communicate(timeout=60)
    assert client.returncode == 0 and out.splitlines()[-1].endswith("run stopped: stopped by the user")
    assert poise("status").stdout.startswith("mine: stopped\n")


def test_an_engine_that_lives_but_is_silent_is_told_by_status_until_it_goes_on(
    start: Start, runs: Path, poise: Poise
) -> None:
    start()
    holder = RunFolder(runs / "mine").engine()
    assert holder is not None
    assert "not answered" not in poise("status").stdout
    os.kill(holder.identity.pid, signal.SIGSTOP)
    try:
        head = until(lambda: poise("status").stdout.splitlines()[0], "which has not answered for ")
        assert head.startswith(f"mine: running, engine {holder.identity.pid} on ")
        assert re.search(r"has not answered for \d+ s: kill it, then `poise resume` the run$", head)
        said = json.loads(poise("status", "--json").stdout)["engine"]
        assert said["pid"] == holder.identity.pid and said["silent_seconds"] >= SILENT_SECONDS
    finally:
        os.kill(holder.identity.pid, signal.SIGCONT)
    until(lambda: str(Connection(RunFolder(runs / "mine")).silent_for()), "None")
    assert "not answered" not in poise("status").stdout
    assert poise("stop").stdout == "mine: stopping\n"
    end(holder.identity.pid)


def test_a_terminal_that_is_closed_ends_nothing_and_the_client_waits_for_the_end(runs: Path, poise: Poise) -> None:
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "poise_tui", "run", "--headless", "--name", "mine", "--candidates", "1"]
    owner = f"import fcntl, termios, os, sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv({command[0]!r}, {command})"
    client = subprocess.Popen(
        [sys.executable, "-c", owner], stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    try:
        said = b""
        while b"profile tiny" not in said:
            said += os.read(master, 4096)
        os.close(master)  # the kernel hangs up: SIGHUP, and EIO for whoever writes
        holder = RunFolder(runs / "mine").engine()
        assert holder is not None
        # A line is due for each of these, and there is nowhere to print it.
        assert poise("pin", "c000").stdout == "mine: pinned c000\n"
        assert client.poll() is None
        assert poise("stop").stdout == "mine: stopping\n"
        end(holder.identity.pid)
        assert client.wait(60) == 0, "the run has ended in order"
    finally:
        client.kill()
        client.wait()
    assert read_archive(RunFolder(runs / "mine").archive).run()["status"] == "stopped"


def until(ask: Callable[[], str], wanted: str) -> str:
    """Ask until the answer holds what is wanted."""
    deadline = time.monotonic() + 60
    while wanted not in (said := ask()):
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    return said
