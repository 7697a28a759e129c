"""A text to read, over whatever is on screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen

from poise_tui.screens.keys import same_as
from poise_tui.widgets.text import TextView


class Page(ModalScreen[None]):
    """Scrolls; Esc goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close", show=False),
        *same_as("back", "leave", action="close"),
        *same_as("down", action="scroll(1)"),
        *same_as("up", action="scroll(-1)"),
        *same_as("page-down", action="scroll(20)"),
        *same_as("page-up", action="scroll(-20)"),
    ]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title_, self._text = title, text

    def compose(self) -> ComposeResult:
        yield TextView(id="page")

    def on_mount(self) -> None:
        page = self.query_one(TextView)
        page.border_title, page.border_subtitle = self._title_, "Esc: back"
        page.show(self._text)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)

    def action_scroll(self, rows: int) -> None:
        """Up or down."""
        self.query_one(TextView).scroll_relative(y=rows, animate=False)
