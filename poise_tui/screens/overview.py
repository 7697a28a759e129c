"""The screen one begins with: candidates, curves, the selected one and the log, all at a glance."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.curves import Curves
from poise_tui.widgets.detail import Detail
from poise_tui.widgets.lineage import Lineage
from poise_tui.widgets.log import Log


class Overview(View):
    """Everything about the run that fits."""

    PANES = ("lineage", "curves", "detail", "log")
    AUTO_FOCUS = "#lineage"

    def panes(self) -> ComposeResult:
        with Horizontal(id="middle"):
            yield Lineage(self.glyphs)
            with Vertical(id="right"):
                yield Curves(self.glyphs)
                yield Detail()
        yield Log(self.glyphs)

    def on_mount(self) -> None:
        self.add_class("-front-curves")

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Lineage).show(shown)
        self.query_one(Curves).show(shown)
        self.query_one(Detail).show(shown)
        self.query_one(Log).show(shown.snapshot.log)

    def open(self, name: str) -> None:
        if name in ("curves", "detail"):  # where there is room for one of them only
            self.set_class(name == "curves", "-front-curves")
            self.set_class(name == "detail", "-front-detail")
        super().open(name)

    def action_tab(self, direction: int) -> None:
        if not self.has_class("-front-detail"):
            self.open("detail")
        super().action_tab(direction)
