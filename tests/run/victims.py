"""A run that something is about to happen to, its processes, and what must be true of it afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import psutil

from engine.archive.events import EventReader
from tests.run.world import World, profile, wait_for

SAME = ("id", "name", "parent", "code_sha256", "status", "overall", "benchmarks", "proposal", "seeds")


def start(world: World, *more: str, environment: dict[str, str] | None = None, **changes: str) -> subprocess.Popen[str]:
    """`poise run --headless` of two candidates; its stderr is kept apart."""
    arguments = ("--profile", str(profile(world.path, **changes)), "--name", "r", "--seed", "1", "--workers", "2")
    command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", *arguments, *more]
    with (world.path / "out.log").open("w") as out, (world.path / "err.log").open("w") as err:
        client = subprocess.Popen(
            command, env={**world.environment, **(environment or {})}, cwd=world.path, stdout=out, stderr=err, text=True
        )
    wait_for(world.folder("r").events.exists, "the run's events")
    return client


def mine(world: World) -> list[psutil.Process]:
    """Every process that works in this world's folders."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = process.cwd().startswith(str(world.path / "runs"))
            if (inside or str(world.path) in " ".join(process.cmdline())) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def trainers(world: World, trial: str = "") -> list[psutil.Process]:
    """Processes of trainings and scorings: all, or those of one trial."""
    found = []
    for process in mine(world):
        try:
            if process.cwd().startswith(str(world.folder("r").path / "trials" / trial)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def no_engine(world: World) -> None:
    wait_for(lambda: world.folder("r").engine() is None, "the engine is gone")
    wait_for(lambda: not mine(world), "no process is left behind", deadline=10)


def same(world: World, reference: dict[str, Any], candidates: int) -> None:
    """The run has ended as the one that nothing happened to, and nothing was done twice."""
    ours = world.export("r")
    assert ours["run"]["status"] == "finished"
    assert len(ours["candidates"]) == candidates + 1
    for one, other in zip(ours["candidates"], reference["candidates"], strict=False):
        assert {k: one[k] for k in SAME} == {k: other[k] for k in SAME}
    events = EventReader(world.folder("r").events).read()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    scored = Counter(e.data["trial"] for e in events if e.kind == "trial.updated" and e.data.get("status") == "scored")
    assert set(scored.values()) == {1} and len(scored) == len(ours["trials"])
    created = Counter(e.node for e in events if e.kind == "candidate.created")
    assert set(created.values()) == {1}
    metrics = [e.data for e in events if e.kind == "trial.metrics"]
    for trial in {data["trial"] for data in metrics}:
        told = [point["step"] for data in metrics if data["trial"] == trial for point in data["points"]]
        assert told == sorted(set(told)), "no step is told twice"
    calls = [json.loads(line) for line in world.folder("r").llm.read_text().splitlines()]
    asked = Counter((c["purpose"], c["seed"], c["turn"], c["prompt"]) for c in calls if c["ok"])
    assert set(asked.values()) == {1}, "no answer that was recorded is asked for again"
