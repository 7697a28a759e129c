"""The sandbox: what a child can and cannot do, layer by layer, and what happens where layers are missing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Exit, PoiseError
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.sandbox import probe, seccomp
from engine.sandbox.layers import DEFAULT_FLOOR, FLOORS, LAYERS, Sandbox, check_floor, level
from tests.process.conftest import wait_gone
from tests.sandbox.conftest import TESTS, Inside, needs

HOME = str(Path.home())


@needs()
async def test_a_child_at_the_full_level_reaches_its_folder_and_nothing_else(inside: Inside, tmp_path: Path) -> None:
    secret, sibling = tmp_path / "secret", tmp_path / "trials" / "sibling" / "scores.json"
    sibling.parent.mkdir(parents=True)
    secret.write_text("s")
    sibling.write_text("{}")
    foreign = [str(secret), str(sibling), "/etc/passwd", f"/proc/{os.getpid()}/environ", "/proc/1/environ"]
    places = [str(tmp_path / "new"), "/tmp/new", "/dev/shm/new", str(TESTS / "new"), f"{HOME}/new"]
    result = await inside("look", read=[*foreign, sys.executable], write=[str(sibling), *places])
    data = result["data"]
    assert result["status"] == "done"
    assert data["own"] is None
    reads = data["reads"]
    assert reads.pop(sys.executable) is None
    assert all(reads.values()), reads
    assert all(data["writes"].values()), data["writes"]
    assert sibling.read_text() == "{}"
    assert set(data["capabilities"]) == {"0"}
    assert (data["no_new_privileges"], data["filtered"]) == ("1", "2")
    assert data["threads"] is None
    assert data["myself"] is None
    for what in ("fork", "program", "socket", "parent"):
        assert data[what] == "EPERM", what


@needs("landlock", "seccomp")
async def test_without_bubblewrap_the_other_layers_hold_files_processes_and_sockets(
    inside: Inside, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    layers = frozenset(LAYERS) - {"namespaces"}
    data = (await inside("look", layers, read=[str(secret), "/etc/passwd"], write=[str(secret)]))["data"]
    assert set(data["reads"].values()) == {"EACCES"}
    assert data["writes"] == {str(secret): "EACCES"}
    assert (data["own"], data["fork"], data["socket"], data["parent"]) == (None, "EPERM", "EPERM", "EPERM")


@pytest.mark.parametrize("layer", ["namespaces", "landlock", "seccomp"])
async def test_each_layer_alone_stops_what_it_is_for(inside: Inside, tmp_path: Path, layer: str) -> None:
    """And without any the same is possible: otherwise this would show nothing."""
    if layer not in probe.available():
        pytest.skip(f"this machine has no {layer}")
    secret = tmp_path / "secret"
    secret.write_text("s")

    async def found(layers: set[str]) -> dict[str, Any]:
        job: dict[str, Any] = (await inside("look", frozenset(layers), read=[str(secret)], write=[]))["data"]
        return {"secret": job["reads"][str(secret)], "socket": job["socket"]}

    assert await found(set()) == {"secret": None, "socket": None}
    stopped = await found({"limits", layer})
    assert stopped["socket" if layer == "seccomp" else "secret"] in ("EPERM", "EACCES", "ENOENT")


@pytest.mark.parametrize(
    ("function", "limits", "said"),
    [("fill_with_files", {"folder_files": 500}, "500 files"), ("fill_with_bytes", {"folder_mb": 20}, "20 MB")],
)
async def test_a_folder_that_grows_beyond_its_limits_ends_the_job(
    inside: Inside, tmp_path: Path, function: str, limits: dict[str, int], said: str
) -> None:
    result = await inside(function, limits=limits)
    assert result["status"] == "killed"
    assert said in result["cause"]


@needs("namespaces")
def test_a_daemon_dies_with_the_engine_even_if_the_fork_server_is_killed_too(tmp_path: Path) -> None:
    """It has left its group and its session: only the namespace still holds it."""
    layers = sorted(probe.available() - {"seccomp"})  # which would not let it start one
    engine = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.sandbox.engine", str(tmp_path), json.dumps(layers)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert engine.stdout is not None
    assert engine.stdout.readline() == "ready\n"
    below = psutil.Process(engine.pid).children(recursive=True)
    assert any("time.sleep(3600)" in " ".join(p.cmdline()) for p in below)
    servers = [p for p in below if "engine.process.forkserver" in " ".join(p.cmdline()) and p.name() != "bwrap"]
    for victim in (*servers, psutil.Process(engine.pid)):
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    engine.wait()
    wait_gone([p.pid for p in below])


def test_a_missing_layer_is_named_with_the_way_to_get_it() -> None:
    layers = frozenset(LAYERS) - {"seccomp"}
    with pytest.raises(PoiseError, match=r"seccomp: .*apt install libseccomp2.*--allow-weak-sandbox") as caught:
        check_floor(layers, DEFAULT_FLOOR, {"seccomp": "not there (apt install libseccomp2)"})
    assert caught.value.code is Exit.REFUSED
    assert "\n" not in str(caught.value)


@given(st.sets(st.sampled_from(sorted(LAYERS))))
def test_the_floor_lets_pass_what_holds_at_least_one_of_its_sets(layers: set[str]) -> None:
    for name, enough in FLOORS.items():
        passes = any(one <= layers for one in enough)
        try:
            check_floor(frozenset(layers), name, {})
        except PoiseError:
            assert not passes
        else:
            assert passes


@given(st.sets(st.sampled_from(sorted(LAYERS))))
def test_a_level_names_what_is_missing(layers: set[str]) -> None:
    told = level(frozenset(layers))
    assert told == ("full" if len(layers) == len(LAYERS) else told)
    if layers:
        assert all((name in told) == (name not in layers) for name in LAYERS) or told == "full"


def test_a_sandbox_survives_the_way_to_the_fork_server() -> None:
    sandbox = Sandbox(frozenset({"landlock"}), (Path("/a"),), (Path("/b"),), (Path("/dev/nvidia0"),))
    assert Sandbox.read(json.loads(json.dumps(sandbox.document()))) == sandbox


@needs("seccomp")
def test_the_filter_knows_the_process_it_was_loaded_into() -> None:
    program = seccomp.build()
    marker = seccomp._MYSELF.to_bytes(4, sys.byteorder)
    assert marker in program
    assert marker not in seccomp.patched(program, 1234)
    assert len(seccomp.patched(program, 1234)) == len(program)


def test_the_machine_says_of_every_layer_whether_it_is_there() -> None:
    assert list(probe.probe()) == list(LAYERS)
    for layer in probe.probe().values():
        assert layer.detail
        assert layer.there or layer.how


@needs("seccomp")
async def test_the_socket_to_the_grader_still_works_inside(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    sandbox = Sandbox(probe.available(), (tmp_path,), (TESTS,))
    launcher = Launcher(["json"], sandbox=sandbox, allow_calls=True)
    kind = "call:tests.process.jobs:ask_grader"
    job = {"id": "j", "kind": kind, "folder": str(tmp_path / "j"), "limits": {}}
    running = asyncio.create_task(LocalExecutor(launcher, lambda _: theirs, graded=[kind]).run(job))
    assert await asyncio.to_thread(ours.recv, 100) == b"hello\n"
    ours.sendall(b"hello yourself")
    result = await running
    ours.close()
    await launcher.close()
    assert result["data"]["answer"] == "hello yourself"
