"""The feed: every event once, whole lines only, whenever the files come."""

from __future__ import annotations

from pathlib import Path

from engine.archive.folder import RunFolder
from engine.process.lock import RunLock
from poise_tui.feed import CHUNK, FolderFeed
from poise_tui.snapshot import Snapshot
from tests.dashboard import recorded


def everything(feed: FolderFeed) -> Snapshot:
    snapshot = feed.poll()
    while feed.behind:
        snapshot = feed.poll()
    return snapshot


def test_a_run_that_is_not_there_yet_fills_in_when_it_comes(tmp_path: Path) -> None:
    feed = FolderFeed(RunFolder(tmp_path / "recorded"))
    assert everything(feed) == Snapshot()
    recorded.write(tmp_path)
    snapshot = everything(feed)
    assert snapshot.run is not None and len(snapshot.tree) == 6 and snapshot.machine is not None


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    whole = folder.events.read_bytes()
    feed = FolderFeed(folder)
    seen = []
    for end in range(0, len(whole) + 1, 1711):
        folder.events.write_bytes(whole[:end])
        seen.append(everything(feed))
    folder.events.write_bytes(whole)
    assert everything(feed) == everything(FolderFeed(folder))
    assert any(0 < len(s.tree) < 5 for s in seen), "it really was read in parts"


def test_a_rebuilt_events_file_tells_nothing_twice(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    feed = FolderFeed(folder)
    before = everything(feed)
    rebuilt = tmp_path / "rebuilt"
    rebuilt.write_bytes(folder.events.read_bytes())
    rebuilt.replace(folder.events)
    assert everything(feed) is before


def test_nothing_new_gives_the_same_snapshot_so_that_nothing_is_repainted(tmp_path: Path) -> None:
    feed = FolderFeed(recorded.write(tmp_path))
    assert everything(feed) is feed.poll()


def test_a_huge_history_arrives_in_steps(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    line = recorded.Event("log", None, {"level": "info", "message": "x" * 5000}, 0, recorded.START)
    with folder.events.open("ab") as file:
        for seq in range(1000, 1000 + 3 * CHUNK // 5000):
            file.write(recorded.Event(line.kind, None, line.data, seq, line.time).line())
    feed = FolderFeed(folder)
    first = feed.poll()
    assert len(first.tree) == 6 and feed.behind, "the tree is there before all is read"


def test_a_run_without_its_engine_is_dead_and_alive_again_with_one(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    now = 0.0
    feed = FolderFeed(folder, clock=lambda: now)
    assert (run := everything(feed).run) is not None and run.shown == "dead"
    lock = RunLock.acquire(folder.lock, "socket")
    now += 2
    assert (run := everything(feed).run) is not None and run.shown == "running"
    lock.release()
    now += 2
    assert (run := everything(feed).run) is not None and run.shown == "dead"
