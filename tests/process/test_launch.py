"""No process outlives the engine, and a dead fork server is replaced."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import PoiseError
from engine.process.executor import LocalExecutor
from engine.process.launch import TRAINER_IMPORTS, Launcher, clean_environment
from tests.process.conftest import MakeJob, open_descriptors, read_when_written, wait_gone

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.fault(11)
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_the_engine(tmp_path: Path, sig: signal.Signals) -> None:
    engine = subprocess.Popen(
        [sys.executable, "-m", "tests.process.engine", str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    assert engine.stdout is not None
    pids = json.loads(engine.stdout.readline())
    assert len(pids) == 6 and all(psutil.pid_exists(pid) for pid in pids)
    engine.send_signal(sig)
    engine.wait()
    engine.stdout.close()
    wait_gone(pids)


@pytest.mark.fault(11)
async def test_a_killed_fork_server_takes_its_children_along_and_is_replaced(
    launcher: Launcher, make_job: MakeJob
) -> None:
    executor = LocalExecutor(launcher)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    job = make_job("start_daemons", id="first", stay=True)
    running = asyncio.create_task(executor.run(job, started.set_result))
    child, server = await started, launcher.server_pid
    in_its_group, outside = await read_when_written(Path(job["folder"], "daemons.json"))
    assert server is not None
    assert launcher.running() == {child: "first"}
    os.kill(server, signal.SIGKILL)
    result = await running
    assert (result["status"], result["exit"]) == ("killed", -signal.SIGKILL)
    assert result["cause"] == "the fork server died, and its children with it"
    wait_gone([child, server, in_its_group])
    os.kill(outside, signal.SIGKILL)  # what left the group of a child whose server is gone needs a namespace
    assert launcher.running() == {} and launcher.server_pid is None

    again = await executor.run(make_job("report", id="second"))
    assert again["status"] == "done"
    assert launcher.server_pid not in (None, server)


async def test_a_fork_server_that_dies_again_and_again_never_hangs_a_job(launcher: Launcher, make_job: MakeJob) -> None:
    executor = LocalExecutor(launcher)
    for i in range(10):
        running = asyncio.create_task(executor.run(make_job("report", id=f"j{i}")))
        await launcher.start()
        assert launcher.server_pid is not None
        os.kill(launcher.server_pid, signal.SIGKILL)
        [outcome] = await asyncio.gather(running, return_exceptions=True)
        if isinstance(outcome, PoiseError):
            assert "fork server died" in str(outcome)
        else:
            assert outcome["status"] in ("done", "killed")


async def test_one_who_stops_waiting_for_the_imports_disturbs_nobody(make_job: MakeJob) -> None:
    launcher = Launcher(["json", "engine.process.telemetry"], sandbox=None, allow_calls=True)
    executor = LocalExecutor(launcher)
    for impatient in (launcher.start(), executor.run(make_job("report", id="impatient"))):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(impatient, 0.001)
    assert (await executor.run(make_job("report", id="patient")))["status"] == "done"
    await launcher.close()


async def test_closing_ends_every_child(make_job: MakeJob) -> None:
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    before = open_descriptors()
    job = make_job("loop")
    Path(job["folder"]).mkdir(parents=True)
    child = await launcher.spawn(job)
    server = launcher.server_pid
    await launcher.close()
    assert server is not None
    assert (await child.wait()).code is None
    wait_gone([child.pid, server])
    assert open_descriptors() == before


async def test_an_import_that_fails_is_one_clear_line() -> None:
    launcher = Launcher(["json", "no_such_module_anywhere"], sandbox=None)
    with pytest.raises(PoiseError, match="cannot start: ModuleNotFoundError: No module named 'no_such_module"):
        await launcher.start()
    await launcher.close()


async def test_an_import_that_starts_a_thread_is_refused_before_any_fork() -> None:
    launcher = Launcher(["tests.process.threaded"], sandbox=None)
    with pytest.raises(PoiseError, match="the imports started threads"):
        await launcher.start()
    await launcher.close()


async def test_a_job_whose_folder_is_missing_fails_and_harms_nobody(launcher: Launcher, make_job: MakeJob) -> None:
    missing = await launcher.spawn(make_job("report", id="missing"))
    assert (await missing.wait()).code == 1
    assert (await LocalExecutor(launcher).run(make_job("report")))["status"] == "done"


async def test_a_pid_that_was_reused_is_not_killed(launcher: Launcher, make_job: MakeJob) -> None:
    """The start time tells a child from a stranger of the same number."""
    stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    job = make_job("loop")
    Path(job["folder"]).mkdir(parents=True)
    child = await launcher.spawn(job)  # long enough after it to differ: start times count 10 ms
    real, child.pid = child.pid, stranger.pid
    child.kill()
    child.pid = real
    child.kill()
    assert (await child.wait()).signal == signal.SIGKILL
    stranger.terminate()
    assert await stranger.wait() == -signal.SIGTERM  # not SIGKILL


def test_a_fork_server_is_not_started_from_a_thread_that_may_end() -> None:
    """The kernel's parent-death signal fires when the starting thread ends, not the process."""
    caught: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(Launcher(["json"], sandbox=None).start())
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_the_environment_is_an_allow_list() -> None:
    clean = clean_environment({"PATH": "/bin", "MY_SECRET": "x", "PYTHONPATH": "/evil", "LD_PRELOAD": "evil.so"})
    assert clean["PATH"] == "/bin"
    assert not {"MY_SECRET", "LD_PRELOAD", "HOME"} & set(clean)
    assert "/evil" not in clean.values()


async def test_with_all_of_trl_imported_a_child_starts_within_a_second_and_alone(make_job: MakeJob) -> None:
    """The real imports: one thread before the fork, a quick start, memory limits that torch feels."""
    launcher = Launcher(TRAINER_IMPORTS, sandbox=None, allow_calls=True)
    await launcher.start()
    executor = LocalExecutor(launcher)
    begun = time.monotonic()
    result = await executor.run(make_job("report"))
    assert result["status"] == "done"
    assert "trl.trainer.grpo_trainer" in result["data"]["modules"]
    assert result["data"]["threads"] == 1
    assert result["data"]["entered"] - begun < 1.0
    limited = await executor.run(make_job("torch_allocate", limits={"memory_mb": 1000}))
    assert (limited["status"], limited["cause"]) == ("failed", "out of memory (limit 1000 MB)")
    await launcher.close()
