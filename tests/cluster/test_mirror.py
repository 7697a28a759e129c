"""What a job writes on a node is what its run's folder holds, and nothing outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cluster import mirror
from engine.cluster.mirror import Mirror, Piece, apply


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def carry(mirrored: Mirror, here: Path) -> list[Piece]:
    """All changes there are."""
    done = []
    while pieces := mirrored.changes():
        apply(here, pieces)
        done += pieces
    return done


def test_files_grow_change_and_go_as_they_do_there(there: Path, here: Path) -> None:
    mirrored = Mirror(there)
    (there / "metrics.jsonl").write_text('{"step": 1}\n')
    (there / "adapter").mkdir()
    (there / "adapter" / "weights").write_bytes(b"w" * 1000)
    (there / "empty").touch()
    carry(mirrored, here)
    assert content(here) == content(there)
    with (there / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2}\n')
    (there / "adapter" / "weights").unlink()
    (there / "adapter").rmdir()
    assert [(p.path, p.offset) for p in carry(mirrored, here)] == [("metrics.jsonl", 12), ("adapter/weights", 0)]
    assert content(here) == content(there)
    assert not (here / "adapter").exists()
    assert carry(mirrored, here) == []


def test_a_file_that_was_replaced_by_a_longer_one_comes_whole(there: Path, here: Path) -> None:
    """A resumed training cuts its curves and writes on: what had been told of them may be something else now."""
    mirrored = Mirror(there)
    (there / "metrics.jsonl").write_text("1\n2\n3\n")
    carry(mirrored, here)
    (there / "metrics.tmp").write_text("1\nb\nc\nd\n")
    (there / "metrics.tmp").replace(there / "metrics.jsonl")
    carry(mirrored, here)
    (there / "metrics.jsonl").write_text("1\nx\nc\nd\ne\n")  # in place
    carry(mirrored, here)
    assert content(here) == content(there)


def test_large_files_come_in_pieces(there: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "PIECE_BYTES", 10)
    monkeypatch.setattr(mirror, "BATCH_BYTES", 25)
    for name in ("a", "b"):
        (there / name).write_bytes(bytes(range(64)))
    mirrored = Mirror(there)
    assert sum(len(p.data or b"") for p in mirrored.changes()) == 30
    mirrored = Mirror(there)
    carry(mirrored, here)
    assert content(here) == content(there)


def test_a_checkpoint_comes_when_it_is_sealed_and_its_manifest_last(there: Path, here: Path) -> None:
    mirrored = Mirror(there)
    point = there / "checkpoints" / "checkpoint-2"
    point.mkdir(parents=True)
    (point / "trainer_state.json").write_text("{}")
    assert carry(mirrored, here) == []
    (point / "manifest.json").write_text("{}")
    assert [p.path.rpartition("/")[2] for p in carry(mirrored, here)] == ["trainer_state.json", "manifest.json"]


def test_what_belongs_to_one_machine_stays_there(there: Path, here: Path) -> None:
    for name in ("job.json", "control", ".metrics.jsonl.half"):
        (there / name).write_text("x")
    (there / "tmp").mkdir()
    (there / "tmp" / "scratch").write_text("x")
    assert carry(Mirror(there), here) == []


def test_links_pipes_and_paths_that_lead_elsewhere_are_left_out(there: Path, here: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("k")
    (there / "link").symlink_to(secret / "key")
    (there / "folder").symlink_to(secret)
    os.mkfifo(there / "pipe")
    assert carry(Mirror(there), here) == []
    (here / "planted").symlink_to(secret)
    apply(here, [Piece("../outside", 0, b"x"), Piece("/outside", 0, b"x"), Piece("planted/key", 0, b"x")])
    assert (secret / "key").read_text() == "k"
    assert not (tmp_path / "outside").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(here: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("v")
    (here / "metrics.jsonl").symlink_to(tmp_path / "victim")
    apply(here, [Piece("metrics.jsonl", 0, b"m")])
    assert (tmp_path / "victim").read_text() == "v"
    assert (here / "metrics.jsonl").read_text() == "m"
