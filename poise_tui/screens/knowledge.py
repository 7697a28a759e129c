"""What the run has learnt, over the dashboard: its knowledge page, read again as it grows."""

import asyncio
import re
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.archive.files import read_limited
from engine.archive.folder import RunFolder
from poise_tui.format import many_lines

LIMIT = 1 << 18
"""Bytes of the page; more is not looked at."""
REFRESH_SECONDS = 2.0
NOTHING_YET = "Nothing yet: the page is written when the first candidate has been reflected upon."
_FIGURES = re.compile(r"[+-]\d+\.\d ± \d+\.\d")


class KnowledgePage(ModalScreen[None]):
    """What helps, what hurts, what cannot be told yet; scrolls, and comes back to the dashboard on Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,K,enter", "close", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d", "scroll(10)", show=False),
        Binding("pageup,ctrl+u", "scroll(-10)", show=False),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder
        self._shown: str | None = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Static()

    async def on_mount(self) -> None:
        dialog = self.query_one(VerticalScroll)
        dialog.border_title, dialog.border_subtitle = "knowledge", "Esc: back"
        await self._refresh()
        self.set_interval(REFRESH_SECONDS, self._refresh)

    async def _refresh(self) -> None:
        text = await asyncio.to_thread(_read, self._folder)
        if text != self._shown:
            self._shown = text
            self.query_one(Static).update(page(text))

    def action_close(self) -> None:
        """Back to the dashboard."""
        self.dismiss(None)

    def action_scroll(self, rows: int) -> None:
        """Up or down."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


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


def _read(folder: RunFolder) -> str | None:
    try:
        return read_limited(folder.knowledge, LIMIT).decode(errors="replace")
    except OSError:
        return None
