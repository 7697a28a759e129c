"""A headless run with a real engine: signals end the client as promised, and the engine only when asked."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
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


def test_a_hangup_ends_the_client_only_and_the_run_can_be_steered_from_elsewhere(
    start: Start, runs: Path, poise: Poise
) -> None:
    client = start()
    client.send_signal(signal.SIGHUP)
    assert client.wait(10) == -signal.SIGHUP
    engine = RunFolder(runs / "mine").engine()
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
    assert poise("stop", "--runs-dir", runs).stdout == "mine: stopping\n"
    end(engine.identity.pid)
    assert poise("status").stdout.startswith("mine: stopped\n")
