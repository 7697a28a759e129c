"""Models of the hub lie in the models folder at one commit; runs never use the network, and offline is explained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import Exit, PoiseError
from engine.process.launch import clean_environment
from engine.profiles.load_model import SHIPPED, load_base, model_dir
from engine.profiles.models_folder import models_folder
from engine.profiles.schema import load_profile
from tests.cli.conftest import refusal
from tests.profiles.hub import COMMIT, hub
from tests.profiles.test_schema import MINE

NAME = "someone/small-model"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A hub with a model of our own, and one without safetensors."""
    ours, pickled = tmp_path / "ours", tmp_path / "pickled"
    shutil.copytree(SHIPPED["tiny"], ours)
    (ours / "pytorch_model.bin").write_bytes(b"a pickle")
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    with hub({NAME: ours, "someone/pickled": pickled}) as address:
        yield address


def fetch(endpoint: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own: the hub's address is read when its client is imported."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environ}
    command = [sys.executable, "-P", "-m", "poise_tui", "fetch", *arguments]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60)


def test_fetch_brings_a_model_at_the_commit_of_its_branch_and_prints_the_line_that_pins_it(endpoint: str) -> None:
    done = fetch(endpoint, NAME)
    folder = models_folder() / NAME
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{folder}: fetched", f'revision = "{COMMIT}"']
    assert json.loads((folder / "source.json").read_text())["revision"] == COMMIT
    assert not (folder / "pytorch_model.bin").exists(), "pickles are never brought"
    assert load_base({"name": NAME, "revision": COMMIT})[1].eos_token == "<eos>"


def test_fetch_of_a_profile_brings_its_model_and_sees_to_its_data(endpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINE.replace('[model]\nname = "tiny"', f'[model]\nname = "{NAME}"\nrevision = "{COMMIT}"'))
    done = fetch(endpoint, "--profile", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [f'revision = "{COMMIT}"', "tasks tiny: all data are there"]
    path.write_text(path.read_text().replace('[tasks]\nname = "tiny"', '[tasks]\nname = "./no-such-file.py"'))
    assert "no-such-file.py" in fetch(endpoint, "--profile", str(path)).stderr


def test_a_model_that_is_there_stays_as_it_is_and_no_network_is_asked(endpoint: str) -> None:
    fetch(endpoint, NAME)
    again = fetch("http://127.0.0.1:9", NAME)
    assert again.stdout.splitlines()[0].endswith(": there already")
    other = fetch(endpoint, NAME, "--revision", OTHER)
    assert f"is revision {COMMIT}: remove it to fetch {OTHER} instead" in refusal(other, Exit.REFUSED)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["someone/nothing"], Exit.NOT_FOUND, "the hub refuses someone/nothing"),
        ([NAME, "--revision", OTHER], Exit.NOT_FOUND, f"the hub refuses {NAME} at {OTHER}"),
        (["someone/pickled"], Exit.NOT_FOUND, f"someone/pickled has no safetensors weights at {COMMIT}"),
        (["nonsense"], Exit.USAGE, "'nonsense' is no model of the hub: give owner/name"),
        ([], Exit.USAGE, "give a model of the hub as owner/name, or --profile"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_one_line_and_leaves_nothing(
    endpoint: str, arguments: list[str], code: int, says: str
) -> None:
    assert says in refusal(fetch(endpoint, *arguments), code)
    assert not list(models_folder().rglob("config.json"))


@pytest.mark.parametrize("environ", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}])
def test_offline_is_told_with_what_to_do_instead(endpoint: str, environ: dict[str, str]) -> None:
    said = refusal(fetch(endpoint, NAME, **environ), Exit.ERROR)
    assert said.startswith("cannot reach the hub (")
    assert f"copy its folder to {models_folder() / NAME}" in said


def test_a_run_of_a_model_that_was_not_fetched_names_the_command_that_brings_it() -> None:
    with pytest.raises(PoiseError, match=f"no model '{NAME}': `poise fetch {NAME}` brings it") as caught:
        model_dir({"name": NAME})
    assert caught.value.code == Exit.NOT_FOUND


def test_another_revision_than_the_profiles_is_refused(endpoint: str) -> None:
    fetch(endpoint, NAME)
    with pytest.raises(PoiseError, match=f"is revision {COMMIT}, the profile wants {OTHER}"):
        model_dir({"name": NAME, "revision": OTHER})


def test_the_models_folder_is_the_users_choice_and_children_are_told_of_it() -> None:
    assert models_folder({"POISE_MODELS": "/big/models"}) == Path("/big/models")
    assert models_folder({"XDG_DATA_HOME": "/data"}) == Path("/data/poise/models")
    assert models_folder({"XDG_DATA_HOME": "not/absolute"}) == Path.home() / ".local/share/poise/models"
    assert clean_environment({"XDG_DATA_HOME": "/data"})["POISE_MODELS"] == "/data/poise/models"


def test_a_folder_beside_the_profile_comes_before_a_hub_model_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINE.replace('[model]\nname = "tiny"', f'[model]\nname = "{NAME}"'))
    assert load_profile(path).model.name == NAME
    (tmp_path / NAME).mkdir(parents=True)
    assert load_profile(path).model.name == str(tmp_path / NAME)


def test_a_revision_is_a_whole_commit_and_no_branch_that_moves(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINE.replace('[model]\nname = "tiny"', f'[model]\nname = "{NAME}"\nrevision = "main"'))
    with pytest.raises(PoiseError, match="revision = 'main': expected match pattern"):
        load_profile(path)
