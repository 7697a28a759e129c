"""All candidates as a table that sorts."""

from textual.app import ComposeResult

from poise_tui.screens.base import View
from poise_tui.state import Shown
from poise_tui.widgets.leaderboard import Leaderboard


class LeaderboardScreen(View):
    """Who is best, in what, at what cost."""

    PANES = ("leaderboard",)
    AUTO_FOCUS = "#leaderboard"

    def panes(self) -> ComposeResult:
        yield Leaderboard(self.glyphs)

    def show_panes(self, shown: Shown) -> None:
        self.query_one(Leaderboard).show(shown)
