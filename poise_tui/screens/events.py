"""The log over the whole screen."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.log import Log


class Events(View):
    """Everything that happened, as a headless run prints it."""

    PANES = ("log",)
    AUTO_FOCUS = "#log"

    def panes(self) -> ComposeResult:
        yield Log(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Log).show(shown.snapshot.log)
