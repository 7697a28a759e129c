"""Pictures of the screen, compared with those in __snapshots__ (update: pytest --snapshot-update)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from poise_tui.app import PoiseApp
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until


def after(*keys: str, wanted: str) -> Callable[[Any], Awaitable[None]]:
    async def run(pilot: Any) -> None:
        await until(pilot, lambda: "c004" in screen(pilot.app) and "disk is filling" in screen(pilot.app), "the run")
        await pilot.press(*keys)
        await until(pilot, lambda: wanted in screen(pilot.app), wanted)

    return run


@pytest.mark.parametrize(
    ("size", "keys", "wanted"),
    [
        ((80, 24), ["j"], "Gate-GRPO"),
        ((200, 50), ["j"], "Gate-GRPO keeps work alive"),
        ((80, 24), ["j", "4", *["right_square_bracket"] * 3], "pass@4"),
        ((120, 40), ["right_square_bracket"] * 4, "9#0"),
        ((80, 24), ["j", "x"], "and the 2 below it"),
    ],
    ids=["narrow", "wide", "scores", "samples", "prune"],
)
def test_the_screen_looks_as_it_did(
    tmp_path: Path, snap_compare: Any, size: tuple[int, int], keys: list[str], wanted: str
) -> None:
    app = PoiseApp(folder=recorded.write(tmp_path), clock=lambda: recorded.START + 60)
    assert snap_compare(app, terminal_size=size, run_before=after(*keys, wanted=wanted))


SCREENS = {
    "tree": ("2", "c005 Brevity-GRPO"),
    "curves": ("3", "48 updates"),
    "candidate": ("4", "Hypothesis"),
    "machine": ("5", "Who uses it"),
    "leaderboard": ("6", "Gate-GRPO"),
    "knowledge": ("7", "Nothing yet"),
    "events": ("8", "run finished"),
    "runs": ("9", "unreadable"),  # the recorded run has no archive
}


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", SCREENS)
def test_every_screen_looks_as_it_did(
    name: str, size: tuple[int, int], tmp_path: Path, snap_compare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    key, wanted = SCREENS[name]
    app = PoiseApp(folder=recorded.write(tmp_path), clock=lambda: recorded.START + 60)
    assert snap_compare(app, terminal_size=size, run_before=after(key, wanted=wanted))
