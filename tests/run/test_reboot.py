"""The machine goes down under a real run: everything dies at once, what was not synced is gone, the boot is another."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.training.checkpoints import furthest
from tests.archive.images import NoImages, make_image, mounted
from tests.run.conftest import Finished
from tests.run.victims import mine, no_engine, same, start
from tests.run.world import Events, World, profile, wait_for

REBOOTS = 6


@dataclass
class Machine:
    """A world whose runs lie on a disk that the power can be cut of; where none can be mounted, on the common one."""

    world: World
    disk: Path | None = None
    mounts: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def runs(self) -> Path:
        return self.world.path / "runs"

    def boot(self, disk: Path | None) -> None:
        if disk is not None:
            self.mounts.enter_context(mounted(disk, self.runs))
        self.disk = disk

    def go_down(self, client: subprocess.Popen[str]) -> None:
        """All at once: nobody moves any more while the disk is copied as it is, then everybody is dead."""
        alive = mine(self.world)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        cut = self.world.path / f"cut-{time.monotonic_ns()}.img"
        if self.disk is not None:
            shutil.copyfile(self.disk, cut)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        client.wait()
        wait_for(lambda: not mine(self.world), "everybody is dead", deadline=10)
        self.mounts.close()
        if self.disk is not None:
            self.disk.unlink()
        shutil.rmtree(self.world.path / "runtime")  # it is in memory
        self.boot(cut if self.disk is not None else None)
        lock = self.world.folder("r").path / "engine.lock"
        if text := lock.read_text().strip("\0\n "):
            lock.write_text(json.dumps({**json.loads(text), "boot_id": "another boot"}))


@pytest.fixture
def machine(world: World) -> Iterator[Machine]:
    made = Machine(world)
    made.runs.mkdir()
    disk = world.path / "disk.img"
    try:
        make_image(disk, 192)
        made.boot(disk)
    except NoImages as error:
        print(f"nothing is lost but processes: {error}")
    with made.mounts:
        yield made
        for process in mine(world):
            process.kill()
        wait_for(lambda: not mine(world), "nobody uses the disk")


def reboots(machine: Machine, reference: dict[str, Any], times: int, seed: int, **changes: str) -> int:
    """A run whose machine goes down at random moments, and what it ends as; returns how often it went down."""
    chance, world = random.Random(seed), machine.world
    client = start(world, "--candidates", "2", retries="20", disk_reserve_mb="0.0", **changes)
    trials = world.folder("r").path / "trials"
    down = told = 0
    while down < times and not has_finished(world):
        if down == 0:  # one has just been trained, and is scored; the other has checkpoints
            Events(world.folder("r")).wait("trial.updated", status="scoring")
        else:
            wait_for(lambda told=told: has_finished(world) or progress(world) > told, "it trains again")
            time.sleep(chance.uniform(0, 1))
        begun = {place.parent.name: furthest(place) for place in trials.glob("*/checkpoints")}
        machine.go_down(client)
        told = progress(world)
        down += 1
        left = {name: furthest(trials / name / "checkpoints") for name in begun}
        print(f"down {down}: checkpoints {begun}, of them on the disk {left}")
        assert world.folder("r").engine() is None, "an engine of another boot is dead"
        resumed = world.poise("resume", "r")
        assert resumed.returncode == 0, resumed.stderr
    wait_for(lambda: has_finished(world), "the run has finished", deadline=300)
    no_engine(world)
    same(world, reference, 2)
    return down


def progress(world: World) -> int:
    """How often metrics were told."""
    return sum(e.kind == "trial.metrics" for e in Events(world.folder("r")).update())


def has_finished(world: World) -> bool:
    return any(e.data["status"] == "finished" for e in Events(world.folder("r")).update() if e.kind == "run.status")


@pytest.mark.fault(10, 14)
def test_a_run_goes_on_after_a_reboot_from_the_last_checkpoint_that_is_whole(
    finished: Finished, machine: Machine
) -> None:
    assert reboots(machine, finished.export, 1, seed=1) == 1


@pytest.mark.slow
@pytest.mark.fault(10, 14, times=REBOOTS)
def test_a_run_whose_machine_goes_down_again_and_again_ends_as_if_nothing_had_happened(machine: Machine) -> None:
    changes = {"updates": "60"}
    reference = World(machine.world.path / "reference")
    reference.path.mkdir()
    quick = str(profile(reference.path, **changes))
    done = reference.poise(
        "run", "--profile", quick, "--seed", "1", "--workers", "2", "--candidates", "2", "--headless"
    )
    assert done.returncode == 0, done.stderr
    [run] = (reference.path / "runs").glob("[!.]*")
    assert reboots(machine, reference.export(run.name), REBOOTS, seed=2, **changes) == REBOOTS
