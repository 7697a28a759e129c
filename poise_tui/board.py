"""What the application's verbs have in common: the state on show, and the screen that shows it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.filter import Monochrome, NoColor

from poise_tui.alerts import Alert
from poise_tui.format import choose_glyphs
from poise_tui.screens.base import View
from poise_tui.screens.keys import Key, Keymap
from poise_tui.snapshot import Candidate
from poise_tui.state import Shown
from poise_tui.terminal import TerminalOptions, clipboard, notice
from poise_tui.widgets.pane import NodeSelected, Wanted


class Board(App[None]):
    """Holds the state, hands it to the screen in front, and reads files for widgets."""

    TITLE = "POISE"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = None
    DEFAULT_MODE = "overview"

    def __init__(
        self,
        *,
        readonly: bool,
        keymap: Keymap,
        terminal: TerminalOptions,
        extra: tuple[Key, ...] = (),
        clock: Callable[[], float] = time.time,
        css_path: Any = None,
    ) -> None:
        super().__init__(css_path=css_path)
        self.extra = extra
        """Keys besides those that are always there."""
        self.readonly, self.keymap, self.clock, self.terminal = readonly, keymap, clock, terminal
        if self.no_color:  # Textual means shades of grey by that
            self._filters = [NoColor() if isinstance(found, Monochrome) else found for found in self._filters]
        self.glyphs = choose_glyphs(terminal.glyphs)
        self.set_class(self.glyphs.ascii, "-ascii")
        self.shown = Shown()
        self._histories: dict[str, list[str]] = {}
        self.before = self.DEFAULT_MODE
        """The screen that was in front of this one."""
        self.set_keymap(dict(keymap))

    @property
    def view(self) -> View:
        """The screen in front, whatever dialog may lie over it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, View)
        return screen

    @property
    def candidate(self) -> Candidate | None:
        """The candidate that verbs are about: the one under the cursor, whose message may still be on its way."""
        node = self.view.node()
        if node is not None and node != self.shown.selected:
            self.change(selected=node)
        return self.shown.candidate

    def change(self, **fields: Any) -> None:
        """Another state, and the screen in front shows it."""
        self.shown = replace(self.shown, **fields)
        if self.screen_stack:
            self.view.show(self.shown)

    def alert(self, alert: Alert) -> None:
        """Tell what happened: on screen, and by the bell and the desktop where the user wants that."""
        self.notify(alert.text, title=alert.title, severity=alert.severity, markup=False)
        if self.terminal.bell:
            self.bell()
        if self.terminal.notices and self._driver is not None:
            self._driver.write(notice(f"POISE {alert.title}: {alert.text}"))

    def copy_to_clipboard(self, text: str) -> None:
        """Copy a text by way of the terminal, through tmux and screen too."""
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(clipboard(text))

    def refused(self) -> bool:
        """Whether the run cannot be steered from here; says why."""
        if self.readonly:
            self.notify("read-only: start `poise attach` without --readonly to steer", severity="warning")
        elif self.shown.folder is None:
            self.notify("the engine is still starting", severity="warning")
        return self.readonly or self.shown.folder is None

    def history(self, kind: str) -> list[str]:
        """What was typed before in a prompt of this kind, the newest last; the prompt adds to it."""
        return self._histories.setdefault(kind, [])

    def on_node_selected(self, message: NodeSelected) -> None:
        """The cursor of some list moved."""
        if message.node != self.shown.selected:
            self.change(selected=message.node)

    def on_wanted(self, message: Wanted) -> None:
        """A widget wants what lies in files; its newest wish wins."""
        if self.shown.folder is not None:

            async def fetch() -> None:  # called when its turn comes: one that is replaced before has not begun
                await self._fetch(message)

            self.run_worker(fetch, exclusive=True, group=message.group)  # type: ignore[arg-type]

    async def _fetch(self, message: Wanted) -> None:
        assert self.shown.folder is not None
        found = await asyncio.to_thread(message.read, self.shown.folder)
        if message.widget.is_attached:
            message.then(found)

    def action_go(self, screen: str) -> None:
        """Another screen."""
        if screen != self.current_mode:
            self.before = self.current_mode
            self.switch_mode(screen)
