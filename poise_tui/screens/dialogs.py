"""Questions and the help, over the dashboard."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from poise_tui.screens.keys import KEYS, Key, Keymap, same_as, shown


class Question(ModalScreen[str | None]):
    """A question answered by one key; Esc answers nothing."""

    def __init__(self, question: str, answers: dict[str, str]) -> None:
        """
        Args:
            question: plain text.
            answers: what each key means.
        """
        super().__init__()
        self._question = question
        self._answers = answers
        for key in answers:
            self._bindings.bind(key, f"answer({key!r})", show=False)

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,n", "answer('')", show=False)]

    def compose(self) -> ComposeResult:
        lines = [Content(self._question), Content("")]
        for key, meaning in {**self._answers, "Esc": "back"}.items():
            lines.append(Content.assemble((f"  {key:<4}", "bold $accent"), meaning))
        yield Static(Content("\n").join(lines), classes="dialog")

    def action_answer(self, key: str) -> None:
        """Close with an answer."""
        self.dismiss(key or None)


class Help(ModalScreen[None]):
    """All keys, from the table that binds them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close", show=False),
        *same_as("back", "leave", "help", action="close"),
        *same_as("down", action="scroll(1)"),
        *same_as("up", action="scroll(-1)"),
        *same_as("page-down", action="scroll(20)"),
        *same_as("page-up", action="scroll(-20)"),
    ]

    def __init__(self, keymap: Keymap, extra: tuple[Key, ...] = ()) -> None:
        """
        Args:
            keymap: the keys that are not the usual ones.
            extra: further keys, told first.
        """
        super().__init__()
        self._keymap, self._keys = keymap, (*extra, *KEYS)

    def compose(self) -> ComposeResult:
        lines: list[Content] = []
        for section in dict.fromkeys(key.section for key in self._keys):
            lines += [Content("")] if lines else []
            lines.append(Content.styled(section, "bold $primary"))
            lines += [
                Content.assemble(
                    (f"  {shown(key, self._keymap):<11}", "bold $accent"),
                    (f"{key.id:<16}", "$foreground 60%"),
                    key.help,
                )
                for key in self._keys
                if key.section == section
            ]
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Static(Content("\n").join(lines))

    def action_close(self) -> None:
        """Back to the dashboard."""
        self.dismiss(None)

    def action_scroll(self, rows: int) -> None:
        """Up or down."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).border_title = "keys"
        self.query_one(VerticalScroll).border_subtitle = "Esc: back"
