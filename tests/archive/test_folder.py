"""Where runs live, and how one is found."""

import os
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.files import read_limited, write_atomic, write_json
from engine.archive.folder import RunFolder, create_run, default_runs_dir, find_run, list_runs, shown_status
from engine.errors import Exit, PoiseError
from engine.process.lock import RunLock


def begin(runs: Path, name: str, created: float) -> RunFolder:
    folder = create_run(runs, name)
    folder.config.write_text("")
    folder.events.write_bytes(Event("run.created", None, {}, 1, created).line())
    return folder


def test_a_run_is_found_by_id_by_folder_or_as_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    old, new = begin(runs, "old", 1.0), begin(runs, "new", 2.0)
    os.utime(old.path, (9e9, 9e9))  # touched last, but created first
    assert find_run("old", runs) == old
    assert find_run(None, runs) == new
    assert find_run(str(old.path), tmp_path / "elsewhere") == old
    monkeypatch.chdir(runs)
    assert find_run("./old", tmp_path / "elsewhere") == old
    assert list_runs(runs) == [new, old]


@pytest.mark.parametrize("reference", ["nothing", "../old", "/", "", "old/candidates", None])
def test_no_such_run_is_code_3(tmp_path: Path, reference: str | None) -> None:
    with pytest.raises(PoiseError, match="no run") as caught:
        find_run(reference, tmp_path / "runs")
    assert caught.value.code == Exit.NOT_FOUND


def test_a_run_that_exists_is_not_begun_again(tmp_path: Path) -> None:
    create_run(tmp_path, "demo")
    with pytest.raises(PoiseError, match="run demo exists") as caught:
        create_run(tmp_path, "demo")
    assert caught.value.code == Exit.REFUSED


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x" * 65, "ä", "a\n"])
def test_a_name_that_is_no_plain_name_is_wrong_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(PoiseError, match="run name") as caught:
        create_run(tmp_path, name)
    assert caught.value.code == Exit.USAGE
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PoiseError, match="cannot create") as caught:
        create_run(tmp_path / "file" / "runs", "demo")
    assert caught.value.code == Exit.REFUSED


def test_runs_live_where_the_user_says_else_in_the_checkout_else_in_the_data_folder(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("engine", "poise_tui"):
        (checkout / name).mkdir(parents=True)
    (checkout / "pyproject.toml").write_text("")
    environ = {"POISE_RUNS": "/data/runs", "XDG_DATA_HOME": "/xdg"}
    assert default_runs_dir(Path("mine"), environ, checkout) == checkout / "mine"
    assert default_runs_dir(None, environ, checkout) == Path("/data/runs")
    del environ["POISE_RUNS"]
    assert default_runs_dir(None, environ, checkout) == checkout / "runs"
    assert default_runs_dir(None, environ, tmp_path) == Path("/xdg/poise/runs")
    home = Path.home() / ".local/share/poise/runs"
    assert default_runs_dir(None, {}, tmp_path) == home
    assert default_runs_dir(None, {"XDG_DATA_HOME": "relative"}, tmp_path) == home


def test_a_run_that_should_run_but_has_no_engine_is_dead(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "demo")
    assert shown_status("running", folder) == shown_status("paused", folder) == "dead"
    assert shown_status("finished", folder) == "finished"
    lock = RunLock.acquire(folder.lock, "/tmp/x.sock")
    assert shown_status("running", folder) == "running"
    assert shown_status("paused", folder) == "paused"
    lock.release()
    assert shown_status("running", folder) == "dead"


def test_a_replaced_file_is_never_half_written_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("keep")
    (tmp_path / "control").symlink_to(outside)
    write_atomic(tmp_path / "control", b"pause")
    assert outside.read_text() == "keep"
    assert (tmp_path / "control").read_text() == "pause"


def test_reading_untrusted_files_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 101)
    with pytest.raises(OSError, match="more than 100 bytes"):
        read_limited(tmp_path / "big", 100)
    assert len(read_limited(tmp_path / "big", 101)) == 101
