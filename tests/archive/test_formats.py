"""A run of an older version is read as it is and migrated without loss; one of a newer version is refused."""

import tarfile
from pathlib import Path

import pytest

from engine.archive.events import EventReader
from engine.archive.files import folder_sha256
from engine.archive.folder import RunFolder
from engine.archive.formats import FORMAT, format_of
from engine.archive.store import Archive, read_archive
from engine.errors import Exit, PoiseError
from engine.loop.config import read_config
from engine.loop.migrate import migrate
from engine.profiles.schema import Profile
from tests.cli.conftest import Poise, poise, refusal, runs, write_run

__all__ = ["poise", "runs"]

OLD = Path(__file__).parent / "run_of_format_1.tar.gz"
"""A run of two candidates that a version from before there were rungs made; weights and work files taken out."""


@pytest.fixture
def old(own_world: Path) -> RunFolder:
    with tarfile.open(OLD) as packed:
        packed.extractall(own_world / "runs", filter="data")
    return RunFolder(own_world / "runs" / "old")


def migrated(folder: RunFolder) -> None:
    archive = Archive.open(folder.archive)
    try:
        migrate(folder, archive, read_config(folder))
    finally:
        archive.close()


@pytest.mark.parametrize("command", [("status", "old"), ("export", "old"), ("ls",), ("compare", "old", "old")])
def test_looking_at_an_old_run_works_and_changes_nothing(poise: Poise, old: RunFolder, command: tuple[str]) -> None:
    before = folder_sha256(old.path)
    done = poise(*command)
    assert done.returncode == 0, done.stderr
    assert "KlScale-GRPO" in done.stdout
    assert folder_sha256(old.path) == before


def test_a_migration_takes_nothing_away(old: RunFolder) -> None:
    before, config = read_archive(old.archive), old.config.read_bytes()
    events = EventReader(old.events).read()
    migrated(old)
    after = read_archive(old.archive)
    for one, other in zip(
        [before.run(), *before.candidates(), *before.trials()],
        [after.run(), *after.candidates(), *after.trials()],
        strict=True,
    ):
        assert {key: other[key] for key in one} == one
    told = EventReader(old.events).read()
    assert told[: len(events)] == events
    assert told[-1].data["message"].startswith(f"migrated from format 1 to {FORMAT}: 8 documents got ")
    assert (old.path / "run.format-1.toml").read_bytes() == config


def test_a_migrated_run_has_what_a_new_one_has(old: RunFolder) -> None:
    migrated(old)
    archive = read_archive(old.archive)
    (first, *_), root = archive.trials(), archive.candidates()[0]
    assert [rung["overalls"] for rung in root["rungs"]] == [[t["overall"] for t in archive.trials("c000")]]
    assert first["rungs"][0]["overall"] == first["overall"]
    assert root["rungs"][0]["updates"] == 8
    profile = read_config(old).profile
    assert format_of(old.path) == FORMAT
    assert Profile.model_validate(profile).resolved() == profile
    # As the older version behaved, not as the defaults are now.
    assert profile["search"]["weights"] == {"performance": 0.6, "diversity": 0.2, "pareto": 0.2, "bayes": 0.0}
    assert profile["search"]["rungs"]["at"] == []
    assert profile["confirm"]["candidates"] == 0


def test_migrating_twice_changes_nothing_more(old: RunFolder) -> None:
    migrated(old)
    seen, config = EventReader(old.events).read(), old.config.read_bytes()
    migrated(old)
    assert EventReader(old.events).read() == seen
    assert old.config.read_bytes() == config


NEWER = "has format 99, and this version knows"


@pytest.mark.parametrize("command", ["status", "export", "report", "doctor", "gc", "resume", "attach"])
def test_a_run_of_a_newer_version_is_refused_in_one_line(poise: Poise, runs: Path, command: str) -> None:
    (write_run(runs, "future") / "run.toml").write_text("format = 99\n")
    assert NEWER in refusal(poise(command, "future"), Exit.REFUSED)


def test_the_list_of_runs_names_one_of_a_newer_version(poise: Poise, runs: Path) -> None:
    (write_run(runs, "future") / "run.toml").write_text("format = 99\n")
    (line,) = [line for line in poise("ls").stdout.splitlines() if line.startswith("future")]
    assert "of a newer version" in line


def test_an_engine_refuses_a_newer_run_too(runs: Path) -> None:
    folder = RunFolder(write_run(runs, "future"))
    folder.config.write_text("format = 99\n")
    with pytest.raises(PoiseError, match=NEWER):
        read_config(folder)
