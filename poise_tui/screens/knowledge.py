"""What the run has learnt, as its knowledge page says it, over the whole screen."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.page import KnowledgePage


class Knowledge(View):
    """What helps, what hurts, what cannot be told yet."""

    PANES = ("knowledge",)
    AUTO_FOCUS = "#knowledge"

    def panes(self) -> ComposeResult:
        yield KnowledgePage()

    def show_panes(self, shown: Shown) -> None:
        self.query_one(KnowledgePage).show(shown)
