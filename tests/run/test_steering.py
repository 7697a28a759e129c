"""Pausing, pruning, stopping and dying: what a user may do to a live run, and what the run makes of it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import Any

import psutil
import pytest

from engine.archive.events import EventReader
from engine.archive.store import Archive, Change, read_archive
from engine.process.control import send
from tests.run.conftest import Finished
from tests.run.world import Events, World, engine_process, profile, wait_for

LONG = {"updates": "100"}


def start(world: World, *more: str, **changes: str) -> tuple[subprocess.Popen[str], Events]:
    arguments = ("--profile", str(profile(world.path, **changes)), "--name", "r", "--seed", "1", *more)
    client = world.start(*arguments)
    wait_for(world.folder("r").events.exists, "the run's events")
    return client, Events(world.folder("r"))


def trainer_of(world: World, trial: str) -> psutil.Process | None:
    """The process that trains, found by its working directory."""
    for child in engine_process(world.folder("r")).children(recursive=True):
        try:
            if child.cwd() == str(world.folder("r").trial(trial).path):
                return child
        except psutil.Error:
            continue
    return None


def test_a_paused_node_frees_its_process_and_goes_on_from_its_checkpoint(world: World) -> None:
    client, events = start(world, "--candidates", "1", "--workers", "1", **LONG, baseline_seeds="1")
    events.wait("trial.metrics", "c000")
    assert trainer_of(world, "c000-search-0") is not None
    assert world.poise("pause", "r", "c000").returncode == 0
    paused = events.wait("candidate.status", "c000", status="paused")
    assert trainer_of(world, "c000-search-0") is None
    # A paused node holds nobody up: the other candidate trains meanwhile.
    events.wait("trial.metrics", "c001", after=paused.seq)
    refused = world.poise("pause", "r", "c000")
    assert refused.returncode == 0, "pausing twice is no error"
    assert world.poise("resume", "r", "c000").returncode == 0
    assert client.wait(180) == 0
    export = world.export("r")
    assert export["candidates"][0]["status"] == "scored"
    steps = [
        p["step"]
        for e in events.update()
        if e.kind == "trial.metrics" and e.data["trial"] == "c000-search-0"
        for p in e.data["points"]
    ]
    assert steps == list(range(1, int(LONG["updates"]) + 1))


@pytest.mark.slow
def test_pausing_the_run_stops_all_trainings_until_it_is_resumed(world: World) -> None:
    client, events = start(world, "--candidates", "1", "--workers", "2", **LONG, baseline_seeds="1")
    events.wait("trial.metrics", "c000")
    assert world.poise("pause", "r").returncode == 0
    paused = events.wait("candidate.status", "c000", status="paused")
    wait_for(lambda: trainer_of(world, "c001-search-0") is None, "no trainer is left")
    assert '"paused"' in world.poise("status", "r", "--json").stdout
    assert world.poise("resume", "r").returncode == 0
    events.wait("run.status", status="running", after=paused.seq)
    assert client.wait(180) == 0
    assert {c["status"] for c in world.export("r")["candidates"]} == {"scored"}


@pytest.mark.slow
def test_a_pruned_branch_is_killed_and_can_be_restored(world: World) -> None:
    client, events = start(world, "--candidates", "2", "--workers", "2", **LONG, baseline_seeds="1")
    events.wait("trial.metrics", "c001")
    refused = world.poise("prune", "r", "c000")
    assert refused.returncode == 4 and "root" in refused.stderr
    assert world.poise("prune", "r", "c001").returncode == 0
    events.wait("candidate.status", "c001", status="pruned")
    wait_for(lambda: trainer_of(world, "c001-search-0") is None, "the pruned training is gone")
    stopped = events.wait("trial.updated", "c001", status="stopped")
    assert world.poise("restore", "r", "c001").returncode == 0
    events.wait("candidate.status", "c001", status="training", after=stopped.seq)
    assert client.wait(180) == 0
    assert [c["status"] for c in world.export("r")["candidates"]] == ["scored"] * 3
    told = [(e.data["command"], e.node) for e in events.update() if e.kind == "steering"]
    assert told == [("prune", "c001"), ("restore", "c001")]


def test_a_command_sent_again_after_its_engine_was_killed_is_not_obeyed_again(world: World) -> None:
    """A client that did not hear the answer may ask the next engine; by then the user may want something else."""
    client, events = start(world, "--candidates", "1", "--workers", "1", **LONG, baseline_seeds="1")
    folder = world.folder("r")
    events.wait("candidate.created", "c001")

    def ask(command: str, node: str, id: str) -> dict[str, Any]:
        holder = wait_for(folder.engine, "an engine")
        return send(holder.socket, command, node=node, by="cli", id=id, timeout=60)

    pruned = ask("prune", "c001", "k1")
    assert pruned == {"pruned": ["c001"]}
    ask("restore", "c001", "k2")
    ask("pin", "c000", "k3")
    ask("unpin", "c000", "k4")
    family = [engine_process(folder), *engine_process(folder).children(recursive=True)]
    family[0].kill()
    assert not psutil.wait_procs(family, timeout=10)[1]
    client.wait(60)
    assert world.poise("resume", "r").returncode == 0
    assert ask("prune", "c001", "k1") == pruned, "the answer is the one it got"
    assert ask("pin", "c000", "k3") == {}
    now = {c["id"]: c for c in read_archive(folder.archive).candidates()}
    assert now["c001"]["status"] != "pruned" and not now["c000"]["pinned"]
    ask("pin", "c000", "k5")
    assert read_archive(folder.archive).candidate("c000")["pinned"]
    told = [e.data["id"] for e in events.update() if e.kind == "steering"]
    assert told == ["k1", "k2", "k3", "k4", "k5"]
    assert world.poise("stop", "r").returncode == 0
    wait_for(lambda: folder.engine() is None, "the engine has ended")


def test_unknown_nodes_and_runs_are_one_clear_line(world: World) -> None:
    client, events = start(world, "--candidates", "1", "--workers", "1", **LONG)
    events.wait("trial.metrics", "c000")
    unknown = world.poise("pause", "r", "c999")
    assert unknown.returncode == 3 and unknown.stderr.strip() == "poise: no candidate 'c999' in r"
    locked = world.poise("resume", "r", "--candidates", "9")
    assert locked.returncode == 4 and "r is run by process" in locked.stderr
    client.send_signal(signal.SIGINT)
    assert client.wait(60) == 0
    assert world.export("r")["run"]["status"] == "stopped"
    refused = world.poise("pause", "r")
    assert refused.returncode == 4 and "no engine runs r" in refused.stderr


@pytest.mark.parametrize("how", [pytest.param("stop", marks=pytest.mark.slow), "kill -9"])
def test_a_run_that_was_stopped_or_killed_ends_as_if_nothing_had_happened(
    finished: Finished, world: World, how: str
) -> None:
    """Same lineage, same scores to the last digit: checkpoints resume bit for bit."""
    client, events = start(world, "--candidates", "2", "--workers", "2")
    events.wait("trial.metrics", "c000")
    engine = engine_process(world.folder("r"))
    if how == "stop":
        assert world.poise("stop", "r").returncode == 0
        assert client.wait(60) == 0
    else:
        family = [engine, *engine.children(recursive=True)]
        engine.kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, "nothing outlives a killed engine"
        assert client.wait(60) == 1, "the client says that the engine died"
        assert world.export("r")["run"]["status"] == "dead"
    resumed = world.poise("resume", "r")
    assert resumed.returncode == 0, resumed.stderr
    events.wait("run.status", status="finished")
    wait_for(lambda: world.folder("r").engine() is None, "the engine is gone")
    ours = world.export("r")
    assert len(ours["candidates"]) == 3
    assert {t["resumed"] for t in ours["trials"]} <= {None, "exact"}
    for one, other in zip(ours["candidates"], finished.export["candidates"][:3], strict=True):
        for key in ("id", "name", "parent", "code_sha256", "overall", "benchmarks"):
            assert one[key] == other[key], (one["id"], key)


def test_killing_the_client_changes_nothing_for_the_engine(world: World) -> None:
    client, events = start(world, "--candidates", "1", "--workers", "1")
    events.wait("trial.metrics", "c000")
    client.kill()
    client.wait()
    events.wait("run.status", status="finished")
    assert [c["status"] for c in world.export("r")["candidates"]] == ["scored", "scored"]
    finished = world.poise("resume", "r")
    assert finished.returncode == 4 and "is finished" in finished.stderr
    less = world.poise("resume", "r", "--candidates", "2", "--hours", "0.0001")
    assert less.returncode == 2 and less.stderr.startswith("poise: --hours 0.0001: run r has used "), less.stderr
    assert world.poise("resume", "r", "--candidates", "2", "--hours", "1", "--usd", "3").returncode == 0
    events.wait("candidate.created", "c002")
    wait_for(lambda: world.folder("r").engine() is None, "the extended run has ended")
    extended = world.export("r")
    assert len(extended["candidates"]) == 3
    assert extended["run"]["budget"] == {"candidates": 2, "hours": 1.0, "gpu_hours": None, "usd": 3.0}


def test_a_crash_between_a_score_and_its_reflection_is_made_good(finished: Finished, world: World) -> None:
    """What a kill -9 leaves when it comes after the trial's commit and before the candidate's."""
    shutil.copytree(finished.folder.path, world.path / "runs" / "r")
    folder = world.folder("r")
    archive = Archive.open(folder.archive)
    unsettled = {"status": "scoring", "overall": None, "benchmarks": {}, "reflection": None, "finished": None}
    archive.commit([Change("candidates", "c004", unsettled), Change("run", "shared", {"status": "running"})], [])
    archive.close()
    assert world.poise("resume", "r").returncode == 0
    Events(folder).wait("run.status", status="finished", after=archive_seq(finished))
    before, after = finished.export["candidates"][4], world.export("r")["candidates"][4]
    for key in ("status", "overall", "benchmarks", "reflection"):
        assert before[key] == after[key]


def archive_seq(finished: Finished) -> int:
    return EventReader(finished.folder.events).read()[-1].seq
