"""`poise doctor` finds what is wrong with a machine or a run, says how bad it is, and what helps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.archive.events import Event
from engine.archive.store import Archive, Change
from engine.training.checkpoints import seal
from poise_tui.commands.finding import Finding
from poise_tui.commands.machine_findings import disk_kind, logind, probe
from tests.cli.conftest import Poise, refusal, write_run

ENGINE = """
import asyncio, sys
from pathlib import Path
from engine.process.control import ControlServer
from engine.process.lock import RunLock

async def handle(command, fields):
    return {}

async def main():
    folder = Path(sys.argv[1])
    server = ControlServer(folder / "s", handle)
    await server.start()
    lock = RunLock.acquire(folder / "engine.lock", str(folder / "s"))
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""The part of an engine that a client meets: the lock and the socket."""


def report(poise: Poise, *arguments: object, code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings of `poise doctor --json`, by what was looked at; the first of each."""
    done = poise("doctor", *arguments, "--json")
    assert done.returncode == code, done
    found = json.loads(done.stdout)
    assert found["ok"] == (code == 0)
    assert all(set(f) == {"what", "level", "says", "do"} for f in found["findings"])
    assert all(f["level"] in ("ok", "warning", "error") for f in found["findings"])
    return {f["what"]: f for f in reversed(found["findings"])}


# The machine.


