"""A full disk and a failing one, for real: a tiny tmpfs, and the kernel's calls made to fail by strace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.archive.events import Event, EventReader
from engine.archive.store import Archive, Change, NoSpace, ReadOnlyArchive, read_archive
from engine.errors import PoiseError

CHECKOUT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from engine.archive.events import Event
from engine.archive.store import Archive, Change
archive = Archive.open(Path(sys.argv[1]))
number = len(archive.candidates())
for number in range(number, number + 8):
    archive.commit([Change("candidates", f"c{number}", {"text": "x" * 500})], [Event("n", f"c{number}")])
    print(number, flush=True)
    if number % 4 == 3:
        archive.compact()
archive.close()
print("closed")
"""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs without root: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def commit(archive: Archive, number: int, size: int = 4000) -> None:
    change = Change("candidates", f"c{number}", {"text": "x" * size})
    archive.commit([change], [Event("n", f"c{number}")])


def nodes(path: Path) -> list[str | None]:
    return [event.node for event in EventReader(path.with_name("events.jsonl")).read() if event.kind == "n"]


@pytest.mark.fault(7)
def test_a_full_disk_refuses_the_commit_keeps_everything_and_goes_on_when_there_is_space(tiny_disk: Path) -> None:
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(400_000))
    path = tiny_disk / "archive.json"
    archive = Archive.open(path)
    number = 0
    with pytest.raises(NoSpace, match=r"no space left to write .*journal: free some, nothing was lost"):
        while True:
            commit(archive, number)
            number += 1
    names = [f"c{i}" for i in range(number)]
    assert number > 50
    for _ in range(3):  # it stays refused, and stays readable
        with pytest.raises(NoSpace):
            commit(archive, number)
        assert [d["id"] for d in archive.candidates()] == [d["id"] for d in read_archive(path).candidates()] == names
    archive.compact()  # no room for that either: given up without harm
    assert archive.failed is None
    filler.unlink()
    commit(archive, number)
    assert nodes(path) == [*names, f"c{number}"]
    archive.close()
    again = Archive.open(path)
    assert again.damages == ()
    assert [d["id"] for d in again.candidates()] == [*names, f"c{number}"]
    again.close()


@pytest.mark.fault(7)
def test_an_archive_opens_on_a_full_disk_and_begins_none_there(tiny_disk: Path) -> None:
    path = tiny_disk / "archive.json"
    archive = Archive.open(path)
    commit(archive, 0)
    archive.close()
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1000))
    again = Archive.open(path)
    assert [d["id"] for d in again.candidates()] == ["c0"]
    with pytest.raises(NoSpace):
        commit(again, 1)
    again.close()
    (tiny_disk / "other").mkdir()
    (tiny_disk / "other" / "archive.lock").touch()
    with pytest.raises(PoiseError, match=r"no space|cannot"):
        commit(Archive.open(tiny_disk / "other" / "archive.json"), 1)


@pytest.mark.fault(8)
def test_a_failed_fsync_makes_the_archive_read_only_and_is_never_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "archive.json"
    archive = Archive.open(path)
    commit(archive, 0)
    calls, real = [], os.fdatasync

    def fails(handle: int) -> None:
        calls.append(handle)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(ReadOnlyArchive, match=r"read-only since the disk failed \(fsync: Input/output error\)"):
        commit(archive, 1)
    monkeypatch.setattr(os, "fdatasync", real)
    for _ in range(3):
        with pytest.raises(ReadOnlyArchive):
            commit(archive, 1)
        with pytest.raises(ReadOnlyArchive):
            archive.database.table("candidates").insert({"id": "c1"})
    assert (len(calls), archive.failed) == (1, "fsync: Input/output error")
    assert [d["id"] for d in archive.candidates()] == ["c0"]
    assert nodes(path) == ["c0"], "nothing was told"
    archive.close()
    again = Archive.open(path)
    assert [d["id"] for d in again.candidates()] == ["c0"]
    commit(again, 1)
    again.close()


def strace(tmp_path: Path, path: Path, inject: str) -> list[str]:
    """Run the writer with one of its calls made to fail, or with itself killed there; returns what it said."""
    command = ["strace", "-f", "-qq", "-o", tmp_path / "trace", "-e"]
    command += ["trace=" + inject.partition(":")[0], "-e", f"inject={inject}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", WRITER, path],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"no strace here: {done.stderr.splitlines()[0]}")
    return done.stdout.split()


def after(tmp_path: Path, inject: str) -> list[str]:
    """One life with a fault; checks that all it acknowledged is there."""
    path = tmp_path / "run" / "archive.json"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    said = strace(tmp_path, path, inject)
    archive = Archive.open(path)
    assert all(damage.tail for damage in archive.damages)
    found = [document["id"] for document in archive.candidates()]
    acknowledged = [f"c{word}" for word in said if word != "closed"]
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1
    assert nodes(path) == found
    commit(archive, 99)
    archive.close()
    return said


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
PLACES = [("fdatasync", 5), ("fsync", 3), ("pwrite64", 9), ("rename", 1), ("fdatasync", 9), ("unlink", 1)]


@pytest.mark.fault(8)
@needs_strace
@pytest.mark.parametrize(("call", "when"), PLACES[:3])
def test_an_error_of_the_disk_from_the_kernel_acknowledges_nothing_more(tmp_path: Path, call: str, when: int) -> None:
    said = after(tmp_path, f"{call}:error=EIO:when={when}+")
    assert "closed" not in said


@pytest.mark.fault(2)
@needs_strace
@pytest.mark.parametrize(("call", "when"), PLACES)
def test_kill_9_within_a_call_loses_nothing_acknowledged(tmp_path: Path, call: str, when: int) -> None:
    said = after(tmp_path, f"{call}:signal=KILL:when={when}")
    assert "closed" not in said


@pytest.mark.fault(2, 7, 8)
@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite64", "rename", "link", "unlink", "ftruncate"])
def test_a_fault_at_each_call_of_a_kind_loses_nothing_acknowledged(tmp_path: Path, call: str, fault: str) -> None:
    when = 0
    said: list[str] = []
    while when < 60:
        when += 1
        said = after(tmp_path, f"{call}:{fault}:when={when}")
        if "closed" in said and fault == "signal=KILL":
            break  # there is no call of that number
        if "closed" in said and when > 30:
            break
    print(f"{call} {fault}: {when} lives")
