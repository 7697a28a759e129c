"""Runs on a real Ray cluster: what they find is what one machine finds, and a lost node costs time alone."""

from __future__ import annotations

import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import psutil
import pytest

from benchmarks.ray_nodes import Nodes
from engine.archive.events import EventReader
from tests.run.conftest import Finished
from tests.run.victims import same
from tests.run.world import Events, World, profile, wait_for

pytestmark = pytest.mark.slow
LONG = {"updates": "100", "baseline_seeds": "1"}


def start(world: World, nodes: Nodes, *more: str, **changes: str) -> tuple[subprocess.Popen[str], Events]:
    where = ("--executor", "ray", "--ray-address", nodes.address)
    arguments = ("--profile", str(profile(world.path, **changes)), "--name", "r", "--seed", "1", *where, *more)
    client = world.start(*arguments)
    wait_for(world.folder("r").events.exists, "the run's events")
    return client, Events(world.folder("r"))


def working(nodes: Nodes, node: Any, trial: str) -> list[psutil.Process]:
    """Processes of a trial on a node."""
    found = []
    for pid in nodes.pids(node):
        try:
            if f"/{trial}/" in psutil.Process(pid).cwd() + "/":
                found.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return found


def steps_of(events: Events, trial: str) -> list[int]:
    told = [e.data for e in events.update() if e.kind == "trial.metrics" and e.data["trial"] == trial]
    return [point["step"] for data in told for point in data["points"]]


def test_the_lineage_is_that_of_one_machine(finished: Finished, world: World, nodes: Nodes) -> None:
    """Four candidates, three nodes, one of them killed in the middle of a training: the same, to the last digit."""
    kept = [nodes.add() for _ in range(3)]
    client, events = start(world, nodes, "--candidates", "4")
    events.wait("trial.metrics", "c001")
    victim = wait_for(lambda: next((n for n in kept if working(nodes, n, "c001-search-0")), None), "c001 on a node")
    nodes.kill(victim)
    assert client.wait(400) == 0, (world.path / "headless.log").read_text()
    same(world, finished.export, 4)
    assert any("started again" in str(e.data.get("message")) for e in events.update())
    for trial in world.export("r")["trials"]:
        assert steps_of(events, trial["id"]) == list(range(1, 9))
        place = world.folder("r").trial(trial["id"])
        assert place.scores.is_file() and (place.adapter / "adapter_model.safetensors").is_file()
    assert "gold" not in world.folder("r").trial("c001-search-0").job.read_text()


def test_a_training_goes_on_from_its_checkpoint_on_another_node(world: World, nodes: Nodes) -> None:
    first = nodes.add()
    client, events = start(world, nodes, "--candidates", "1", "--workers", "1", **LONG)
    place = world.folder("r").trial("c000-search-0")
    wait_for(lambda: (place.checkpoints / "checkpoint-20" / "manifest.json").is_file(), "a checkpoint in the run")
    assert world.poise("pause", "r", "c000").returncode == 0
    events.wait("candidate.status", "c000", status="paused")
    wait_for(lambda: not working(nodes, first, "c000-search-0"), "its process has ended")
    nodes.kill(first)
    nodes.add()
    assert world.poise("resume", "r", "c000").returncode == 0
    assert client.wait(400) == 0, (world.path / "headless.log").read_text()
    trial = world.export("r")["trials"][0]
    assert trial["status"] == "scored"
    assert steps_of(events, "c000-search-0") == list(range(1, 101)), "no step is told twice, or lost"
    [resumed] = [e.data["resumed"] for e in events.update() if e.kind == "trial.updated" and "resumed" in e.data]
    assert resumed == "exact"


def test_pruning_and_stopping_reach_the_node_and_the_run_goes_on_on_this_machine(world: World, nodes: Nodes) -> None:
    node = nodes.add()
    client, events = start(world, nodes, "--candidates", "1", "--workers", "2", **LONG)
    events.wait("trial.metrics", "c000")
    assert len(working(nodes, node, "c000-search-0")) == 1
    # The other training waits for a place: it is ended without one.
    events.wait("candidate.status", "c001", status="training")
    pruned = world.poise("prune", "r", "c001")
    assert pruned.returncode == 0, pruned.stderr
    events.wait("trial.updated", "c001", status="stopped")
    assert world.poise("stop", "r").returncode == 0
    client.wait(120)
    assert not working(nodes, node, "c000-search-0")
    reached = max(steps_of(events, "c000-search-0"))
    assert 0 < reached < 100
    assert world.poise("resume", "r", "--executor", "local").returncode == 0
    wait_for(lambda: world.folder("r").engine() is None, "the run's end", deadline=300)
    assert world.export("r")["trials"][0]["status"] == "scored"
    assert steps_of(events, "c000-search-0") == list(range(1, 101))


def test_an_engine_that_is_killed_leaves_nothing_running_on_the_nodes(world: World, nodes: Nodes) -> None:
    node = nodes.add()
    client, events = start(world, nodes, "--candidates", "1", "--workers", "1", **LONG)
    events.wait("trial.metrics", "c000")
    [trainer] = working(nodes, node, "c000-search-0")
    holder = world.folder("r").engine()
    assert holder is not None
    psutil.Process(holder.identity.pid).kill()
    client.wait(60)
    wait_for(lambda: not trainer.is_running(), "its training has ended too", deadline=60)
    assert EventReader(world.folder("r").events).read()


@pytest.mark.parametrize("there", ["nothing", "a web server"])
def test_an_address_where_no_cluster_answers_is_one_clear_line(world: World, there: str) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port if there == "a web server" else 9
        Thread(target=server.serve_forever, daemon=True).start()
        done = world.poise("run", "--headless", "--executor", "ray", "--ray-address", f"127.0.0.1:{port}")
        server.shutdown()
    assert done.returncode == 4
    assert done.stderr.startswith(f"poise: no Ray cluster answers at 127.0.0.1:{port} (")
    assert done.stderr.count("\n") == 1
    assert not list((world.path / "runs").glob("*")), "no run was begun"
