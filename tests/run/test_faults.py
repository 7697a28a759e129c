"""What may break under a real discovery, and what is left of it: nothing lost, nothing twice, nobody behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from engine.archive.events import EventReader
from engine.archive.store import read_archive
from engine.process.control import send
from engine.training.checkpoints import furthest
from tests.run.conftest import Finished
from tests.run.victims import no_engine, same, start, trainers
from tests.run.world import Events, World, engine_process, profile, wait_for

SHIM = Path(__file__).parent / "shim"


def kill_at_random(world: World, kills: int, seed: int, longest: float) -> Counter[str]:
    """Kill -9 engine, trainers and dashboards at random moments; take the run up again whenever its engine is dead."""
    chance, done = random.Random(seed), Counter[str]()
    dashboard: pexpect.spawn[bytes] | None = None
    while sum(done.values()) < kills:
        if dashboard is None or not dashboard.isalive():
            command = [sys.executable, ["-P", "-m", "poise_tui", "attach", "r"]]
            dashboard = pexpect.spawn(*command, env=world.environment, cwd=str(world.path), dimensions=(40, 120))
        time.sleep(chance.uniform(0.0, longest))
        if world.folder("r").engine() is None:
            break  # it has finished
        victim = ("engine", "trainer", "dashboard")[sum(done.values()) % 3]
        if victim == "dashboard":
            dashboard.kill(signal.SIGKILL)
            dashboard.wait()
        elif victim == "trainer":
            found = wait_for(lambda: trainers(world) or world.folder("r").engine() is None, "a trainer")
            if found is True:
                break
            chance.choice(found).kill()
        else:
            engine = engine_process(world.folder("r"))
            family = [engine, *engine.children(recursive=True)]
            engine.kill()
            _, alive = psutil.wait_procs(family, timeout=10)
            assert not alive, "nothing outlives a killed engine"
            resumed = world.poise("resume", "r")
            assert resumed.returncode == 0, resumed.stderr
        done[victim] += 1
    if dashboard is not None:
        dashboard.close(force=True)
    return done


@pytest.mark.fault(11, 12, 13)
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(finished: Finished, world: World) -> None:
    client = start(world, "--candidates", "2", retries="20")
    Events(world.folder("r")).wait("trial.metrics")
    done = kill_at_random(world, 3, seed=1, longest=2.0)
    Events(world.folder("r")).wait("run.status", status="finished")
    client.wait(30)
    no_engine(world)
    assert done == {"engine": 1, "trainer": 1, "dashboard": 1}
    same(world, finished.export, 2)


@pytest.mark.fault(9, 15, 16)
def test_a_trainer_that_hangs_or_lost_its_checkpoint_ends_as_if_nothing_had_happened(
    finished: Finished, world: World
) -> None:
    """SIGSTOP to one trainer; then a stop of the run, and damage to the newest checkpoint of another."""
    client = start(world, "--candidates", "2", step_seconds="3.0")
    events = Events(world.folder("r"))
    events.wait("trial.metrics")
    stopped = wait_for(lambda: trainers(world), "a trainer")[0]
    stopped.suspend()
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "engine", "resume", json.dumps({"run_dir": str(world.folder("r").path)})],
        env=world.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    holder = engine_process(world.folder("r")).pid
    assert refused.returncode == 4 and f"its engine is process {holder}" in refused.stderr
    again = events.wait("log", level="warning")
    assert "is started again: made no progress for 3 s" in again.data["message"]
    assert not stopped.is_running()
    assert world.poise("stop", "r").returncode == 0
    assert client.wait(60) == 0
    unfinished = [t["id"] for t in world.export("r")["trials"] if t["status"] == "paused"]
    for trial in unfinished:
        checkpoints = world.folder("r").trial(trial).checkpoints
        newest = checkpoints / f"checkpoint-{furthest(checkpoints)}" / "adapter_model.safetensors"
        data = bytearray(newest.read_bytes())
        data[-1] ^= 1
        newest.write_bytes(data)
    assert world.poise("resume", "r").returncode == 0
    events.wait("run.status", status="finished")
    no_engine(world)
    for trial in unfinished:
        assert list(world.folder("r").trial(trial).checkpoints.glob("damaged-*"))
    assert unfinished
    same(world, finished.export, 2)


@pytest.mark.fault(12, 16)
def test_a_training_that_is_killed_or_stopped_more_often_than_allowed_is_marked_and_the_run_goes_on(
    world: World,
) -> None:
    """No retries: kill -9 to one of the root's trainings, SIGSTOP to a candidate's."""
    client = start(world, "--candidates", "1", retries="0", step_seconds="3.0")
    for trial, hurt in (("c000-baseline-1", signal.SIGKILL), ("c001-search-0", signal.SIGSTOP)):
        wait_for(lambda trial=trial: trainers(world, trial), f"{trial} is trained")[0].send_signal(hurt)
    assert client.wait(120) == 0
    no_engine(world)
    causes = {t["id"]: t["cause"] for t in read_archive(world.folder("r").archive).trials() if t["cause"]}
    assert causes == {
        "c000-baseline-1": "ended by signal 9 (Killed): out of memory, or killed from outside "
        "(given up after 1 starts without progress)",
        "c001-search-0": "made no progress for 3 s (given up after 1 starts without progress)",
    }
    root, stopped = world.export("r")["candidates"]
    assert (root["status"], root["cause"]) == ("scored", None)
    assert (stopped["status"], stopped["cause"]) == ("failed", causes["c001-search-0"])


@pytest.mark.fault(19)
def test_a_clock_that_jumps_by_a_day_changes_nothing(finished: Finished, world: World) -> None:
    client = start(
        world, "--candidates", "1", "--hours", "1", environment={"PYTHONPATH": str(SHIM), "POISE_TEST_CLOCK": "1"}
    )
    assert client.wait(180) == 0
    same(world, finished.export, 1)
    events = EventReader(world.folder("r").events).read()
    times = [e.time for e in events]
    assert max(times) - min(times) > 80_000, "the clock did jump"
    assert world.export("r")["run"]["spent"]["wall_seconds"] < 600


@pytest.mark.fault(8)
def test_a_disk_that_fails_stops_the_engine_loudly(world: World) -> None:
    trigger = world.path / "broken"
    client = start(world, "--candidates", "1", environment={"PYTHONPATH": str(SHIM), "POISE_TEST_FSYNC": str(trigger)})
    Events(world.folder("r")).wait("trial.metrics")
    before = len(EventReader(world.folder("r").events).read())
    trigger.touch()
    assert client.wait(60) == 1
    assert "is read-only since the disk failed (fsync: Input/output error)" in (world.path / "err.log").read_text()
    assert "is read-only since the disk failed" in world.folder("r").engine_log.read_text()
    no_engine(world)
    assert world.export("r")["run"]["status"] == "dead"
    assert len(EventReader(world.folder("r").events).read()) >= before
    trigger.unlink()
    assert world.poise("resume", "r").returncode == 0
    Events(world.folder("r")).wait("run.status", status="finished")


@pytest.fixture
def small_disk() -> Iterator[World]:
    """A machine whose runs lie on a disk of 64 MB."""
    world = World(Path(tempfile.mkdtemp(prefix="poise-run-")))
    (world.path / "runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(world.path / "runs")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        shutil.rmtree(world.path)
        pytest.skip("a small disk can only be mounted by root")
    yield world
    print(world.folder("r").engine_log.read_text())  # shown where a test fails
    subprocess.run(["umount", "-l", str(world.path / "runs")], check=True)
    shutil.rmtree(world.path)


def fill(path: Path, leave: int) -> None:
    """A file that takes all but so many bytes of a disk."""
    with path.open("wb") as file:
        while True:
            found = os.statvfs(path.parent)
            wanted = found.f_bavail * found.f_frsize - leave
            try:
                if wanted > 0:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), wanted)
                return
            except OSError:  # somebody else was quicker: try again with what is left now
                continue


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "left", [pytest.param(0, id="full"), pytest.param(8 << 20, id="below the reserve", marks=pytest.mark.slow)]
)
def test_a_full_disk_pauses_the_run_until_there_is_space(finished: Finished, small_disk: World, left: int) -> None:
    world = small_disk
    client = start(world, "--candidates", "2", disk_reserve_mb="16.0" if left else "0.0", retries="20")
    events = Events(world.folder("r"))
    events.wait("trial.metrics")
    ballast = world.path / "runs" / "ballast"
    fill(ballast, left)
    engine = world.folder("r").engine()
    assert engine is not None
    wait_for(lambda: send(engine.socket, "status")["status"] == "paused", "the run pauses")
    wait_for(lambda: not trainers(world), "what trained is put aside")
    answer = send(engine.socket, "status")
    assert ("no space left on the disk" if not left else "MB left on the disk") in answer["reason"]
    assert (answer["unwritten"] > 0) == (not left)
    assert "poise: paused: " in world.folder("r").engine_log.read_text() or not left
    ballast.unlink()
    assert client.wait(180) == 0
    no_engine(world)
    assert [(t["id"], t["cause"]) for t in read_archive(world.folder("r").archive).trials() if t["cause"]] == []
    same(world, finished.export, 2)


@pytest.mark.fault(18)
def test_a_training_that_diverges_ends_early_and_is_never_best(world: World) -> None:
    client = start(world, "--candidates", "1", learning_rate="1e30")
    assert client.wait(120) == 0
    for candidate in world.export("r")["candidates"]:
        assert candidate["status"] == "failed" and candidate["overall"] is None
        assert candidate["cause"].startswith("diverged: ")
    assert json.loads(world.poise("status", "r", "--json").stdout)["best"] == []


@pytest.mark.fault(11, 12, 13, times=6)
@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_as_if_nothing_had_happened(world: World) -> None:
    changes = {"updates": "60", "retries": "20"}
    reference = World(world.path / "reference")
    reference.path.mkdir()
    arguments = ("--profile", str(profile(reference.path, **changes)), "--name", "r", "--seed", "1", "--workers", "2")
    done = reference.poise("run", *arguments, "--candidates", "4", "--headless", timeout=900)
    assert done.returncode == 0, done.stderr
    client = start(world, "--candidates", "4", **changes)
    Events(world.folder("r")).wait("trial.metrics")
    kills = kill_at_random(world, 20, seed=2, longest=3.0)
    assert sum(kills.values()) == 20, kills
    wait_for(lambda: world.folder("r").engine() is None, "the run has ended", deadline=900)
    client.wait(30)
    no_engine(world)
    same(world, reference.export("r"), 4)
