"""The leaderboard and the machine as a researcher reads them; and how the dashboard's rooms are kept."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise_tui.format import ASCII, UNICODE
from poise_tui.snapshot import Candidate, Snapshot
from poise_tui.store import Store
from poise_tui.styles_path import styles_folder
from poise_tui.widgets.leaderboard import Leaderboard, front
from poise_tui.widgets.load import lines
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until
from tests.dashboard.test_keys import Recorder

ROOMS = Path(__file__).parents[2] / "poise_tui"
SCORES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


@given(scores=SCORES)
def test_the_front_is_whom_nobody_equals_everywhere_and_beats_somewhere(scores: list[tuple[int, int, int]]) -> None:
    tasks = ("a", "b", "c")
    found = [
        Candidate(f"c{i:03d}", "X", None, "scored", None, 1.0, False, b"{}",
                  tasks=tuple((t, float(v)) for t, v in zip(tasks, row, strict=True)))
        for i, row in enumerate(scores)
    ]  # fmt: skip
    beaten = {
        i for i, j in product(range(len(scores)), repeat=2)
        if scores[i] != scores[j] and all(a <= b for a, b in zip(scores[i], scores[j], strict=True))
    }  # fmt: skip
    assert front(found, tasks) == {c.id for i, c in enumerate(found) if i not in beaten}


async def test_the_table_sorts_by_every_column_and_scores_of_a_rung_stand_below_whole_ones(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path))
    async with app.run_test(size=(160, 20)) as pilot:
        await until(pilot, lambda: "c004" in screen(app), "the run")
        await pilot.press("6")
        await until(pilot, lambda: app.current_mode == "leaderboard" and "Gate-GRPO" in screen(app), "the table")
        table = app.view.query_one(Leaderboard)
        orders = {}
        for _ in table._columns:
            orders[str(table.border_title).split()[-2]] = table.rows
            await pilot.press("o")
        assert orders["Overall"] == ["c001", "c000", "c005"] and orders["gain"] == ["c001", "c005", "c000"]
        assert orders["id"] == ["c000", "c001", "c005"] and orders["seeds"][0] == "c000"
        assert set(map(tuple, orders.values())) >= {("c001", "c000", "c005"), ("c000", "c001", "c005")}


GPU = {"index": 0, "name": "NVIDIA H200", "util": 87, "mem_used": 71000, "mem_total": 143771, "power": 512.4}
GPU |= {"temp": 61}


def machine(*samples: dict[str, Any]) -> Snapshot:
    store = Store()
    store.fold(recorded.events())
    usual = {"cpu": [40.0, 60.0], "memory_used": 4096, "memory_total": 24000, "engine_rss": 300, "gpus": []}
    usual |= {"processes": []}
    store.fold_telemetry([{**usual, "time": recorded.START + 2 * i, **s} for i, s in enumerate(samples)])
    return store.snapshot()


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_gpu_is_told_over_time_with_who_uses_it(glyphs: Any) -> None:
    process = {"pid": 7, "trial": "c002-search-0", "cpu": 98.0, "rss": 650}
    found = machine({"gpus": [{**GPU, "util": 0}]}, {"gpus": [GPU], "processes": [process]})
    text = [line.plain for line in lines(found, 100, glyphs)]
    busy = next(line for line in text if line.startswith("busy"))
    assert busy.split()[-2:] == [f"{glyphs.sparks[0]}{glyphs.spark(87, 100)}", "87%"]
    said = "\n".join(text)
    for wanted in ("GPU 0  NVIDIA H200", "69.3 of 140.4 GiB", "512 W", "61 C", "c002-search-0", "98%", "12/48"):
        assert wanted in said, wanted
    assert glyphs is UNICODE or said.isascii()


def test_what_a_gpu_does_not_tell_is_left_out_and_no_gpu_shows_every_core() -> None:
    silent = machine({"gpus": [{**GPU, "power": None, "temp": None, "mem_used": None}]})
    said = "\n".join(line.plain for line in lines(silent, 100, UNICODE))
    assert "87%" in said and "power" not in said and "temperature" not in said
    cores = [line.plain.split()[:2] for line in lines(machine({}), 100, UNICODE) if line.plain.startswith("core")]
    assert cores == [["core", "0"], ["core", "1"]]


def test_no_widget_or_screen_reads_a_file_or_a_socket() -> None:
    for file in [*ROOMS.glob("widgets/*.py"), *ROOMS.glob("screens/*.py")]:
        tree = ast.parse(file.read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        reads = {"os", "io", "socket", "pathlib", "engine.archive.files", "engine.archive.store", "poise_tui.client"}
        assert not imported & reads, (file.name, imported & reads)
        called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [name for name in called if isinstance(name, ast.Name) and name.id == "open"], file.name


def test_every_style_sheet_has_the_name_of_what_it_styles_and_no_file_is_long() -> None:
    rooms = {file.stem for file in [*ROOMS.glob("widgets/*.py"), *ROOMS.glob("screens/*.py")]}
    assert {sheet.stem for sheet in styles_folder().glob("*.tcss")} <= rooms
    assert [file.name for file in ROOMS.rglob("*.py") if len(file.read_text().splitlines()) > 300] == []
