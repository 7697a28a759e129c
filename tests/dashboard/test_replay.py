"""A run that is over can be watched again: forward, back, faster, from any place, and it is always as it was then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.archive.folder import RunFolder
from poise_tui.feed import FolderFeed
from poise_tui.recording import GAP, Recording
from poise_tui.replay import ReplayFeed
from poise_tui.replaying import REPLAY_KEYS, ReplayApp
from poise_tui.screens.keys import KEYS
from poise_tui.snapshot import Snapshot
from poise_tui.store import Store
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until


def settled(feed: ReplayFeed) -> Snapshot:
    snapshot = feed.poll()
    while feed.behind:
        snapshot = feed.poll()
    return snapshot


def as_it_was(count: int) -> Snapshot:
    """The state after so many events."""
    store = Store()
    store.fold(recorded.events()[:count])
    return store.snapshot()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.floats(0, 60), min_size=1, max_size=8), keys=st.integers(1, 60))
def test_wherever_one_goes_the_run_is_as_it_was_then(tmp_path: Path, places: list[float], keys: int) -> None:
    folder = RunFolder(tmp_path / "recorded")
    if not folder.exists():
        recorded.write(tmp_path)
    feed = ReplayFeed(folder, key_events=keys)
    feed.play(False)
    settled(feed)
    recording = Recording(folder)
    recording.index()
    for seconds in places:
        feed.seek(seconds)
        found, wanted = settled(feed), as_it_was(recording.until(min(seconds, recording.length)))
        assert found.candidates == wanted.candidates and found.run == wanted.run and found.tree == wanted.tree
        assert found.log == wanted.log


def test_time_passes_at_the_speed_asked_for_and_ends_at_the_end(tmp_path: Path) -> None:
    now = 0.0
    feed = ReplayFeed(recorded.write(tmp_path), speed=10, clock=lambda: now)
    settled(feed)
    now += 2
    assert feed.place.at == 20
    feed.faster(1)
    now += 0.1
    assert feed.place.at == pytest.approx(23) and feed.place.speed == 30
    feed.play()
    now += 100
    assert feed.place.at == pytest.approx(23) and not feed.place.playing
    feed.play()
    now += 100
    assert feed.place.at == feed.place.length and not feed.place.playing
    whole = settled(feed)
    assert whole.candidates == FolderFeed(RunFolder(tmp_path / "recorded")).poll().candidates
    assert whole.machine is not None
    feed.play()
    assert feed.place.at == 0 and feed.place.playing, "from the end it begins again"


def test_times_without_events_are_cut_short_and_torn_or_strange_lines_are_left_out(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    before = Recording(folder)
    before.index()
    late = recorded.Event("log", None, {"level": "info", "message": "late"}, 9000, recorded.START + 90_000)
    doubled = folder.events.read_bytes().splitlines(keepends=True)[3]
    with folder.events.open("ab") as file:
        file.write(b"no event\n" + doubled + late.line() + b'{"seq": 9001, "ti')
    after = Recording(folder)
    after.index()
    assert len(after) == len(before) + 1
    assert after.length == before.length + GAP and after.time_at(after.length) == late.time
    assert after.events(len(before) - 1, len(after)) == [recorded.events()[-1], late]


async def test_the_keys_of_a_replay_steer_time_and_nothing_else(tmp_path: Path) -> None:
    app = ReplayApp(recorded.write(tmp_path), speed=0.1)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "0.1x" in screen(app), "the start")
        await pilot.press("space")
        assert not app.feed.place.playing
        await pilot.press("full_stop", "full_stop")
        await until(pilot, lambda: "c000 GRPO" in screen(app), "a little later")
        assert "Gate-GRPO" not in screen(app)
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "c005 Brevity" in screen(app) and "disk is filling" in screen(app), "the end")
        await pilot.press("ctrl+a")
        await until(pilot, lambda: "Gate-GRPO" not in screen(app), "the start again")
        for _ in range(22):
            await pilot.press("full_stop")
        await until(pilot, lambda: "Gate-GRPO" in screen(app) and "c005" not in screen(app), "the middle")
        await pilot.press("comma", "greater_than_sign", "less_than_sign", "2")
        await until(pilot, lambda: "of 0:44" in screen(app), "the slider on another screen")
        await pilot.press("slash", *"a,b c")
        await until(pilot, lambda: "a,b c" in screen(app), "what is typed is no key of the replay")
        assert not app.feed.place.playing
        await pilot.press("escape", "escape", "question_mark")
        await until(pilot, lambda: "a fiftieth forward" in screen(app), "the help")


def test_keys_of_a_replay_stand_for_nothing_else_but_pausing_a_node() -> None:
    taken = {name: key.id for key in KEYS for name in key.keys.split(",")}
    assert {taken[name] for key in REPLAY_KEYS for name in key.keys.split(",") if name in taken} <= {"pause"}
