"""One candidate over the whole screen, in all its tabs; up and down go through the candidates from the list beside."""

from textual.app import ComposeResult
from textual.containers import Horizontal

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.detail import Detail
from poise_tui.widgets.lineage import Lineage


class CandidateScreen(View):
    """Everything that is known of the selected candidate."""

    PANES = ("detail", "lineage")
    AUTO_FOCUS = "#detail"

    def panes(self) -> ComposeResult:
        with Horizontal(id="middle"):
            yield Detail()
            yield Lineage(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Detail).show(shown)
        self.query_one(Lineage).show(shown)
