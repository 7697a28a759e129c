"""The run's knowledge page: read again as it grows, brought out where it has figures, never taken for markup."""

import re

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.archive.folder import RunFolder
from poise_tui.format import many_lines
from poise_tui.run_files import read_knowledge
from poise_tui.state import Shown
from poise_tui.widgets.pane import Pane, Wanted

REFRESH_SECONDS = 2.0
NOTHING_YET = "Nothing yet: the page is written when the first candidate has been reflected upon."
_FIGURES = re.compile(r"[+-]\d+\.\d ± \d+\.\d")


class KnowledgePage(VerticalScroll, Pane, can_focus=True, inherit_bindings=False):
    """Scrolls; asks for the page whenever it is looked at and every two seconds."""

    BORDER_TITLE = "7 knowledge"

    def __init__(self) -> None:
        super().__init__(id="knowledge")
        self._text: str | None = ""
        self._folder: RunFolder | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def on_mount(self) -> None:
        self.set_interval(REFRESH_SECONDS, self._ask)

    def show(self, shown: Shown) -> None:
        """Show the page of this run."""
        if shown.folder is not self._folder:
            self._folder = shown.folder
            self._ask()

    def _ask(self) -> None:
        if self.screen is self.app.screen_stack[0]:
            self.post_message(Wanted(self, "knowledge", read_knowledge, self._fill))

    def _fill(self, text: str | None) -> None:
        if text != self._text:
            self._text = text
            self.query_one(Static).update(page(text))

    def step(self, rows: int) -> bool:
        self.scroll_relative(y=rows, animate=False)
        return True

    def end(self, bottom: bool) -> bool:
        self.scroll_end(animate=False) if bottom else self.scroll_home(animate=False)
        return True

    def page_rows(self) -> int:
        return max(1, self.size.height - 1)


def page(text: str | None) -> Content:
    """The page's markdown with its headings and figures brought out; nothing in it is taken for markup."""
    lines: list[Content] = []
    for line in many_lines(text or NOTHING_YET).splitlines():
        if line.startswith("# "):
            continue  # the frame says so
        if line.startswith("## "):
            lines.append(Content.styled(line.removeprefix("## "), "bold $primary"))
        else:
            content = Content(line)
            for found in _FIGURES.finditer(line):
                content = content.stylize("bold", found.start(), found.end())
            lines.append(content)
    while lines and not lines[0].plain:
        lines.pop(0)
    return Content("\n").join(lines)
