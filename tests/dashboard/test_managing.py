"""Runs from inside: open, compare, delete with care; what is taken away; commands that are marked until obeyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from engine.process.lock import RunLock
from poise_tui.app import PoiseApp
from poise_tui.managing import run_request
from poise_tui.run_list import RunList, delete_run
from poise_tui.screens.page import Page
from poise_tui.screens.prompt import Prompt
from poise_tui.widgets.runs import Runs
from tests.dashboard import recorded
from tests.dashboard.engine import engine_of
from tests.dashboard.recorded import screen, until
from tests.dashboard.test_keys import Recorder
from tests.report.made_up import make_run


@pytest.fixture
def one(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "runs", "one", count=12)


@pytest.fixture
def other(one: RunFolder) -> RunFolder:
    return make_run(one.path.parent, "other", count=11, seed=2)


async def listed(app: Any, pilot: Any) -> Runs:
    await until(pilot, lambda: app.shown.snapshot.tree != (), "the run")
    await pilot.press("9")
    await until(pilot, lambda: bool(app.view.query(Runs)) and "other" in screen(app), "the list")
    return app.view.query_one(Runs)  # type: ignore[no-any-return]


async def beside(app: Any, pilot: Any) -> None:
    """The cursor on the run that is not open."""
    runs = await listed(app, pilot)
    for key in ("g", "j"):
        await pilot.press(key)
        if runs.selected is not None and runs.selected.folder.id == "other":
            return
    raise AssertionError(screen(app))


async def test_another_run_is_opened_in_place(one: RunFolder, other: RunFolder) -> None:
    app = Recorder(folder=one)
    async with app.run_test(size=(130, 35)) as pilot:
        await beside(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.shown.folder.id == "other" and app.shown.snapshot.tree != (), "it is open")
        assert app.current_mode == "overview" and app.shown.selected == "c000"
        run = app.shown.snapshot.run
        assert run is not None and run.id == "other"


async def test_two_runs_are_compared_side_by_side(one: RunFolder, other: RunFolder) -> None:
    app = Recorder(folder=one)
    async with app.run_test(size=(130, 35)) as pilot:
        await beside(app, pilot)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, Page) and "profile, seed" in screen(app), "the table")
        assert "one" in screen(app) and "other" in screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Page), "back")


async def test_a_run_is_deleted_only_when_its_name_is_typed(one: RunFolder, other: RunFolder) -> None:
    app = Recorder(folder=one)
    async with app.run_test(size=(130, 35), notifications=True) as pilot:
        await beside(app, pilot)
        for typed in ("y", "othe", ""):
            await pilot.press("X")
            await until(pilot, lambda: isinstance(app.screen, Prompt), "the question")
            await pilot.press(*typed, "enter")
            await until(pilot, lambda: "other stays" in screen(app), "it says so")
            assert other.exists()
            app.clear_notifications()
            await pilot.pause()
        await pilot.press("X", *"other", "enter")
        await until(pilot, lambda: not other.path.exists(), "it is gone")
        await until(pilot, lambda: [row.folder.id for row in app.view.query_one(Runs)._rows] == ["one"], "the list")
    assert one.exists()


def test_a_run_with_an_engine_is_not_deleted(other: RunFolder) -> None:
    lock = RunLock.acquire(other.lock, "socket")
    with pytest.raises(PoiseError, match="is run by"):
        delete_run(other)
    lock.release()
    assert other.exists()
    delete_run(other)
    assert not other.path.exists()


def test_the_list_of_runs_reads_again_only_what_changed(one: RunFolder, other: RunFolder) -> None:
    runs = RunList()
    before = {row.folder.id: row for row in runs.rows(one.path.parent)}
    with one.events.open("ab") as file:
        file.write(Event("log", None, {"level": "info", "message": "x"}, 10_000, recorded.START).line())
    after = {row.folder.id: row for row in runs.rows(one.path.parent)}
    assert after["other"] is before["other"] and after["one"] is not before["one"]
    assert before["other"].nodes == len(list(other.path.glob("candidates/*"))) and before["other"].best is not None


def test_options_of_a_new_run_are_checked_as_on_the_command_line(tmp_path: Path) -> None:
    request = run_request("--candidates 3 --seed 7 --name mine --directive 'shorter answers'", tmp_path)
    assert {"candidates": 3, "seed": 7, "name": "mine", "directive": "shorter answers"}.items() <= request.items()
    assert request["runs_dir"] == str(tmp_path)
    for text, why in (
        ("--candidates many", "is not a valid integer"),
        ("--nonsense", "No such option"),
        ("--profile nowhere.toml", "nowhere.toml"),
        ("'open", "No closing quotation"),
        ("--help", "options are meant here"),
    ):
        with pytest.raises(PoiseError, match=why):
            run_request(text, tmp_path)


async def test_the_screen_the_candidate_and_the_report_are_taken_away_and_nothing_is_overwritten(
    one: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poise-one-c000.md").write_text("mine")
    app = Recorder(folder=one)
    async with app.run_test(size=(130, 35)) as pilot:
        await until(pilot, lambda: app.shown.selected == "c000", "the run")
        for key, name in (
            ("s", "poise-one-overview.svg"),
            ("t", "poise-one-overview.txt"),
            ("m", "poise-one-c000-2.md"),
            ("r", "runs/one/report.html"),
        ):
            await pilot.press("e", key)
            await until(pilot, (tmp_path / name).exists, name)
    assert (tmp_path / "poise-one-c000.md").read_text() == "mine"
    assert ElementTree.fromstring((tmp_path / "poise-one-overview.svg").read_text()).tag.endswith("svg")
    text = (tmp_path / "poise-one-overview.txt").read_text()
    assert "c000 GRPO" in text and "the screen as text" not in text
    markdown = (tmp_path / "poise-one-c000-2.md").read_text()
    assert markdown.startswith("# c000 GRPO\n") and "## Hypothesis" in markdown and "| task | value |" in markdown


async def test_a_command_is_marked_at_once_and_until_its_event_comes(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder) as told:
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.shown.selected == "c000" and "running" in screen(app), "the run")
            await pilot.press("j", "asterisk")
            assert [(p.command, p.node) for p in app.shown.pending] == [("pin", "c001")]
            await until(pilot, lambda: "pin\N{HORIZONTAL ELLIPSIS}" in screen(app), "the mark")
            await until(pilot, lambda: told == [("pin", "c001")], "the engine has it")
            assert app.shown.pending, "accepted is not obeyed yet"
            data = {"command": "pin", "node": "c001", "by": "cli", "id": app.shown.pending[0].id}
            with folder.events.open("ab") as file:
                file.write(Event("steering", "c001", data, 10_000, recorded.START + 60).line())
            await until(pilot, lambda: not app.shown.pending, "the mark goes")
            await pilot.pause()
            assert "pin\N{HORIZONTAL ELLIPSIS}" not in screen(app)


async def test_a_refused_command_leaves_no_mark(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder, refuse="c001 is scored, not pruned"):
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.shown.selected == "c000" and "running" in screen(app), "the run")
            await pilot.press("j", "u")
            await until(pilot, lambda: "c001 is scored, not pruned" in screen(app), "the refusal")
            assert app.shown.pending == ()


async def test_a_directive_is_typed_sent_and_remembered(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.shown.selected == "c000", "the run")
        await pilot.press("D", *"short", "enter")
        await until(pilot, lambda: app.sent == [("direct", None)], "it is sent")
        await pilot.press("D", "up")
        await until(pilot, lambda: "directive: short" in screen(app), "what was said before")


async def test_while_a_filter_is_typed_the_tree_follows_and_esc_takes_it_back(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.shown.selected == "c000", "the run")
        await pilot.press("slash", *"gate")
        await until(pilot, lambda: "1 of 6 fit" in screen(app) and "c003" not in screen(app), "it is narrowed")
        await pilot.press("escape")
        await until(pilot, lambda: "c003" in screen(app) and not app.shown.query, "all is back")
        await pilot.press("slash", *"gain>>")
        await until(pilot, lambda: "gain>>: > is no number" in screen(app), "what is wrong")
        await pilot.press("backspace", *"0", "enter")
        await until(pilot, lambda: app.shown.query.text == "gain>0", "it holds")
        await pilot.press("escape")
        await until(pilot, lambda: not app.shown.query, "Esc clears it")


async def test_a_verb_is_about_the_node_under_the_cursor_however_fast_one_types(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.shown.selected == "c000", "the run")
        app.view.action_step(1)
        app.action_pin()  # before any message of the cursor is handled
        assert app.sent == [("pin", "c001")]
