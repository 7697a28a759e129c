"""GPUs, processor, memory, and who uses them."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.load import Load


class MachineScreen(View):
    """What the engine's telemetry says, over time."""

    PANES = ("load",)
    AUTO_FOCUS = "#load"

    def panes(self) -> ComposeResult:
        yield Load(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Load).show_state(shown)
