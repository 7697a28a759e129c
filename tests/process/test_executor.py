"""A job is JSON, a result is JSON, and whatever the job does, there is a result."""

import asyncio
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from engine.errors import Exit, PoiseError
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from tests.process.conftest import MakeJob, open_descriptors, read_when_written, wait_gone


async def test_a_done_job_returns_its_data(executor: LocalExecutor, make_job: MakeJob) -> None:
    pids: list[int] = []
    result = await executor.run(make_job("report"), pids.append)
    assert list(result) == ["id", "status", "cause", "reason", "wall_seconds", "cpu_seconds", "exit", "data"]
    assert (result["id"], result["status"], result["cause"], result["exit"]) == (
        "c001-search-0",
        "done",
        None,
        0,
    )
    assert result["data"]["pid"] == pids[0]
    assert result["wall_seconds"] >= 0 and result["cpu_seconds"] > 0


async def test_the_job_is_kept_beside_its_result(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("report", seed=7)
    await executor.run(job)
    folder = Path(job["folder"])
    assert json.loads((folder / "job.json").read_text()) == job
    assert json.loads((folder / "result.json").read_text())["status"] == "done"
    assert not (folder / "tmp").exists()


async def test_no_key_of_the_engine_is_visible_to_a_child(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "LD_PRELOAD_CANARY",
    ):
        monkeypatch.setenv(name, "canary-8f2a")
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    result = await LocalExecutor(launcher).run(make_job("report"))
    await launcher.close()
    assert "canary-8f2a" not in json.dumps(result["data"])
    assert result["data"]["environment"]["HF_HUB_OFFLINE"] == "1"


async def test_a_child_lives_in_its_own_session_and_folder_with_no_file_but_its_log(
    executor: LocalExecutor, make_job: MakeJob
) -> None:
    job = make_job("report")
    data = (await executor.run(job))["data"]
    assert data["pid"] == data["session"] == data["group"]
    assert data["name"] == "poise-call:test"  # as `ps` and `top` show it, cut by the kernel
    assert data["folder"] == data["environment"]["HOME"] == job["folder"]
    log = f"{job['folder']}/call.log"
    assert data["descriptors"] == ["/dev/null", log, log]
    assert data["threads"] == 1
    assert data["core"] == [0, 0]
    assert data["safe_path"]


async def test_no_connection_to_the_engine_is_left_in_a_childs_heap(executor: LocalExecutor, make_job: MakeJob) -> None:
    assert (await executor.run(make_job("other_sockets")))["data"] == {"alive": 0}


async def test_an_endless_loop_ends_at_its_deadline(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("loop", limits={"wall_seconds": 0.2}))
    assert (result["status"], result["cause"]) == ("timeout", "ran longer than 0.2 s")
    assert result["exit"] == -signal.SIGTERM
    assert result["cpu_seconds"] > 0


async def test_a_job_that_ignores_termination_is_killed(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("ignore_termination", limits={"wall_seconds": 0.3}))
    assert result["status"] == "timeout"
    assert result["exit"] == -signal.SIGKILL


@pytest.mark.fault(16)
async def test_a_stopped_process_is_found_by_its_deadline(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("loop", limits={"wall_seconds": 0.3})
    result = await executor.run(job, lambda pid: os.kill(pid, signal.SIGSTOP))
    assert result["status"] == "timeout"


async def test_processor_time_is_limited(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("loop", limits={"wall_seconds": 30, "cpu_seconds": 1}))
    assert (result["status"], result["cause"]) == ("timeout", "used more than 1 s of processor time")


@pytest.mark.fault(17)
async def test_memory_is_limited_and_named_as_the_cause(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("allocate", limits={"wall_seconds": 30, "memory_mb": 200}))
    assert (result["status"], result["cause"]) == ("failed", "out of memory (limit 200 MB)")


@pytest.mark.fault(25)
async def test_a_log_cannot_fill_the_disk(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("print_for_ever", limits={"wall_seconds": 30, "file_mb": 1})
    result = await executor.run(job)
    assert result["status"] == "failed" and "File too large" in result["cause"]
    assert Path(job["folder"], "call.log").stat().st_size <= 1 << 20


async def test_a_huge_result_is_refused(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("huge_result"))
    assert result["status"] == "failed" and "holds more than 1048576 bytes" in result["cause"]
    assert result["data"] == {}


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "null",
        "[]",
        '{"status": "done"}',
        "\xff\xfe",
        "[" * 100_000,
        '{"status":"won","cause":null,"data":{}}',
    ],
)
async def test_a_malformed_result_is_a_failure(executor: LocalExecutor, make_job: MakeJob, garbage: str) -> None:
    result = await executor.run(make_job("write_garbage_result", garbage=garbage))
    assert result["status"] == "failed"
    assert result["cause"].startswith("wrote a result.json that cannot be used")


async def test_a_result_that_links_elsewhere_is_not_followed(
    executor: LocalExecutor, make_job: MakeJob, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text('{"status": "done", "cause": null, "data": {"secret": 1}}')
    result = await executor.run(make_job("link_result", target=str(target)))
    assert (result["status"], result["data"]) == ("failed", {})


async def test_a_pipe_for_a_result_does_not_hang_the_engine(executor: LocalExecutor, make_job: MakeJob) -> None:
    assert (await executor.run(make_job("pipe_result")))["status"] == "failed"


async def test_a_folder_that_a_job_has_booby_trapped_can_be_used_again(
    executor: LocalExecutor, make_job: MakeJob
) -> None:
    job = make_job("report")
    for name in ("job.json", "result.json", "control"):
        Path(job["folder"], name, "deep").mkdir(parents=True)
    assert (await executor.run(job))["status"] == "done"


async def test_a_folder_that_cannot_be_made_is_one_clear_line(
    executor: LocalExecutor, make_job: MakeJob, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PoiseError, match=r"cannot prepare .*: Not a directory"):
        await executor.run(make_job("report", folder=str(tmp_path / "file" / "trial")))


async def test_data_that_is_no_json_is_a_failure(executor: LocalExecutor, make_job: MakeJob) -> None:
    result = await executor.run(make_job("not_json"))
    assert result["status"] == "failed" and "no JSON" in result["cause"]


async def test_a_cause_is_one_printable_line_and_the_traceback_is_in_the_log(
    executor: LocalExecutor, make_job: MakeJob
) -> None:
    job = make_job("print_garbage")
    result = await executor.run(job)
    assert (result["status"], result["cause"]) == ("failed", "last line of it")
    log = Path(job["folder"], "call.log").read_bytes()
    assert b"Traceback" in log and b"RuntimeError: line one" in log


@pytest.mark.parametrize(
    ("function", "status", "cause", "code"),
    [
        ("leave_silently", "failed", "ended without a result (exit code 7); see call.log", 7),
        ("call_exit", "failed", "the code called exit('enough')", 0),
        ("refuse", "failed", "the profile has no tasks", 0),
        ("abort", "killed", "ended by signal 6 (Aborted)", -6),
        ("no_such_function", "failed", "AttributeError: module 'tests.process.jobs' has no", 0),
    ],
)
async def test_every_way_to_end_has_its_cause(
    executor: LocalExecutor, make_job: MakeJob, function: str, status: str, cause: str, code: int
) -> None:
    result = await executor.run(make_job(function))
    assert (result["status"], result["exit"]) == (status, code)
    assert result["cause"].startswith(cause)


@pytest.mark.parametrize(("word", "status"), [("pause", "paused"), ("stop", "stopped")])
async def test_a_control_word_reaches_the_job(
    executor: LocalExecutor, make_job: MakeJob, word: str, status: str
) -> None:
    job = make_job("wait_for_control")
    result = await executor.run(job, lambda _: executor.control(job["id"], word))
    assert result["status"] == status
    assert result["data"]["steps"] >= 0
    # A resumed job must not find yesterday's word.
    again = await executor.run(job, lambda _: executor.control(job["id"], "stop"))
    assert again["status"] == "stopped"


async def test_a_killed_job_says_why_and_leaves_nothing_running(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("start_daemons", stay=True)
    running = asyncio.create_task(executor.run(job))
    daemons = await read_when_written(Path(job["folder"], "daemons.json"))
    executor.kill(job["id"], "pruned")
    result = await running
    assert (result["status"], result["cause"], result["exit"]) == ("killed", "pruned", -signal.SIGKILL)
    wait_gone(daemons)


async def test_what_a_job_left_running_ends_with_it(executor: LocalExecutor, make_job: MakeJob) -> None:
    job = make_job("start_daemons")
    assert (await executor.run(job))["status"] == "done"
    wait_gone(json.loads(Path(job["folder"], "daemons.json").read_text()))


async def test_a_cancelled_run_kills_its_job(executor: LocalExecutor, make_job: MakeJob) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(executor.run(make_job("loop"), started.set_result))
    pid = await started
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    wait_gone([pid])


async def test_a_graded_job_finds_its_own_grader_connection_where_it_was_told(
    launcher: Launcher, make_job: MakeJob
) -> None:
    def connect(job: dict[str, object]) -> socket.socket:
        ours, theirs = socket.socketpair()

        def answer() -> None:
            with ours:
                assert ours.recv(100) == b"hello\n"
                ours.sendall(str(job["id"]).encode())

        threading.Thread(target=answer, daemon=True).start()
        return theirs

    executor = LocalExecutor(launcher, connect, graded=[make_job("ask_grader")["kind"]])
    before = open_descriptors()
    results = await asyncio.gather(*(executor.run(make_job("ask_grader", id=f"t{i}")) for i in range(8)))
    assert [result["data"] for result in results] == [{"answer": f"t{i}", "fd": 3} for i in range(8)]
    assert len(open_descriptors() - before) <= 1  # the fork server's socket


async def test_many_jobs_run_side_by_side_without_mixing(executor: LocalExecutor, make_job: MakeJob) -> None:
    jobs = [make_job("report", id=f"c{i:03d}-search-0", padding="x" * 300_000) for i in range(12)]
    results = await asyncio.gather(*(executor.run(job) for job in jobs))
    assert [result["id"] for result in results] == [job["id"] for job in jobs]
    assert [result["data"]["folder"] for result in results] == [job["folder"] for job in jobs]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "relative"}, "absolute"),
        ({"limits": {"memory": 3}}, "unexpected keyword"),
        ({"profile": {1, 2}}, "not JSON serializable"),
        ({"id": 3}, "must be text"),
    ],
)
async def test_a_malformed_job_is_refused_in_one_line(
    executor: LocalExecutor, make_job: MakeJob, change: dict[str, object], message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        await executor.run(make_job("report") | change)


async def test_steering_a_job_that_does_not_run_is_refused(executor: LocalExecutor) -> None:
    with pytest.raises(PoiseError, match="job c009-search-0 is not running") as caught:
        executor.control("c009-search-0", "pause")
    assert caught.value.code == Exit.NOT_FOUND


async def test_free_calls_need_a_launcher_that_allows_them(make_job: MakeJob) -> None:
    launcher = Launcher(["json"], sandbox=None)
    result = await LocalExecutor(launcher).run(make_job("report"))
    await launcher.close()
    assert result["status"] == "failed" and "no such kind of job" in result["cause"]
