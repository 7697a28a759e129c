"""Keys do what the help says; what changes the run asks first or can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from poise_tui.app import PoiseApp
from poise_tui.screens.dialogs import Help, Question
from poise_tui.screens.keys import KEYS
from poise_tui.widgets.curves import Curves
from poise_tui.widgets.lineage import Lineage
from poise_tui.widgets.log import Log
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until


class Recorder(PoiseApp):
    """The application with its commands written down instead of sent: there is no engine here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, clock=lambda: recorded.START + 60)
        self.sent: list[tuple[str, str | None]] = []

    def command(self, command: str, node: str | None, **fields: Any) -> None:
        self.sent.append((command, node))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return recorded.write(tmp_path, status="running")


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: "c004" in screen(pilot.app), "the tree is there")


async def test_moving_selects_and_the_details_follow(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(200, 50)) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await until(pilot, lambda: "Gate-GRPO keeps work alive" in screen(app), "the hypothesis of c001")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: 'Algorithm("X")' in screen(app), "the code")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "--- c000" in screen(app), "how it differs from its parent's")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "pass@4" in screen(app), "the scores")
        await pilot.press("escape", "g", "right_square_bracket")
        await until(pilot, lambda: "9#0" in screen(app), "the samples of the root")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "c000 works" in screen(app) or "GRPO works" in screen(app), "the reflection")


async def test_every_candidate_shows_its_status_and_overall(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        text = screen(app)
        for wanted in ("52.5", "79.0", "+26.5", "training", "25%", "failed", "pruned", "no GPU"):
            assert wanted in text, wanted


async def test_the_metric_key_goes_through_the_curves(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert "reward" in str(app.screen.query_one(Curves).border_title)
        await pilot.press("m")
        await until(pilot, lambda: "correct" in str(app.screen.query_one(Curves).border_title), "the next metric")


async def test_pruning_needs_a_y(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "x")
        await until(pilot, lambda: isinstance(app.screen, Question), "the question")
        assert "and the 2 below it" in screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Question), "back")
        await pilot.press("x", "n")
        assert app.sent == []
        await pilot.press("x", "y")
        await until(pilot, lambda: app.sent == [("prune", "c001")], "the command")
        await pilot.press("u")
        assert app.sent[-1] == ("restore", "c001")


async def test_space_pauses_and_resumes_the_node_and_P_the_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise_tui.feed.shown_status", lambda status, folder: status)  # an engine that lives
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "j", "space", "P")
        assert app.sent == [("pause", "c002"), ("pause", None)]


async def test_leaving_a_live_run_asks_what_becomes_of_it(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poise_tui.feed.shown_status", lambda status, folder: status)  # an engine that lives
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question), "the question")
        await pilot.press("s")
        assert app.sent == [("stop", None)]
        await pilot.press("q", "d")
    assert app.return_code in (0, None)


async def test_read_only_refuses_every_key_that_steers(folder: RunFolder) -> None:
    app = Recorder(folder=folder, readonly=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        steering = [k.keys.split(",")[0] for k in KEYS if k.steers]
        assert len(steering) == 13
        await pilot.press("j", *steering, "y")
        assert app.sent == [] and not isinstance(app.screen, Question)


async def test_help_lists_every_key(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(120, 100)) as pilot:
        await ready(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help), "the help")
        text = screen(app)
        assert all(key.help in text for key in KEYS)


async def test_the_log_follows_until_one_scrolls_up(folder: RunFolder) -> None:
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "disk is filling" in screen(app), "the newest line")
        await pilot.press("8", "g")
        await until(pilot, lambda: "disk is filling" not in screen(app), "the first lines")
        assert app.screen.query_one(Log).scroll_y == 0
        await pilot.press("G")
        await until(pilot, lambda: "disk is filling" in screen(app), "the newest line again")


async def test_the_first_frame_waits_for_nothing_and_a_failed_start_is_kept_for_the_command_line() -> None:
    def fail() -> RunFolder:
        raise PoiseError("run r exists", Exit.REFUSED)

    app = PoiseApp(starting=fail)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.failure is not None, "the failure")
    assert str(app.failure) == "run r exists" and app.return_code == 4


async def test_two_thousand_nodes_are_one_screen_away(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path)
    more = [
        recorded.Event(
            "candidate.created",
            f"c{i}",
            recorded.candidate(f"c{i}", f"N{i}-GRPO", f"c{i // 2}" if i >= 2000 else "c000", "queued"),
            1000 + i,
            recorded.START,
        )
        for i in range(1000, 3000)
    ]
    with folder.events.open("ab") as f:
        f.write(b"".join(e.line() for e in more))
    app = Recorder(folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.shown.snapshot.tree) == 2006, "all nodes")
        await pilot.press("G")
        tree = app.screen.query_one(Lineage)
        await until(pilot, lambda: tree.selected is not None and tree.selected.id != "c000", "the last node")
