"""Events in any order, twice, torn or cut short: the dashboard shows what it can, and never ends by it."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from poise_tui.alerts import alerts
from poise_tui.app import PoiseApp
from poise_tui.arrange import ORDERS, arrange
from poise_tui.feed import FolderFeed
from poise_tui.format import UNICODE
from poise_tui.liveness import state
from poise_tui.query import ALL
from poise_tui.snapshot import METRICS, Snapshot
from poise_tui.store import Store
from poise_tui.widgets import detail_text
from poise_tui.widgets.chart import Look
from poise_tui.widgets.plot import Paper, Plot, series_of
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until

EVENTS = recorded.events()
PAPER = Paper(60, 12, Style(), Style(), UNICODE)


def look_at(before: Snapshot, snapshot: Snapshot, plot: Plot) -> None:
    """All that panes make of a snapshot."""
    for order in ORDERS:
        rows = arrange(snapshot, folded=set(), query=ALL, order=order)
        assert {row.id for row in rows} == set(snapshot.candidates), "nothing is ever hidden"
    series = [s for c in snapshot.candidates.values() if (s := series_of(c, False)) is not None]
    for metric in METRICS[:3]:
        assert len(plot.draw(series, metric, Look(smooth=0.6), "", PAPER)) == PAPER.height
    for candidate in snapshot.candidates.values():
        detail_text.idea(candidate, snapshot)
        detail_text.scores(candidate, snapshot)
    list(alerts(before, snapshot, recorded.START, recorded.START + 60))
    if snapshot.run is not None:
        state(snapshot.run, recorded.START + 60)
    _ = snapshot.best, snapshot.chance, snapshot.level, snapshot.root_seeds


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(len(EVENTS))),
    twice=st.sets(st.integers(0, len(EVENTS) - 1), max_size=20),
    cuts=st.sets(st.integers(0, len(EVENTS)), max_size=4),
)
def test_any_order_and_duplicates_give_a_picture(order: list[int], twice: set[int], cuts: set[int]) -> None:
    stream = [EVENTS[i] for place in order for i in ([place, place] if place in twice else [place])]
    store, plot, before = Store(), Plot(), Snapshot()
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(edges):
        store.fold(stream[start:end])
        look_at(before, before := store.snapshot(), plot)


def mangled(lines: list[bytes], seed: int) -> list[bytes]:
    """Pieces in which a stream arrives: shuffled a little, some lines twice, torn or cut, at any byte."""
    chance = random.Random(seed)
    lines = [line for line in lines for _ in range(1 + (chance.random() < 0.1))]
    for _ in range(20):
        i = chance.randrange(len(lines) - 1)
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
    lines = [line[: chance.randrange(len(line))] + b"\n" if chance.random() < 0.05 else line for line in lines]
    whole, pieces = b"".join(lines), []
    while whole:
        size = chance.randrange(1, 4000)
        pieces.append(whole[:size])
        whole = whole[size:]
    return pieces


@pytest.mark.parametrize("seed", range(12))
def test_a_mangled_file_is_followed_to_its_end(tmp_path: Path, seed: int) -> None:
    folder = recorded.write(tmp_path)
    pieces = mangled(folder.events.read_bytes().splitlines(keepends=True), seed)
    folder.events.write_bytes(b"")
    feed, plot, before = FolderFeed(folder), Plot(), Snapshot()
    for piece in pieces:
        with folder.events.open("ab") as file:
            file.write(piece)
        look_at(before, before := feed.poll(), plot)
    last = Event("log", None, {"level": "info", "message": "the end"}, 10_000, recorded.START + 99)
    with folder.events.open("ab") as file:
        file.write(b"\n" + last.line())
    assert feed.poll().log[-1].text.endswith("the end")


async def test_the_dashboard_lives_through_a_mangled_file(tmp_path: Path) -> None:
    folder: RunFolder = recorded.write(tmp_path)
    pieces = mangled(folder.events.read_bytes().splitlines(keepends=True), 5)
    folder.events.write_bytes(b"")
    app = PoiseApp(folder=folder, clock=lambda: recorded.START + 60)
    async with app.run_test(size=(120, 40)) as pilot:
        for i, piece in enumerate(pieces):
            with folder.events.open("ab") as file:
                file.write(piece)
            await pilot.press("jkGghl23mts1"[i % 12])
        last = Event("log", None, {"level": "info", "message": "the end"}, 10_000, recorded.START + 99)
        with folder.events.open("ab") as file:
            file.write(b"\n" + last.line())
        await pilot.press("1")
        await until(pilot, lambda: "the end" in screen(app), "the last event")
