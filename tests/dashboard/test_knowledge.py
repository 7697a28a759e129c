"""The knowledge page on screen: opened by K, alive, and harmless whatever it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poise_tui.app import PoiseApp
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until

PAGE = """# Knowledge

From 3 scored candidates. Gains are points of Overall over the parent, with 95 % intervals.

## Helps
- NoStd: +6.2 ± 2.1 (2 trainings); task sort +9.0, +7.5 [c001, c003]

## Cannot tell yet
- ClipHigher: +1.0 ± 3.4 (1 training) [c002]
"""


async def opened(app: PoiseApp, pilot: Any) -> None:
    await until(pilot, lambda: "c004" in screen(app), "the run")
    await pilot.press("K")


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["narrow", "wide"])
async def test_the_page_can_be_read_at_every_size_and_left(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = recorded.write(tmp_path)
    folder.knowledge.write_text(PAGE)
    app = PoiseApp(folder=folder, clock=lambda: recorded.START + 60)
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "+6.2 ± 2.1" in screen(app) and "Cannot tell yet" in screen(app), "the page")
        await pilot.press("escape")
        await until(pilot, lambda: "+6.2 ± 2.1" not in screen(app), "the dashboard")


async def test_a_run_without_one_says_when_it_comes_and_then_shows_it(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    app = PoiseApp(folder=folder, clock=lambda: recorded.START + 60)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "Nothing yet" in screen(app), "the words")
        folder.knowledge.write_text(PAGE)
        await until(pilot, lambda: "+6.2 ± 2.1" in screen(app), "the page")


async def test_what_a_model_wrote_there_is_text_not_markup(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    folder.knowledge.write_text("# Knowledge\n\n## Helps\n- [bold red]x[/] \x1b]0;title\x07 $primary: +1.0 ± 0.5\n")
    app = PoiseApp(folder=folder, clock=lambda: recorded.START + 60)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "[bold red]x[/]" in screen(app), "the text as it is")
        assert "\x1b" not in screen(app)
