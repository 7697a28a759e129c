"""The tutorial, typed line by line as a reader would."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from engine.archive.folder import RunFolder
from tests.docs.commands import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8").splitlines()
LINES = [line.strip() for line in TUTORIAL if line.startswith("    poise ")]
PATIENCE = 1800
"""Seconds after which a command is taken to hang."""


def test_its_commands_are_there() -> None:
    assert len(LINES) > 20


@pytest.mark.slow
@pytest.mark.pty
def test_a_reader_who_types_the_tutorial_sees_no_error(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "xterm-256color"}
    environment |= {"POISE_RUNS": str(tmp_path / "runs")}
    behind: list[subprocess.Popen[bytes]] = []
    try:
        for line in LINES:
            if line.endswith("&"):
                behind.append(subprocess.Popen(line.removesuffix("&").split(), cwd=tmp_path, env=environment))
                name = line.split()[line.split().index("--name") + 1]
                wait_for_engine(RunFolder(tmp_path / "runs" / name), behind[-1])
            elif line.startswith("poise attach"):
                look(line, tmp_path, environment)
            else:
                done = subprocess.run(
                    ["bash", "-c", line],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    finally:
        for name in ("second", "third"):
            subprocess.run(["poise", "stop", name], cwd=tmp_path, env=environment, capture_output=True)
        for process in behind:
            process.wait(PATIENCE)


def wait_for_engine(folder: RunFolder, process: subprocess.Popen[bytes]) -> None:
    """Until a run's engine answers, as a reader waits for the first line."""
    while folder.engine() is None or not folder.archive.exists():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)


def look(line: str, folder: Path, environment: dict[str, str]) -> None:
    """Open the dashboard, see the root in it, and leave."""
    child = pexpect.spawn(line, cwd=str(folder), env=environment, dimensions=(24, 80), timeout=60)
    child.expect("GRPO")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
