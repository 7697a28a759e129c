"""Every verb does what the help says, by its key and by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from poise_tui.query import ALL
from poise_tui.screens.dialogs import Help, Question
from poise_tui.screens.keys import BINDINGS, BY_ID, KEYS, SCREENS
from poise_tui.screens.prompt import Prompt
from poise_tui.widgets.chart import Look
from poise_tui.widgets.curves import Curves
from poise_tui.widgets.detail import Detail
from poise_tui.widgets.leaderboard import Leaderboard
from poise_tui.widgets.lineage import Lineage
from poise_tui.widgets.runs import Runs
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until
from tests.dashboard.test_keys import Recorder

Seen = Callable[[Any], object]


@dataclass(frozen=True)
class Case:
    """What a key does."""

    seen: Seen
    """What must become true; asked of the application."""
    before: tuple[str, ...] = ()
    """Keys pressed first."""


def chart(app: Any) -> Curves:
    return app.view.query_one(Curves)  # type: ignore[no-any-return]


def at(node: str) -> Seen:
    return lambda app: app.shown.selected == node


def on(name: str) -> Case:
    return Case(lambda app: app.current_mode == name, ("2" if name != "tree" else "3",))


def sent(command: str, node: str | None) -> Seen:
    return lambda app: app.sent[-1:] == [(command, node)]


def asked(words: str) -> Seen:
    return lambda app: isinstance(app.screen, Question) and words in screen(app)


def prompted(words: str) -> Seen:
    return lambda app: isinstance(app.screen, Prompt) and words in screen(app)


CASES = {
    "down": Case(at("c001")),
    "up": Case(at("c001"), ("j", "j", "k")[:2]),
    "right": Case(lambda app: len(app.view.query_one(Lineage)._rows) == 6, ("j", "h")),
    "left": Case(lambda app: len(app.view.query_one(Lineage)._rows) == 4, ("j",)),
    "page-down": Case(at("c005")),
    "page-up": Case(at("c000"), ("G",)),
    "top": Case(at("c000"), ("G",)),
    "bottom": Case(at("c005")),
    "best": Case(at("c001")),
    "running": Case(at("c002")),
    "failed": Case(at("c003")),
    "parent": Case(at("c001"), ("r",)),
    **{name: on(name) for name in SCREENS},
    "open": Case(lambda app: app.current_mode == "candidate"),
    "back": Case(lambda app: app.current_mode == "overview", ("2",)),
    "next-pane": Case(lambda app: app.focused.id == "curves"),
    "previous-pane": Case(lambda app: app.focused.id == "log"),
    "zoom": Case(lambda app: app.screen.maximized is not None),
    "next-tab": Case(lambda app: app.view.query_one(Detail).tab == "code"),
    "previous-tab": Case(lambda app: app.view.query_one(Detail).tab == "log"),
    "filter": Case(prompted("overall>=40")),
    "sort": Case(lambda app: app.shown.order == "Overall"),
    "reverse": Case(lambda app: app.view.query_one(Leaderboard).rows[0] == "c005", ("6",)),
    "fold-dead": Case(lambda app: app.shown.folded_dead),
    "theme": Case(lambda app: app.theme != "poise-dark"),
    "metric": Case(lambda app: chart(app).metric == "correct"),
    "previous-metric": Case(lambda app: chart(app).metric not in ("reward", "correct")),
    "overlay": Case(lambda app: app.shown.overlaid == ("c001",), ("j",)),
    "overlay-none": Case(lambda app: app.shown.overlaid == (), ("v",)),
    "smooth": Case(lambda app: chart(app).look.smooth > 0),
    "log-scale": Case(lambda app: chart(app).look.log),
    "tail": Case(lambda app: chart(app).look.tail),
    "zoom-in": Case(lambda app: chart(app).look.window is not None),
    "zoom-out": Case(lambda app: chart(app).look.window is None, ("+",)),
    "bands": Case(lambda app: not chart(app).look.bands),
    "pause": Case(sent("pause", "c000")),
    "prune": Case(asked("and the 2 below it"), ("j",)),
    "restore": Case(sent("restore", "c000")),
    "promote": Case(asked("update 12 of 48"), ("G",)),
    "pin": Case(sent("pin", "c000")),
    "confirm": Case(lambda app: "missing" in screen(app) or "archive" in screen(app), ("j",)),
    "ablate": Case(lambda app: "missing" in screen(app) or "archive" in screen(app), ("j",)),
    "inject": Case(lambda app: "set $EDITOR" in screen(app)),
    "direct": Case(prompted("directive:")),
    "pause-run": Case(asked("poise resume recorded")),
    "stop": Case(asked("Stop recorded?")),
    "new-run": Case(prompted("poise run")),
    "compare": Case(lambda app: "choose another one" in screen(app), ("9",)),
    "delete": Case(lambda app: "open another run first" in screen(app), ("9",)),
    "export": Case(asked("the selected candidate")),
    "command": Case(lambda app: isinstance(app.screen, Prompt)),
    "palette": Case(lambda app: "CommandPalette" in type(app.screen).__name__),
    "help": Case(lambda app: isinstance(app.screen, Help)),
    "leave": Case(lambda app: app._exit),
    "leave-now": Case(lambda app: app._exit),
}


def test_every_verb_of_the_help_has_a_case_here_and_no_key_means_two_things() -> None:
    assert CASES.keys() == BY_ID.keys() == {key.id for key in KEYS}
    every = [name for key in KEYS for name in key.keys.split(",")]
    assert len(every) == len(set(every))
    assert [binding.id for binding in BINDINGS] == [key.id for key in KEYS]  # type: ignore[union-attr]


async def ready(app: Any, pilot: Any) -> None:
    await until(pilot, lambda: "c004" in screen(app) and app.shown.selected == "c000", "the run")


async def afresh(app: Any, pilot: Any) -> None:
    """As if it had just begun; an application for each verb would take minutes."""
    while len(app.screen_stack) > 1:
        await app.pop_screen()
    app.view.minimize()
    if app.current_mode != "overview":
        await app.switch_mode("overview")
    app.clear_notifications()
    app.sent.clear()
    app.theme = "poise-dark"
    chart(app).look, chart(app).metric = Look(), "reward"
    app.view.query_one(Detail).open_tab("idea")
    app.view.query_one(Lineage)._folded.clear()
    app.change(query=ALL, order="age", folded_dead=False, overlaid=(), pending=())
    app.view.open("lineage")
    app.select("c000")
    await pilot.pause()


async def one(app: Any, pilot: Any, verb: str) -> None:
    """Press the key of a verb, and see."""
    case = CASES[verb]
    for key in case.before:
        await pilot.press(key)
    if "9" in case.before:
        await until(pilot, lambda: app.view.query_one(Runs).selected is not None, "the list of runs")
    await pilot.pause()
    assert not case.seen(app), f"{verb}: it is so before the key is pressed"
    await pilot.press(BY_ID[verb].keys.split(",")[0])
    await until(pilot, lambda: bool(case.seen(app)), verb)


@pytest.mark.parametrize("section", ["Move", "Screens", "Look", "Curves", "Steer", "Runs"])
async def test_every_key_does_what_the_help_says(section: str, tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(150, 45), notifications=True) as pilot:
        await ready(app, pilot)
        for key in (key for key in KEYS if key.section == section):
            await one(app, pilot, key.id)
            await afresh(app, pilot)


@pytest.mark.parametrize("verb", [key.id for key in KEYS if key.section == "Leave"])
async def test_every_key_to_leave_or_take_away_does_what_the_help_says(verb: str, tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(150, 45)) as pilot:
        await ready(app, pilot)
        await one(app, pilot, verb)


NAMED: dict[str, Seen] = {
    "overlay": lambda app: app.shown.overlaid == ("c000",),
    "lead": lambda app: app.current_mode == "leaderboard",
    "filter overall>=40 -pruned": lambda app: app.shown.query.text == "overall>=40 -pruned",
    "metric grad_norm": lambda app: chart(app).metric == "grad_norm",
    "direct shorter answers": lambda app: app.sent == [("direct", None)],
    "prune": lambda app: isinstance(app.screen, Question),
    "metric nonsense": lambda app: "no metric nonsense" in screen(app),
    "filter overall>=x": lambda app: "x is no number" in screen(app),
    "pr": lambda app: ":pr is one of previous-pane" in screen(app),
    "nonsense": lambda app: ":nonsense is no command" in screen(app),
    "prune c001": lambda app: ":prune takes nothing after it" in screen(app),
}


async def test_a_command_by_name_does_the_same(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(150, 45), notifications=True) as pilot:
        await ready(app, pilot)
        for line, seen in NAMED.items():
            await pilot.press("colon")
            await until(pilot, lambda: isinstance(app.screen, Prompt), "the line")
            app.screen.query_one("#prompt-line").value = line  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda seen=seen: bool(seen(app)), line)  # type: ignore[misc]
            await afresh(app, pilot)


async def test_the_palette_finds_a_verb_by_what_it_does(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(150, 45)) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+p", *"leaderboard")
        await until(pilot, lambda: "leaderboard (6)" in screen(app), "it is found")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.current_mode == "leaderboard", "it is done")


async def test_the_command_line_remembers_and_completes(tmp_path: Path) -> None:
    app = Recorder(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(150, 45)) as pilot:
        await ready(app, pilot)
        await pilot.press("colon", *"leaderb", "tab", "enter")
        await until(pilot, lambda: app.current_mode == "leaderboard", "completed and done")
        await pilot.press("1", "colon", "up", "enter")
        await until(pilot, lambda: app.current_mode == "leaderboard", "brought back and done")
