"""`make install` takes torch first and in the build that fits, asks pip once, and knows when nothing is to do.

A recording stands in the place of the environment's Python: what is tested is what the Makefile asks of pip.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EDITABLE = "-m pip install -e .[dev] -c constraints.txt"


class Installation:
    """A copy of the Makefile beside an environment whose Python writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "asked"
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "venv" / "bin").mkdir(parents=True)
        (folder / "tools").mkdir()
        (folder / "venv" / "bin" / "pip").touch()
        self.script("venv/bin/python", f'echo "$@" >> {self.log}')

    def script(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def make(self, *arguments: str) -> list[str]:
        """What pip was asked during `make install`."""
        self.log.write_text("")
        environment = {**os.environ, "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}", "MAKEFLAGS": ""}
        command = ["make", "-C", str(self.folder), "install", "VENV=venv", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return self.log.read_text().splitlines()


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.script("tools/nvidia-smi", "exit 9")  # installed, but no GPU answers
    return made


def test_without_a_gpu_a_torch_that_lies_on_the_machine_is_taken_before_all_else(
    installation: Installation,
) -> None:
    assert installation.make() == ["-m pip install --quiet --no-index --no-deps torch==2.13.0", EDITABLE]


def test_without_a_gpu_and_without_a_local_file_the_cpu_build_is_taken(installation: Installation) -> None:
    refuse_local = f'echo "$@" >> {installation.log}\ncase "$*" in *--no-index*) exit 1;; esac'
    installation.script("venv/bin/python", refuse_local)
    asked = installation.make()
    assert asked[1:] == ["-m pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu", EDITABLE]


def test_with_a_gpu_torch_is_the_build_of_the_package_index(installation: Installation) -> None:
    installation.script("tools/nvidia-smi", "exit 0")
    assert installation.make() == ["-m pip install torch==2.13.0", EDITABLE]


def test_an_index_of_the_users_choice_wins_and_replaces_the_torch_that_is_there(
    installation: Installation,
) -> None:
    installation.make()
    index = "TORCH_INDEX=https://example.org/cu130"
    forced = "-m pip install --force-reinstall torch==2.13.0 --index-url https://example.org/cu130"
    assert installation.make(index) == [forced, EDITABLE]
    assert installation.make(index) == []


def test_the_second_time_there_is_nothing_to_do_until_the_requirements_change(
    installation: Installation,
) -> None:
    assert len(installation.make()) == 2
    assert installation.make() == []
    later = (installation.folder / "venv" / ".installed").stat().st_mtime + 10
    os.utime(installation.folder / "constraints.txt", (later, later))
    assert installation.make()[-1] == EDITABLE


def test_the_gate_is_make_test_and_make_test_leaves_nothing_out() -> None:
    gate = (ROOT / ".ci" / "run").read_text()
    assert "\nmake test\n" in gate
    assert "|| true" not in gate
    makefile = (ROOT / "Makefile").read_text()
    for tool in ("ruff check .", "mypy", "lint-imports", 'pytest -n 2 --dist worksteal -m "not slow"'):
        assert f"\t$(BIN)/{tool}\n" in makefile
    assert "apt" not in makefile.split(), "only the gate may call the system's package manager"
