"""What a researcher does with curves: smooth, zoom, point at, compare, read values, take them away."""

from __future__ import annotations

import csv
import math
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.archive.events import Event
from poise_tui.snapshot import Curve, Trial
from poise_tui.store import Store
from poise_tui.widgets.chart import Look, Smoother, band, logarithms, value_at
from poise_tui.widgets.curves import Curves
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until
from tests.dashboard.test_keys import Recorder

VALUES = st.lists(st.floats(-1e3, 1e3, width=32) | st.just(math.nan), min_size=1, max_size=60)


def trial(values: list[float], count: int | None = None) -> Trial:
    curve = Curve(array("d", range(1, len(values) + 1)), {"reward": array("f", values)}, count or len(values))
    return Trial("t", "search", "training", curve.count, len(values), None, curve)


@given(values=VALUES, cut=st.integers(1, 60), weight=st.sampled_from([0.6, 0.9]))
def test_smoothing_a_growing_curve_is_smoothing_it_whole(values: list[float], cut: int, weight: float) -> None:
    grown = Smoother()
    grown(trial(values, min(cut, len(values))), "reward", weight)
    assert grown(trial(values), "reward", weight).tobytes() == Smoother()(trial(values), "reward", weight).tobytes()


@given(values=VALUES, weight=st.sampled_from([0.6, 0.9]))
def test_a_smoothed_curve_stays_between_the_extremes_and_keeps_its_gaps(values: list[float], weight: float) -> None:
    smooth = Smoother()(trial(values), "reward", weight)
    assert [math.isnan(v) for v in smooth] == [math.isnan(v) for v in values]
    real = [v for v in values if not math.isnan(v)]
    slack = 1e-3
    assert all(min(real) - slack <= v <= max(real) + slack for v in smooth if not math.isnan(v))


def test_a_constant_stays_itself_from_the_first_value_on() -> None:
    assert list(Smoother()(trial([2.0] * 5), "reward", 0.9)) == pytest.approx([2.0] * 5)


@given(
    steps=st.lists(st.sampled_from(["in", "out", "left", "right", "tail"]), max_size=30), longest=st.integers(2, 10_000)
)
def test_zoom_and_crosshair_never_leave_the_run(steps: list[str], longest: int) -> None:
    look = Look()
    for what in steps:
        match what:
            case "in" | "out":
                look = look.zoomed(0.5 if what == "in" else 2.0, longest)
            case "tail":
                look = Look(tail=not look.tail, cross=look.cross)
            case _:
                look = look.crossed(1 if what == "right" else -1, longest / 50, longest)
        across = look.across(longest)
        assert 1 <= across.low < across.high <= max(2, longest) + 4
        assert look.cross is None or 1 <= look.cross <= max(2, longest)


def test_on_a_logarithmic_scale_what_is_not_above_zero_is_a_gap() -> None:
    assert logarithms([[(0, 10.0), (1, 0.0), (2, 100.0)], [(3, -1.0)]]) == [[(0, 1.0)], [(2, 2.0)]]


def test_a_band_spans_the_seeds_where_there_are_two_and_is_no_wider() -> None:
    one, other = [[(0, 1.0), (2, 3.0), (9, 5.0)]], [[(0, 2.0), (2, 1.0), (5, 7.0), (9, 6.0)]]
    assert band([one, other], reach=2.0) == {0: (1.0, 2.0), 1: (1.0, 2.5), 2: (1.0, 3.0), 9: (5.0, 6.0)}


def test_a_value_is_read_at_an_update_or_the_last_before_it() -> None:
    steps, values = [1.0, 3.0, 5.0], [0.1, 0.3, math.nan]
    assert [value_at(steps, values, at) for at in (0, 1, 2, 4, 6, None)] == [None, 0.1, 0.1, 0.3, None, None]


def test_parts_of_the_reward_are_metrics_and_their_number_is_bounded() -> None:
    store = Store()
    store.fold(recorded.events())
    for step in range(13, 40):
        parts = {"correct": 0.5} if step < 20 else {f"made up {step}": 1.0}
        point = {"step": step, "reward": 1.0, "parts": parts}
        data = {"trial": "c002-search-0", "points": [point]}
        store.fold([Event("trial.metrics", "c002", data, 1000 + step, recorded.START)])
    curve = store.snapshot().candidates["c002"].trials[0].curve
    assert "part correct" in curve.metrics and 0 < len([m for m in curve.metrics if m.startswith("part")]) <= 23
    assert len(curve.values("part correct")) == curve.count == len(curve.values("reward"))
    assert [math.isnan(v) for v in curve.values("part correct")] == [True] * 12 + [False] * 7 + [True] * 20


async def opened(pilot: Any) -> Curves:
    await until(pilot, lambda: "c004" in screen(pilot.app), "the run")
    await pilot.press("3")
    await until(pilot, lambda: pilot.app.current_mode == "curves" and "48 updates" in screen(pilot.app), "the chart")
    return pilot.app.screen.query_one(Curves)  # type: ignore[no-any-return]


async def test_the_crosshair_reads_every_curve_and_zoom_stays_around_it(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path))
    async with app.run_test(size=(140, 40)) as pilot:
        chart = await opened(pilot)
        await pilot.press("j", *["left"] * 20)
        await until(pilot, lambda: chart.look.cross == 29.0, "the crosshair")
        wanted = 1.5 + 0.5 * math.sin(29 / 5) + 29 / 50
        assert f"c001 Gate-GRPO {wanted:.2f}" in screen(app) and "update 29" in screen(app)
        await pilot.press("plus", "plus")
        await until(pilot, lambda: "updates 23 to 35" in screen(app), "the middle of it")
        await pilot.press("escape")
        await until(pilot, lambda: chart.look.cross is None, "no crosshair any more")


async def test_kept_curves_stay_whatever_is_selected(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path))
    async with app.run_test(size=(140, 40)) as pilot:
        chart = await opened(pilot)
        await pilot.press("j", "v", "j")
        await until(pilot, lambda: [s.candidate for s in chart.series] == ["c000", "c001", "c002"], "all three")
        assert "+c001" in screen(app)
        await pilot.press("V", "k", "k")
        await until(pilot, lambda: "c001" not in [s.candidate for s in chart.series], "it is let go")


async def test_curves_are_taken_away_with_all_their_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = Recorder(folder=recorded.write(tmp_path / "runs"))
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("j", "e", "c")
        file = tmp_path / "poise-recorded-reward.csv"
        await until(pilot, file.exists, "the file")
    rows = list(csv.DictReader(file.open()))
    of_gate = [row for row in rows if row["candidate"] == "c001"]
    assert [int(row["update"]) for row in of_gate] == list(range(1, 49))
    assert float(of_gate[9]["reward"]) == pytest.approx(1.5 + 0.5 * math.sin(2) + 0.2, rel=1e-6)
