"""All runs: which one to open, compare with, delete, or begin."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.runs import Runs


class RunsScreen(View):
    """The runs beside the one that is open, and this user's live ones elsewhere."""

    PANES = ("runs",)
    AUTO_FOCUS = "#runs"

    def panes(self) -> ComposeResult:
        yield Runs(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Runs).show(shown)
