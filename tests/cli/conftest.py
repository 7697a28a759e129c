"""Running `poise` as a user does."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.folder import create_run
from engine.archive.store import Archive, Change
from poise_tui.cli import main

Poise = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def runs(own_world: Path) -> Path:
    """The folder of runs that `poise` finds without an option."""
    return own_world / "runs"


@pytest.fixture
def poise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Poise]:
    """`poise("ls", "--debug")` -> what the command leaves, standing in `tmp_path`, without a terminal.

    It runs in this process: seventy starts of Python would take a minute.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> "subprocess.CompletedProcess[str]":
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        said = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield call


def refusal(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The one line a refused command leaves."""
    assert done.returncode == code, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("poise: ")
    return lines[0].removeprefix("poise: ")


CANDIDATE = {
    "id": "c000", "name": "GRPO", "parent": None, "depth": 0, "status": "scored", "cause": None,
    "proposal": {"hypothesis": "the root", "mechanisms": []}, "code_sha256": None, "verification": None,
    "overall": 30.0, "benchmarks": {"add": {"metric": "avg@8", "value": 30.0, "n": 100, "ci": [28.0, 32.0]}},
    "fidelity": 1.0, "seeds": [1], "reflection": None, "attribution": None, "confirmed": None,
    "cost": {"train_seconds": 1.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
    "provenance": {"proposer": "root", "model": None}, "sandbox": "full", "created": 1.0, "finished": 2.0,
    "pinned": False, "decision": {"saw": [], "terms": {}},
}  # fmt: skip
"""A candidate document as docs/architecture.md has it."""


def write_run(runs: Path, name: str, status: str = "finished") -> Path:
    """A run with three candidates, written through the archive itself; no engine runs it."""
    folder = create_run(runs, name)
    folder.config.write_text("")
    document = {
        "id": name, "profile": "tiny", "status": status, "created": 1.0, "seed": 1, "directive": None,
        "budget": {"candidates": 2, "hours": None, "usd": None},
        "spent": {"wall_seconds": 60.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "workers": 2, "lag": 4, "protocol": "p", "llm": "poise/composer", "sandbox": "full",
    }  # fmt: skip
    archive = Archive.open(folder.archive)
    archive.commit([Change("run", name, document)], [Event("run.created", None, document)])
    for fields in (
        {},
        {"id": "c001", "name": "Better\x1b[31m", "parent": "c000", "depth": 1, "overall": 41.25},
        {"id": "c002", "name": "Broken", "parent": "c001", "depth": 2, "overall": None, "status": "failed"},
    ):
        candidate = {**CANDIDATE, **fields}
        change = Change("candidates", candidate["id"], candidate)
        archive.commit([change], [Event("candidate.created", candidate["id"], candidate)])
    archive.close()
    return folder.path
