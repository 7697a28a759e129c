"""The log pane: what a headless run prints, newest at the bottom."""

from rich.segment import Segment
from textual.events import Resize
from textual.strip import Strip

from poise_tui.format import Glyphs, one_line, shorten
from poise_tui.snapshot import LogLine
from poise_tui.widgets.pane import LinesPane

LEVELS = ("info", "good", "steering", "warning", "error")


class Log(LinesPane):
    """Follows the newest line until one scrolls up, and again from the bottom."""

    COMPONENT_CLASSES = {f"log--{level}" for level in LEVELS}  # noqa: RUF012
    BORDER_TITLE = "8 log"

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="log")
        self._glyphs = glyphs
        self._lines: tuple[LogLine, ...] = ()
        self._following = True

    def show(self, lines: tuple[LogLine, ...]) -> None:
        """Show these lines."""
        if lines is self._lines:
            return
        self._lines = lines
        self.set_lines(len(lines))
        self._follow()
        self.refresh()

    def on_resize(self, _: Resize) -> None:
        self.set_lines(len(self._lines))
        self._follow()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls up stays there; whoever comes back to the bottom follows again."""
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= old_value and self.is_vertical_scroll_end

    def _follow(self) -> None:
        if self._following:
            # After the refresh: only then does the pane know how far it can scroll.
            self.call_after_refresh(self.scroll_end, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        width, place = self.scrollable_content_region.width, y + self.scroll_offset.y
        if place >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[place]
        level = line.level if line.level in LEVELS else "info"
        style = self.rich_style + self.get_component_rich_style(f"log--{level}")
        # The first columns are the time, whose blanks one_line would eat.
        text = shorten(line.text[:8] + one_line(line.text[8:]), width, self._glyphs)
        return Strip([Segment(text, style)]).adjust_cell_length(width, self.rich_style)
