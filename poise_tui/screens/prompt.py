"""A line to type into, at the bottom of the screen: filters, commands, directives, names."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static


class Prompt(ModalScreen[str | None]):
    """One line; Enter gives it, Esc gives None, up and down bring back what was typed before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab", "complete", show=False, priority=True),
    ]

    def __init__(
        self,
        label: str,
        value: str = "",
        *,
        history: list[str] | None = None,
        typed: Callable[[str], str | None] = lambda text: None,
        words: Sequence[str] = (),
        title: str = "",
    ) -> None:
        """
        Args:
            label: before the line.
            value: what stands there at first.
            history: what was typed before, the newest last; what is entered is added.
            typed: called with every change; gives a line to show above, None for none.
            words: what Tab completes to.
            title: a line that stays above.
        """
        super().__init__()
        self._label, self._value, self._typed, self._title = label, value, typed, title
        self._history = [] if history is None else history
        self._place = len(self._history)
        self._words = words

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt"):
            yield Static(self._title, id="prompt-title", markup=False, classes="" if self._title else "-empty")
            yield Static(self._typed(self._value) or "", id="prompt-said", markup=False)
            with Horizontal():
                yield Static(self._label, id="prompt-label", markup=False)
                suggester = SuggestFromList(self._words) if self._words else None
                yield Input(self._value, id="prompt-line", compact=True, suggester=suggester, select_on_focus=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what one thinks of it so far."""
        self.query_one("#prompt-said", Static).update(self._typed(event.value) or "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """It is entered."""
        text = event.value.strip()
        if text and self._history[-1:] != [text]:
            self._history.append(text)
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Back, with nothing."""
        self.dismiss(None)

    def action_complete(self) -> None:
        """Take the suggestion."""
        self.query_one(Input).action_cursor_right()

    def action_recall(self, by: int) -> None:
        """What was typed before."""
        self._place = max(0, min(len(self._history), self._place + by))
        line = self.query_one(Input)
        line.value = self._history[self._place] if self._place < len(self._history) else ""
        line.cursor_position = len(line.value)