def test_a_machine_is_looked_at_as_a_whole_by_the_real_command(runs: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "poise_tui", "doctor"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    seen = {line.split()[1] for line in done.stdout.splitlines() if line.startswith(("ok ", "warning "))}
    assert {"python", "disk", "memory", "sandbox", "landlock", "seccomp", "torch", "gpus", "profile"} <= seen
    assert not runs.exists(), "looking changes nothing"


def test_every_warning_says_what_helps(poise: Poise) -> None:
    for finding in report(poise, "--quick").values():
        assert finding["level"] == "ok" or finding["do"], finding


def test_the_quick_look_leaves_torch_out(poise: Poise) -> None:
    assert not {"torch", "gpus", "profile"} & set(report(poise, "--quick"))


def test_the_client_itself_never_imports_torch() -> None:
    script = "import sys\nfrom poise_tui.cli import main\ntry: main(['doctor'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "torch        2." in done.stdout and done.stdout.splitlines()[-1] == "False"


def test_runs_in_memory_are_warned_of(poise: Poise) -> None:
    found = report(poise, "--quick", "--runs-dir", "/dev/shm")["file system"]
    assert found["level"] == "warning" and "gone after a reboot" in found["says"]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_runs_on_a_network_are_warned_of(kind: str) -> None:
    found = disk_kind(kind)
    assert found.level == "warning" and "network" in found.says and "local" in found.do


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_is_an_error(poise: Poise) -> None:
    found = report(poise, "--quick", "--runs-dir", "/proc/sys/runs", code=1)["runs folder"]
    assert found["level"] == "error" and "--runs-dir" in found["do"]


def test_a_socket_folder_that_others_may_enter_is_an_error(poise: Poise, own_world: Path) -> None:
    (own_world / "runtime" / "poise").mkdir()
    (own_world / "runtime" / "poise").chmod(0o777)
    assert "not yours alone" in report(poise, "--quick", code=1)["sockets"]["says"]


def test_without_a_runtime_folder_it_says_where_sockets_go(poise: Poise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert "XDG_RUNTIME_DIR is not set" in report(poise, "--quick")["sockets"]["says"]


def test_a_shell_with_low_limits_is_warned_of() -> None:
    command = f"ulimit -S -n 256; exec {sys.executable} -P -m poise_tui doctor --quick"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "open files 256" in done.stdout and "ulimit" in done.stdout


@pytest.mark.parametrize(
    ("main", "drop_in", "lingers", "level"),
    [
        ("KillUserProcesses=no", None, False, "ok"),
        ("#KillUserProcesses=yes", None, False, "ok"),
        ("KillUserProcesses=yes", None, False, "warning"),
        ("KillUserProcesses=yes", None, True, "ok"),
        ("KillUserProcesses=no", "KillUserProcesses=yes", False, "warning"),
        ("KillUserProcesses=yes", "[Login]\nKillUserProcesses = no", False, "warning"),
        ("KillUserProcesses=yes", "[Login]\nKillUserProcesses=no", False, "ok"),
    ],
)
def test_a_login_manager_that_kills_engines_is_warned_of(
    tmp_path: Path, main: str, drop_in: str | None, lingers: bool, level: str
) -> None:
    assert logind(tmp_path, "me").level == "ok", "no systemd at all"
    for folder in ("run/systemd/system", "etc/systemd/logind.conf.d", "var/lib/systemd/linger"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/systemd/logind.conf").write_text(f"[Login]\n{main}\n")
    if drop_in is not None:
        (tmp_path / "etc/systemd/logind.conf.d/50-x.conf").write_text(drop_in)
    if lingers:
        (tmp_path / "var/lib/systemd/linger/me").touch()
    found = logind(tmp_path, "me")
    assert found.level == level
    assert level == "ok" or "enable-linger" in found.do


def test_a_broken_torch_is_an_error_with_its_reason(
    poise: Poise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    found = report(poise, code=1)["torch"]
    assert found["level"] == "error" and "libcudart.so.13" in found["says"]


def test_a_torch_that_hangs_costs_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = probe("tiny", tmp_path, seconds=1.0)
    assert isinstance(found, Finding)
    assert found.level == "error" and "not imported within 1 s" in found.says


def test_a_profile_whose_model_is_not_there_is_an_error(poise: Poise, tmp_path: Path) -> None:
    from engine.profiles import schema

    text = (Path(schema.__file__).parent / "tiny.toml").read_text()
    (tmp_path / "my.toml").write_text(text.replace('name = "tiny"              #', 'name = "./no-such-model"  #'))
    found = report(poise, "--profile", "my.toml", code=1)["profile"]
    assert found["level"] == "error" and "no-such-model" in found["says"]


# A run.


@pytest.fixture
def engine(runs: Path) -> Iterator[subprocess.Popen[str]]:
    """A live holder of the lock of a run `live`."""
    folder = write_run(runs, "live", status="running")
    command = [sys.executable, "-c", ENGINE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_a_finished_run_is_in_order(poise: Poise, runs: Path) -> None:
    before = {path: path.read_bytes() for path in write_run(runs, "done").rglob("*") if path.is_file()}
    found = report(poise, "done")
    assert found["engine"]["says"] == "none runs it; the run is finished"
    assert found["llm.jsonl"]["says"] == "0 calls, $0.0000"
    assert "KiB" in found["disk use"]["says"]
    assert {path: path.read_bytes() for path in (runs / "done").rglob("*") if path.is_file()} == before


def test_an_engine_that_runs_and_answers_is_named(poise: Poise, engine: subprocess.Popen[str]) -> None:
    found = report(poise, "live")["engine"]
    assert found["level"] == "ok" and f"process {engine.pid}" in found["says"]


def test_a_dead_engine_is_recognised_and_resume_is_what_helps(poise: Poise, engine: subprocess.Popen[str]) -> None:
    engine.kill()
    engine.wait()
    found = report(poise, "live")["engine"]
    assert found["level"] == "warning" and f"process {engine.pid} died" in found["says"]
    assert found["do"] == "`poise resume live`"


def test_an_engine_that_is_stopped_in_its_tracks_is_an_error(
    poise: Poise, engine: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise_tui.commands.run_findings.PING_SECONDS", 0.5)
    os.kill(engine.pid, signal.SIGSTOP)
    found = report(poise, "live", code=1)["engine"]
    assert "did not answer within 0.5 s" in found["says"] and f"kill -9 {engine.pid}" in found["do"]


def test_a_run_that_another_host_holds_is_said_to_be(poise: Poise, runs: Path) -> None:
    lock = {"pid": 7, "start_time": 1, "boot_id": "b", "host": "elsewhere", "socket": "/s"}
    (write_run(runs, "far", status="running") / "engine.lock").write_text(json.dumps(lock))
    found = report(poise, "far")["engine"]
    assert found["level"] == "warning" and "elsewhere" in found["says"]


def test_lines_of_the_ledger_that_cannot_be_read_are_counted(poise: Poise, runs: Path) -> None:
    path = write_run(runs, "done") / "llm.jsonl"
    path.write_text('{"usd": 0.25}\n\x00\x00\n{"usd": 0.5}\n{"usd": 9, "torn')
    found = report(poise, "done")["llm.jsonl"]
    assert found["level"] == "warning" and found["says"] == "2 calls, $0.7500; 1 lines cannot be read"


def test_a_ledger_that_lost_calls_the_archive_knows_of_is_seen(poise: Poise, runs: Path) -> None:
    archive = Archive.open(write_run(runs, "done") / "archive.json")
    spent = {"spent": {"wall_seconds": 1.0, "gpu_seconds": 0.0, "llm_usd": 2.5}}
    archive.commit([Change("run", "done", spent)], [Event("run.updated", None, spent)])
    archive.close()
    found = report(poise, "done")["llm.jsonl"]
    assert found["level"] == "warning" and "$2.5000" in found["says"]


def test_trainings_that_would_start_anew_are_named(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "mine", status="stopped")
    archive = Archive.open(folder / "archive.json")
    for name, kept in (("c001-search-0", True), ("c002-search-0", False)):
        trial = {"id": name, "candidate": name[:4], "purpose": "search", "status": "paused", "trained": False}
        archive.commit([Change("trials", name, trial)], [Event("trial.created", name[:4], trial)])
        if kept:
            checkpoint = folder / "trials" / name / "checkpoints" / "checkpoint-16"
            checkpoint.mkdir(parents=True)
            (checkpoint / "weights").write_bytes(b"x" * 100_000)
            seal(checkpoint, {})
    archive.close()
    found = report(poise, "mine")
    assert found["checkpoints"]["says"] == "1 of 2 unfinished trainings have one; from their beginning: c002-search-0"
    assert "KiB checkpoints" in found["disk use"]["says"]
    with (checkpoint / "weights").open("r+b") as file:
        file.write(b"y")
    found = report(poise, "mine")
    assert found["checkpoints"]["level"] == "warning"
    assert found["checkpoints"]["says"].endswith("not as sealed: c001-search-0/checkpoint-16")


def test_a_torn_archive_is_explained_and_left_as_it_is(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "torn", status="stopped")
    journal = max(folder.glob("archive.*.journal"), key=lambda path: path.stat().st_size)
    with journal.open("ab") as file:
        file.write(b"half a record")
    before = journal.read_bytes()
    done = poise("doctor", "torn")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error") and journal.name in line]
    assert "cuts it" in line
    assert journal.read_bytes() == before
    assert poise("status", "torn").returncode == 0, "what was acknowledged is there"


def test_a_damaged_archive_is_an_error(poise: Poise, runs: Path) -> None:
    (write_run(runs, "bad") / "archive.json").write_text("{")
    found = report(poise, "bad", code=1)
    assert found["archive"]["level"] == "error"
    assert any(f["level"] == "error" and f["do"] for f in found.values())


def test_an_unknown_run_or_profile_is_refused_in_one_line(poise: Poise) -> None:
    assert refusal(poise("doctor", "nothing"), 3).startswith("no run 'nothing' in ")
    assert refusal(poise("doctor", "--profile", "tinny"), 2).startswith("unknown profile 'tinny'")


# A profile on this machine.


def test_a_profile_that_needs_a_gpu_is_told_so_with_the_cards_that_do_and_what_a_candidate_costs(poise: Poise) -> None:
    done = poise("doctor", "--profile", "qwen-math", "--json")
    found = json.loads(done.stdout)
    findings = {f["what"]: f for f in reversed(found["findings"])}
    if found["outlook"]["machine"]["gpu"]:
        pytest.skip("this machine has a GPU")
    assert done.returncode == 1
    assert findings["fits"]["level"] == "error" and "qwen-math does not fit here" in findings["fits"]["says"]
    assert findings["fits"]["do"].startswith("run it on a machine with an NVIDIA GPU")
    assert "days a candidate" in findings["time"]["says"] and "an estimate from" in findings["time"]["says"]
    assert findings["profile"]["do"] == "`poise fetch --profile qwen-math`"
    cards = {case["memory"] >> 30: case for case in found["outlook"]["cards"]}
    assert list(cards) == [16, 24, 48, 80] and all(case["fits"] for case in cards.values())
    assert all(sum(case["parts"].values()) >= case["total"] for case in cards.values())
    assert cards[24]["sampler"] == "vllm" and cards[24]["seconds"] > 3600


def test_a_time_that_was_measured_comes_before_an_estimate(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "earlier")
    archive = Archive.open(folder / "archive.json")
    cost = {"train_seconds": 100.0, "score_seconds": 20.0, "gpu_seconds": 0.0}
    trial = {
        "id": "c000-baseline-0", "candidate": "c000", "purpose": "baseline", "seed": 1, "off": [], "rung": 1.0,
        "split": "development", "overall": 30.0, "benchmarks": {}, "rungs": [], "status": "scored", "cost": cost,
    }  # fmt: skip
    archive.commit([Change("trials", trial["id"], trial)], [Event("trial.created", "c000", trial)])
    archive.close()
    found = json.loads(poise("doctor", "--json").stdout)
    if found["outlook"]["machine"]["gpu"]:
        pytest.skip("trainings on another kind of device do not count")
    assert found["outlook"]["measured"] == {"seconds": 120.0, "trainings": 1, "run": "earlier"}
    said = next(f["says"] for f in found["findings"] if f["what"] == "time")
    assert said == "2.0 min a candidate, measured: the median of 1 training of earlier"
    assert next(f["level"] for f in found["findings"] if f["what"] == "fits") == "ok"
