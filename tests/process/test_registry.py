"""`attach` finds this user's engines from anywhere, and no other user can plant one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import Exit, PoiseError
from engine.process.identity import Identity
from engine.process.registry import (
    SOCKET_PATH_LIMIT,
    live_engines,
    register,
    runtime_folder,
    socket_path,
    unregister,
)

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def test_a_registered_engine_is_found_until_it_is_unregistered(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "demo"
    register(run, socket_path(run))
    [engine] = live_engines()
    assert (engine.run, engine.folder, engine.socket) == ("demo", run, socket_path(run))
    assert engine.identity == Identity.mine()
    unregister(run)
    assert live_engines() == []


def test_an_engine_that_was_killed_is_forgotten(tmp_path: Path, runtime: Path) -> None:
    script = """
import os, signal
from pathlib import Path
from engine.process.registry import register
register(Path("/runs/demo"), Path("/run/x.sock"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    assert len(list(runtime.glob("poise/*.json"))) == 1
    assert live_engines() == []
    assert list(runtime.glob("poise/*.json")) == []


def test_what_is_no_entry_is_passed_over(runtime: Path) -> None:
    for number, text in enumerate(["", "[]", "{", json.dumps({"folder": "/x"})]):
        (runtime_folder() / f"{number}.json").write_text(text)
    assert live_engines() == []


def test_two_runs_of_one_name_have_two_sockets_and_one_run_has_one(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "demo", tmp_path / "b" / "demo"
    assert socket_path(one) != socket_path(other)
    assert socket_path(one) == socket_path(one.parent / "x" / ".." / "demo")


@pytest.mark.parametrize("length", [10, 90, 200])
def test_a_socket_path_always_fits(tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * length)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert len(os.fsencode(socket_path(tmp_path / "demo"))) <= SOCKET_PATH_LIMIT


def test_without_a_runtime_folder_there_is_a_private_one_in_the_temporary_folder(tmp_path: Path) -> None:
    folder = runtime_folder({"TMPDIR": str(tmp_path)})
    assert folder == tmp_path / f"poise-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("plant", ["open", "link", "file"])
def test_a_folder_that_others_could_have_prepared_is_refused(tmp_path: Path, plant: str) -> None:
    folder = tmp_path / f"poise-{os.getuid()}"
    match plant:
        case "open":
            folder.mkdir()
            folder.chmod(0o777)
        case "link":
            (tmp_path / "target").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "target")
        case "file":
            folder.write_text("")
    with pytest.raises(PoiseError) as caught:
        runtime_folder({"TMPDIR": str(tmp_path)})
    assert caught.value.code == Exit.REFUSED
