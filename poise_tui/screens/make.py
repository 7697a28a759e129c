"""Every screen by its name, imported when it is first looked at."""

from collections.abc import Callable
from importlib import import_module

from poise_tui.format import Glyphs
from poise_tui.screens.base import View
from poise_tui.screens.keys import Keymap

CLASSES = {
    "overview": "Overview",
    "tree": "Tree",
    "curves": "CurvesScreen",
    "candidate": "CandidateScreen",
    "machine": "MachineScreen",
    "leaderboard": "LeaderboardScreen",
    "knowledge": "Knowledge",
    "events": "Events",
    "runs": "RunsScreen",
}
"""The class in the module of the screen's name."""


def make_screen(name: str, glyphs: Glyphs, clock: Callable[[], float], keymap: Keymap, *, readonly: bool) -> View:
    """A screen of `keys.SCREENS`; see `View`."""
    view: type[View] = getattr(import_module(f"poise_tui.screens.{name}"), CLASSES[name])
    return view(name, glyphs, clock, keymap, readonly=readonly)
