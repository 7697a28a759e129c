"""A user's mistake ends in one clear line and the exit code of its kind, never in a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from poise_tui.cli import MODULES
from tests.cli.conftest import Poise, refusal, write_run


@pytest.mark.parametrize("command", MODULES)
def test_every_command_explains_itself(poise: Poise, command: str) -> None:
    done = poise(command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(f"Usage: poise {command} ")
    assert len(done.stdout.split("\n\n")[1].strip()) > 20, "a sentence on what it does"


def test_the_help_names_every_command_with_what_it_does(poise: Poise) -> None:
    lines = poise("--help").stdout.splitlines()
    for command in MODULES:
        (described,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert len(described.split()) >= 4


def test_the_version_is_the_packages(poise: Poise) -> None:
    done = poise("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("poise, version ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command 'nonsense' (see `poise --help`)"),
        (["run", "--nonsense"], "No such option '--nonsense'"),
        (["run", "--candidates", "0"], "Invalid value for '--candidates': 0 is not in the range x>=1"),
        (["run", "--candidates", "many"], "Invalid value for '--candidates': 'many' is not a valid"),
        (["run", "--hours", "-1"], "Invalid value for '--hours': -1.0 is not in the range x>0"),
        (["run", "--hours", "nan"], "Invalid value for '--hours': nan is no amount"),
        (["resume", "--usd", "0"], "Invalid value for '--usd': 0.0 is not in the range x>0"),
        (["resume", "--gpu-hours", "inf"], "Invalid value for '--gpu-hours': inf is no amount"),
        (["run", "--profile", "tinny"], "unknown profile 'tinny': use qwen-math, smollm2, tiny, or"),
        (["run", "--profile", "no.toml"], "no profile file no.toml: give a TOML file, or one of qwen-math"),
        (["run", "--name", "a/b"], "--name 'a/b': use letters, digits"),
        (["run", "--root", "no.py"], "--root no.py: no such file"),
        (["run", "--gpu-hours", "0"], "Invalid value for '--gpu-hours': 0.0 is not in the range x>0"),
        (["run", "--control", "best=2"], "--control best=2: write random=K"),
        (["run", "--control", "random=0"], "--control random=0: write random=K"),
        (["run", "--notes", "nowhere"], "--notes nowhere: no such folder"),
        (["weights", "r", "beauty"], "'beauty' is no NAME=NUMBER"),
        (["run", "--ray-address", "auto"], "--ray-address is for --executor ray"),
        (["prune"], "Missing argument '[RUN] NODE' (see `poise prune --help`)"),
        (["pin", "a", "b", "c"], "give a run and one node, not 3 words"),
        (["export", "--format", "xml"], "Invalid value for '--format': 'xml' is not one of"),
        (["verify", "no.py"], "no file no.py: give an algorithm file"),
        (["train", "no.py"], "no file no.py: give an algorithm file"),
        (["score", "no"], "no folder no: give the --out of `poise train`, or a trial's folder"),
        (["score", "."], "no adapter in .: its training has not ended"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_code_2(poise: Poise, arguments: list[str], says: str) -> None:
    assert refusal(poise(*arguments), 2).startswith(says)


def test_a_profile_that_is_no_toml_is_refused_before_anything_starts(poise: Poise, tmp_path: Path, runs: Path) -> None:
    (tmp_path / "my.toml").write_text("name = \n")
    line = refusal(poise("run", "--profile", "my.toml"), 2)
    assert line.startswith(f"profile {tmp_path / 'my.toml'} is not TOML: ")
    assert "line 1" in line
    assert not runs.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["export"],
        ["stop"],
        ["pause"],
        ["resume"],
        ["attach"],
        ["prune", "c001"],
    ],
)
def test_without_any_run_every_run_command_says_so_with_code_3(poise: Poise, arguments: list[str], runs: Path) -> None:
    assert refusal(poise(*arguments), 3) == f"no run in {runs}: start one with `poise run`"


@pytest.mark.parametrize(
    "arguments",
    [["status", "x"], ["export", "x"], ["stop", "x"], ["pause", "x"], ["resume", "x"], ["attach", "x"],
     ["prune", "x", "c1"], ["restore", "x", "c1"], ["pin", "x", "c1"], ["unpin", "x", "c1"]],
)  # fmt: skip
def test_an_unknown_run_is_refused_with_code_3_wherever_runs_live(
    poise: Poise, arguments: list[str], tmp_path: Path
) -> None:
    line = refusal(poise(*arguments, "--runs-dir", tmp_path / "mine"), 3)
    assert line == f"no run 'x' in {tmp_path / 'mine'}: `poise ls` lists them"


def test_a_name_that_is_taken_is_refused_with_code_4_and_the_run_is_untouched(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "mine")
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    line = refusal(poise("run", "--name", "mine"), 4)
    assert line == f"run mine exists in {runs}: choose another --name, or `poise resume mine`"
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_runs_dir_that_is_a_file_is_refused_with_code_4(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refusal(poise("run", "--runs-dir", "file"), 4)
    assert line == f"{tmp_path / 'file'} is a file: runs need a folder, give another --runs-dir"


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that even root cannot write to")
def test_runs_dir_without_permission_is_refused_with_code_4(poise: Poise) -> None:
    line = refusal(poise("run", "--runs-dir", "/proc/sys/runs"), 4)
    assert line == "no permission to write in /proc/sys: give another --runs-dir"


@pytest.mark.parametrize("command", ["pause", "stop", "prune", "restore", "pin", "unpin"])
def test_steering_a_run_without_an_engine_is_refused_with_code_4(poise: Poise, command: str, runs: Path) -> None:
    write_run(runs, "done")
    arguments = ["done"] if command in ("pause", "stop") else ["done", "c001"]
    assert refusal(poise(command, *arguments), 4) == "no engine runs done now: `poise resume done` starts one"


def test_attach_without_a_terminal_is_refused_with_what_works_instead(poise: Poise, runs: Path) -> None:
    write_run(runs, "done")
    assert refusal(poise("attach", "done"), 2) == "the dashboard needs a terminal; `poise status done` does not"


def test_train_never_writes_into_a_folder_that_holds_something_else(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    line = refusal(poise("train", "a.py", "--out", "out"), 4)
    assert line == f"{tmp_path / 'out'} exists and holds no training: give another --out"
    (tmp_path / "out" / "job.json").write_text(json.dumps({"algorithm": "b.py", "profile": {}, "seed": 0}))
    line = refusal(poise("train", "a.py", "--out", "out"), 4)
    assert line == f"{tmp_path / 'out'} holds the training of another file, profile or seed: give another --out"
    (tmp_path / "out" / "adapter").mkdir()
    line = refusal(poise("train", "a.py", "--out", "out"), 4)
    assert line == f"{tmp_path / 'out'} holds a finished training: give another --out"


def test_debug_shows_the_traceback_before_the_line(poise: Poise) -> None:
    for arguments in (["--debug", "status"], ["status", "--debug"]):
        done = poise(*arguments)
        assert done.returncode == 3
        assert done.stderr.startswith("Traceback")
        assert done.stderr.splitlines()[-1].startswith("poise: no run in ")


def test_a_reader_that_goes_away_is_no_error_worth_words(runs: Path) -> None:
    write_run(runs, "done")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "poise_tui", "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
