"""The lineages over the whole screen, with what there is no room for in the overview."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.lineage import Lineage


class Tree(View):
    """Every candidate with its Overall and interval, rung, learning curve and cost."""

    PANES = ("lineage",)
    AUTO_FOCUS = "#lineage"

    def panes(self) -> ComposeResult:
        yield Lineage(self.glyphs, full=True)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Lineage).show(shown)
