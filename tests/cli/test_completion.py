"""A shell completes commands, options, runs and nodes; versions are named without importing what is heavy."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.archive.formats import FORMAT
from tests.cli.conftest import Poise, refusal, write_run


def completed(poise: Poise, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    monkeypatch.setenv("_POISE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    return [offer.partition(",")[2] for offer in poise().stdout.split()]


def test_commands_options_runs_and_nodes_are_completed(
    poise: Poise, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        write_run(runs, name)
    assert completed(poise, monkeypatch, "poise st") == ["stop", "status"]
    assert "--headless" in completed(poise, monkeypatch, "poise run --he")
    assert sorted(completed(poise, monkeypatch, "poise status o")) == ["one", "other"]
    assert completed(poise, monkeypatch, "poise prune c00") == ["c000", "c001", "c002"]
    assert completed(poise, monkeypatch, "poise prune other c002") == ["c002"]
    assert completed(poise, monkeypatch, "poise prune nowhere c") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_really_completes(own_world: Path) -> None:
    write_run(own_world / "runs", "my-run")
    (own_world / "poise").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m poise_tui "$@"\n')
    (own_world / "poise").chmod(0o755)
    script = (
        'eval "$(poise completion bash)"; COMP_WORDS=(poise status my); COMP_CWORD=2; COMP_TYPE=9;'
        ' _poise_completion poise; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{own_world}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout == "my-run\n", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_own_script(poise: Poise, shell: str) -> None:
    assert f"_POISE_COMPLETE={shell}_complete" in poise("completion", shell).stdout


def test_an_unknown_shell_is_refused(poise: Poise) -> None:
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in refusal(poise("completion", "tcsh"), 2)


def test_the_versions_that_matter_are_named(poise: Poise) -> None:
    lines = poise("--version").stdout.splitlines()
    for name in ("torch", "transformers", "trl", "peft", "textual", "tinydb", "litellm"):
        assert f"{name} {version(name)}" in lines
    assert lines[-2:] == ["algorithm contract 1", f"run format {FORMAT}"]
