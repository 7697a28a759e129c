"""The power is cut: a copy of a mounted ext4 image, taken at a random moment, is what the disk would hold."""

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.archive.events import EventReader
from engine.archive.store import Archive
from tests.archive.images import NoImages, make_image, mounted
from tests.archive.test_kill import write_until_killed

pytestmark = pytest.mark.slow
TRIES = 40


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """An ext4 image, mounted at `mounted` beside it."""
    path, place = tmp_path / "disk.img", tmp_path / "mounted"
    place.mkdir()
    try:
        make_image(path, 32)
        with mounted(path, place):
            yield path
    except NoImages as error:
        pytest.skip(str(error))


@pytest.mark.fault(3, times=TRIES)
def test_a_power_cut_loses_nothing_acknowledged(image: Path, tmp_path: Path) -> None:
    dice, total = random.Random(7), 0
    after = tmp_path / "after"
    after.mkdir()
    for attempt in range(TRIES):
        path = tmp_path / "mounted" / f"run{attempt}" / "archive.json"
        path.parent.mkdir()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_until_killed(path, write)
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            acknowledged = [int(pipe.readline()) for _ in range(dice.randint(1, 60))]
            os.kill(child, signal.SIGSTOP)  # the disk stands still while it is copied
            os.waitpid(child, os.WUNTRACED)
            shutil.copyfile(image, tmp_path / "cut.img")
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        with mounted(tmp_path / "cut.img", after):
            found = after / path.parent.name / "archive.json"
            archive = Archive.open(found)
            assert all(damage.tail for damage in archive.damages)
            done = {document["id"] for document in archive.candidates() if "done" in document}
            assert {f"c{number}" for number in acknowledged} <= done
            nodes = [event.node for event in EventReader(found.with_name("events.jsonl")).read() if event.kind == "n"]
            assert nodes == [document["id"] for document in archive.candidates()]
            archive.close()
        total += len(acknowledged)
        shutil.rmtree(path.parent)
    print(f"{TRIES} power cuts, {total} commits acknowledged, 0 lost")
