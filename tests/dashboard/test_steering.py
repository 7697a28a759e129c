"""What the keys steer reaches a real control socket; what the engine answers is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise_tui.app import PoiseApp
from tests.dashboard import recorded
from tests.dashboard.engine import engine_of
from tests.dashboard.recorded import screen, until


def selected(app: Any) -> Callable[[], bool]:
    return lambda: "Gate-GRPO keeps work alive" in screen(app)


async def test_every_steering_key_reaches_the_engine(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder) as told:
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: "c004" in screen(app), "the tree")
            await pilot.press("j")
            await until(pilot, selected(app), "c001 is selected")
            expected: list[tuple[str, str | None]] = []
            for keys, command in (
                (["space"], ("pause", "c001")),
                (["x", "y"], ("prune", "c001")),
                (["u"], ("restore", "c001")),
                (["P"], ("pause", None)),
            ):
                await pilot.press(*keys)
                expected.append(command)
                await until(pilot, lambda: told == expected, f"{keys} sends {command}")
            await until(pilot, lambda: "accepted" in screen(app), "the answer is shown")


async def test_a_stopped_node_goes_on_by_hand_and_a_whole_training_is_asked_about_first(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder) as told:
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: "c005" in screen(app), "the tree")
            await pilot.press("G", "n")
            await until(pilot, lambda: "It stopped at update 12 of 48" in screen(app), "the question")
            await pilot.press("escape")
            assert told == []
            await pilot.press("n", "y")
            await until(pilot, lambda: told == [("promote", "c005")], "it is promoted")


async def test_what_the_engine_refuses_is_shown_in_its_own_words(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder, refuse="the root cannot be [bold]pruned[/]"):
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: "c004" in screen(app), "the tree")
            await pilot.press("x", "y")
            await until(pilot, lambda: "cannot be [bold]pruned[/]" in screen(app), "the refusal")


async def test_steering_a_dead_run_says_how_to_wake_it(tmp_path: Path) -> None:
    app = PoiseApp(folder=recorded.write(tmp_path, status="running"))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "dead" in screen(app), "it is dead")
        await pilot.press("P")
        await until(pilot, lambda: "poise resume recorded" in screen(app), "the way out")


async def test_stopping_leaves_once_the_engine_has_accepted(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path, status="running")
    async with engine_of(folder) as told:
        app = PoiseApp(folder=folder)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "running" in screen(app), "it is alive")
            await pilot.press("q", "s")
            await until(pilot, lambda: not app.is_running or app._exit, "it leaves")
        assert told == [("stop", None)] and app.return_code in (0, None)
