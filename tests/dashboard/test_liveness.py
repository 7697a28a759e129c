"""Nothing looks newer than it is: silence and age are told, and what comes back is taken up again by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.archive.folder import RunFolder
from engine.process.lock import RunLock
from poise_tui.app import PoiseApp
from poise_tui.feed import FolderFeed
from poise_tui.liveness import stale, state
from poise_tui.snapshot import Run, Snapshot
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until

NOW = recorded.START + 1000
RUN = Run("r", "tiny", "running", "running", 5, 0.0, NOW, NOW, 0.0, 0.0)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that a process holds which answers nobody."""
    folder = recorded.write(tmp_path, status="running")
    lock = RunLock.acquire(folder.lock, str(tmp_path / "nobody"))
    yield folder
    lock.release()


def test_a_state_is_told_with_its_age() -> None:
    assert state(RUN, NOW)[0] == "running"
    assert state(replace(RUN, silent_since=NOW - 40), NOW)[0] == "engine silent for 40 s"
    assert state(replace(RUN, silent_since=NOW - 720), NOW)[0] == "presumed dead: silent for 12 min"
    assert state(replace(RUN, shown="finished"), NOW + 3 * 3600)[0] == "finished 3 h ago"
    assert state(replace(RUN, shown="dead"), NOW + 2 * 86400)[0] == "dead 2 d ago"
    assert stale(RUN, NOW + 5) is None and stale(RUN, NOW + 25) == "no news for 25 s"
    assert stale(replace(RUN, shown="paused"), NOW + 25) is None, "who pauses wants no news"


def test_an_engine_that_hangs_is_silent_and_one_that_works_again_is_not(held: RunFolder) -> None:
    now = 0.0
    feed = FolderFeed(held, clock=lambda: now)

    def run() -> Run:
        found = feed.poll().run
        assert found is not None
        return found

    assert run().silent_since is None
    then = time.time() - 40
    os.utime(held.lock, (then, then))
    now += 2
    assert run().silent_since == pytest.approx(then, abs=2) and run().shown == "running"
    assert feed.poll() is feed.poll(), "silence alone repaints nothing"
    os.utime(held.lock)
    now += 10
    assert run().silent_since is None


def test_a_folder_out_of_reach_is_said_and_taken_up_again(held: RunFolder, tmp_path: Path) -> None:
    now = 0.0
    feed = FolderFeed(held, clock=lambda: now)
    before = feed.poll()
    held.path.rename(tmp_path / "elsewhere")
    now += 2
    assert (run := feed.poll().run) is not None and run.shown == "gone"
    (tmp_path / "elsewhere").rename(held.path)
    now += 2
    after = feed.poll()
    assert (run := after.run) is not None and run.shown == "running" and after.candidates is before.candidates


async def test_a_disk_that_fails_for_a_while_ends_nothing(held: RunFolder) -> None:
    class Failing(FolderFeed):
        left = 3

        def poll(self) -> Snapshot:
            if self.left:
                self.left -= 1
                raise OSError(5, "Input/output error")
            return super().poll()

    app = PoiseApp(folder=held)
    app.make_feed = Failing  # type: ignore[method-assign]
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "c004" in screen(app), "the run, once it can be read")


async def test_silence_and_the_age_of_an_end_are_on_screen(held: RunFolder) -> None:
    then = time.time() - 40
    os.utime(held.lock, (then, then))
    app = PoiseApp(folder=held)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "engine silent for 4" in screen(app), "the silence")
    app = PoiseApp(folder=recorded.write(held.path.parent, name="ended"), clock=lambda: recorded.START + 7300)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "finished 2 h ago" in screen(app), "the age")
