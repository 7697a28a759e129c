"""What every screen has: header, machine and hints around its own panes, and the keys that move within them."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from poise_tui.format import Glyphs
from poise_tui.screens import keys
from poise_tui.state import Shown
from poise_tui.widgets.header import Header
from poise_tui.widgets.machine import MachineBar
from poise_tui.widgets.pane import Pane


class View(Screen[None]):
    """Shows states of the dashboard; what changes one is an action of the application, and told to it by messages."""

    BINDINGS = keys.BINDINGS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (160, "-vast")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    PANES: ClassVar[tuple[str, ...]] = ()
    """Ids of the panes, in the order of Tab; the first one has the focus at first."""

    class Ready(Message):
        """The panes are there and can be shown something."""

    def __init__(
        self, name: str, glyphs: Glyphs, clock: Callable[[], float], keymap: keys.Keymap, *, readonly: bool
    ) -> None:
        """
        Args:
            name: of `keys.SCREENS`.
            glyphs: what to draw with.
            clock: unix time.
            keymap: the keys that are not the usual ones.
            readonly: leave out hints at what steers.
        """
        super().__init__(name=name)
        self.glyphs, self.clock, self._keymap, self._readonly = glyphs, clock, keymap, readonly
        self.shown = Shown()

    def compose(self) -> ComposeResult:
        yield Header(self.glyphs, self.clock, readonly=self._readonly)
        yield from self.panes()
        yield MachineBar(self.glyphs)
        yield Static(self._hints(), id="hints")

    def panes(self) -> ComposeResult:
        """The screen's own widgets."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """It has come to the front, for the first time or again."""
        self.call_after_refresh(self.post_message, self.Ready())

    def show(self, shown: Shown) -> None:
        """Show a state."""
        before, self.shown = self.shown, shown
        with self.app.batch_update():
            if shown.snapshot is not before.snapshot or shown.pending is not before.pending:
                self.query_one(Header).show(shown)
                self.query_one(MachineBar).show(shown.snapshot)
            self.show_panes(shown)

    def show_panes(self, shown: Shown) -> None:
        """Show a state in the screen's own widgets."""
        raise NotImplementedError

    def node(self) -> str | None:
        """The candidate under the cursor of the screen's list of them, if it has one."""
        return next((node for pane in self._all() if (node := pane.node()) is not None), None)

    def go_to(self, node: str) -> None:
        """Put the cursors of lists of candidates on a node."""
        for pane in self._all():
            pane.go_to(node)

    def _all(self) -> Iterable[Pane]:
        return (pane for name in self.PANES if isinstance(pane := self.query_one(f"#{name}"), Pane))

    def _hints(self) -> Content:
        # The way to all the others first: a narrow terminal cuts the end off.
        order = sorted(keys.KEYS, key=lambda key: key.id not in ("help", "leave"))
        parts = [
            Content.assemble((f" {keys.shown(key, self._keymap).split(',')[0]}", "bold $accent"), f" {key.hint}")
            for key in order
            if key.hint and not (key.steers and self._readonly) and (not key.screens or self.name in key.screens)
        ]
        return Content(" ").join(parts)

    # -- moving ------------------------------------------------------------------------------------------------

    def pane(self) -> Pane:
        """The pane with the focus, else the first one."""
        focused = self.focused
        return focused if isinstance(focused, Pane) else self._first()

    def _first(self) -> Pane:
        pane = self.query_one(f"#{self.PANES[0]}")
        assert isinstance(pane, Pane)
        return pane

    def action_step(self, rows: int) -> None:
        """Up or down in the pane with the focus."""
        if not self.pane().step(rows):
            self._first().step(rows)

    def action_side(self, columns: int) -> None:
        """Left or right in the pane with the focus."""
        if not self.pane().side(columns):
            self._first().side(columns)

    def action_page(self, pages: int) -> None:
        """A page up or down in the pane with the focus."""
        pane = self.pane()
        if not pane.step(pages * pane.page_rows()):
            self._first().step(pages * self._first().page_rows())

    def action_end(self, bottom: bool) -> None:
        """To the top or the bottom of the pane with the focus."""
        if not self.pane().end(bottom):
            self._first().end(bottom)

    def action_pane(self, direction: int) -> None:
        """The next pane."""
        focused = self.focused
        place = self.PANES.index(focused.id) if focused is not None and focused.id in self.PANES else 0
        self.open(self.PANES[(place + direction) % len(self.PANES)])

    def open(self, name: str) -> None:
        """Give a pane the focus, over the whole screen if that is how one looks."""
        pane = self.query_one(f"#{name}", Widget)
        if self.maximized is not None and self.maximized is not pane:
            self.maximize(pane)
        pane.focus()

    def action_full(self) -> None:
        """The pane with the focus over the whole screen, and back."""
        if self.maximized is not None:
            self.minimize()
        elif isinstance(pane := self.pane(), Widget):
            self.maximize(pane)

    def went_back(self) -> bool:
        """Out of the full pane, or back to the first one; False if it stands there already."""
        if self.maximized is not None:
            self.minimize()
            return True
        first: Widget | Pane = self._first()
        if self.focused is not first and isinstance(first, Widget):
            first.focus()
            return True
        return False

    def action_tab(self, direction: int) -> None:
        """The next tab, wherever the focus is."""
        for pane in self._all():
            pane.turn(direction)

    def action_reverse(self) -> None:
        """Tables the other way round."""
        for pane in self._all():
            pane.reverse()
