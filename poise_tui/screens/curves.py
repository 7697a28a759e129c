"""The curves over the whole screen, with a list to choose from."""

from textual.app import ComposeResult
from textual.containers import Horizontal

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.curves import Curves
from poise_tui.widgets.lineage import Lineage


class CurvesScreen(View):
    """One metric of several candidates; the arrows left and right move the crosshair, up and down the candidate."""

    PANES = ("curves", "lineage")
    AUTO_FOCUS = "#curves"

    def panes(self) -> ComposeResult:
        with Horizontal(id="middle"):
            yield Curves(self.glyphs)
            yield Lineage(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Curves).show(shown)
        self.query_one(Lineage).show(shown)

    def went_back(self) -> bool:
        return super().went_back() or self.query_one(Curves).no_cross()

    def action_step(self, rows: int) -> None:
        self.query_one(Lineage).step(rows)
