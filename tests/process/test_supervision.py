"""A process that lives is not one that works: what hangs is found, killed with all it started, and named."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import PoiseError
from engine.process import executor as executors
from engine.process import launch
from engine.process.executor import LocalExecutor, Watch
from engine.process.launch import Launcher
from engine.process.limits import Limits
from tests.process.conftest import MakeJob, read_when_written, wait_gone

STEPS = {"progress": "metrics.jsonl"}


@pytest.mark.fault(16)
async def test_a_job_without_progress_is_ended_with_all_it_started(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("steps", hang=True, limits={"wall_seconds": 30, "step_seconds": 0.4}, **STEPS)
    began = time.monotonic()
    pids: list[int] = []
    running = asyncio.create_task(executor.run(job, pids.append))
    child = await read_when_written(Path(job["folder"], "child.json"))
    result = await running
    assert (result["status"], result["reason"]) == ("timeout", "hung")
    assert result["cause"] == "made no progress for 0.4 s"
    wait_gone([*pids, child], timeout=1.0)
    assert time.monotonic() - began < 10


@pytest.mark.fault(16)
async def test_a_stopped_trainer_is_found_by_the_steps_it_does_not_make(
    executor: LocalExecutor, make_job: MakeJob
) -> None:
    job = make_job("steps", steps=10_000, pace=0.02, limits={"wall_seconds": 30, "step_seconds": 0.4}, **STEPS)
    pids: list[int] = []
    running = asyncio.create_task(executor.run(job, pids.append))
    while not Path(job["folder"], "metrics.jsonl").exists():  # noqa: ASYNC110 - files ring no bell
        await asyncio.sleep(0.01)
    os.kill(pids[0], signal.SIGSTOP)
    result = await running
    assert (result["status"], result["reason"], result["exit"]) == ("timeout", "hung", -signal.SIGKILL)


async def test_slow_steps_are_no_hang(executor: LocalExecutor, make_job: MakeJob) -> None:
    """It takes three times the deadline of a step, and makes one in time every time."""
    job = make_job("steps", steps=8, pace=0.3, limits={"wall_seconds": 30, "step_seconds": 0.8}, **STEPS)
    assert (await executor.run(job))["status"] == "done"


@pytest.mark.parametrize(("function", "reason"), [("loop", "time"), ("ignore_termination", "hung")])
async def test_a_job_without_steps_hangs_if_it_overruns_its_time_and_does_nothing(
    executor: LocalExecutor, make_job: MakeJob, function: str, reason: str
) -> None:
    assert (await executor.run(make_job(function, limits={"wall_seconds": 0.8})))["reason"] == reason


@pytest.mark.fault(19)
def test_a_machine_that_was_paused_kills_nobody_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(executors.time, "monotonic", lambda: now)
    watch = Watch(Limits(step_seconds=10), tmp_path, tmp_path / "metrics.jsonl")
    now += 3600  # nobody looked for an hour: the job was paused with us
    assert watch.overdue() is None
    seconds = 0
    while watch.overdue() is None:
        now += 1
        seconds += 1
    assert 7 <= seconds <= 10


async def test_one_job_never_runs_twice_at_once(executor: LocalExecutor, make_job: MakeJob) -> None:
    """Not even while the first one is still being started."""
    first = asyncio.create_task(executor.run(make_job("steps")))
    await asyncio.sleep(0)
    with pytest.raises(PoiseError, match="job c001-search-0 is running already"):
        await executor.run(make_job("steps"))
    assert (await first)["status"] == "done"
    assert (await executor.run(make_job("steps")))["status"] == "done"


async def test_a_fork_server_that_does_not_come_up_has_a_deadline(make_job: MakeJob) -> None:
    launcher = Launcher(["tests.process.slow_import"], sandbox=None, import_seconds=0.5)
    starting = asyncio.create_task(LocalExecutor(launcher).run(make_job("steps")))
    with pytest.raises(PoiseError, match=r"the fork server did not start within 0\.5 s"):
        await starting
    await launcher.close()


@pytest.mark.fault(16)
async def test_a_stopped_fork_server_is_replaced(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its children included, whose ends it would never tell."""
    monkeypatch.setattr(launch, "REAP_SECONDS", 0.5)
    launcher = Launcher(["json"], sandbox=None, allow_calls=True, fork_seconds=0.5)
    executor = LocalExecutor(launcher, grace=0.2)
    await launcher.start()
    server = launcher.server_pid
    assert server is not None
    pids: list[int] = []
    job = make_job("steps", hang=True, limits={"step_seconds": 0.4}, **STEPS)
    running = asyncio.create_task(executor.run(job, pids.append))
    await read_when_written(Path(job["folder"], "child.json"))
    os.kill(server, signal.SIGSTOP)
    with pytest.raises(PoiseError, match=r"started no process within 0\.5 s"):
        await executor.run(make_job("steps", id="second"))
    assert (await running)["reason"] in ("hung", "server")
    wait_gone([server, *pids])
    assert (await executor.run(make_job("steps", id="third")))["status"] == "done"
    await launcher.close()


async def test_a_stopped_fork_server_does_not_hold_up_the_end(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "REAP_SECONDS", 0.3)
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    await launcher.start()
    server = launcher.server_pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    await launcher.close()
    wait_gone([server])


async def test_closing_ends_what_a_child_moved_out_of_its_group(make_job: MakeJob) -> None:
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    job = make_job("start_daemons", stay=True)
    running = asyncio.create_task(LocalExecutor(launcher).run(job))
    daemons = await read_when_written(Path(job["folder"], "daemons.json"))
    await launcher.close()
    assert (await running)["status"] == "killed"
    wait_gone(daemons, timeout=1.0)


@pytest.mark.parametrize(
    ("function", "fields", "reason"),
    [
        ("allocate", {"limits": {"memory_mb": 200}}, "memory"),
        ("fail_with", {"error": "RuntimeError", "says": "CUDA out of memory. Tried to allocate 2 GiB"}, "memory"),
        ("fail_with", {"error": "OSError"}, "disk"),
        ("fail_with", {"error": "RuntimeError", "says": "I/O error: No space left on device (os error 28)"}, "disk"),
        ("fail_with", {"error": "RuntimeError", "says": "boom"}, None),
        ("abort", {}, None),
        ("leave_silently", {}, None),
    ],
)
async def test_every_failure_that_can_be_mended_says_which_it_is(
    executor: LocalExecutor, make_job: MakeJob, function: str, fields: dict[str, object], reason: str | None
) -> None:
    assert (await executor.run(make_job(function, **fields)))["reason"] == reason


@pytest.mark.fault(12)
async def test_a_job_killed_from_outside_is_told_from_one_we_killed(executor: LocalExecutor, make_job: MakeJob) -> None:
    outside = await executor.run(make_job("loop"), lambda pid: psutil.Process(pid).kill())
    assert (outside["status"], outside["reason"]) == ("killed", "killed")
    ours = await executor.run(make_job("loop"), lambda pid: executor.kill("c001-search-0", "pruned"))
    assert (ours["status"], ours["reason"], ours["cause"]) == ("killed", "asked", "pruned")
