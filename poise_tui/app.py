"""The dashboard's application: starts or finds the run, follows it in a thread, and sends commands."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.alerts import alerts
from poise_tui.commanding import Commanding
from poise_tui.feed import Feed, FolderFeed
from poise_tui.screens.keys import SCREENS, Key, Keymap
from poise_tui.screens.make import make_screen
from poise_tui.snapshot import Snapshot
from poise_tui.state import Shown
from poise_tui.styles_path import styles_folder
from poise_tui.taking import Taking
from poise_tui.terminal import TerminalOptions
from poise_tui.themes import NAMES, THEMES

POLL_SECONDS = 0.25


class PoiseApp(Taking, Commanding):
    """A run on screen. Leaving or killing it changes nothing for the run."""

    @dataclass
    class Found(Message):
        """The run's folder is known."""

        folder: RunFolder

    @dataclass
    class Moved(Message):
        """The run as it is now."""

        snapshot: Snapshot
        folder: RunFolder
        live: bool = True
        """Whether all that was there before has been read."""

        def can_replace(self, message: Message) -> bool:
            """A newer snapshot makes those that wait pointless."""
            return isinstance(message, PoiseApp.Moved) and message.folder is self.folder

    def __init__(
        self,
        *,
        folder: RunFolder | None = None,
        starting: Callable[[], RunFolder] | None = None,
        readonly: bool = False,
        terminal: TerminalOptions | None = None,
        clock: Callable[[], float] = time.time,
        keymap: Keymap | None = None,
        extra: tuple[Key, ...] = (),
    ) -> None:
        """
        Args:
            folder: the run, if there is one.
            starting: else, starts a run and returns its folder; called in a thread.
            readonly: refuse every key that changes the run.
            terminal: how to treat the terminal.
            clock: unix time.
            extra: keys besides those of `keys.KEYS`, for the help.
            keymap: keys that are not the usual ones, see `poise_tui.settings`.
        """
        styles = sorted(styles_folder().glob("*.tcss"))
        terminal = terminal or TerminalOptions()
        super().__init__(
            readonly=readonly, keymap=keymap or {}, clock=clock, terminal=terminal, extra=extra, css_path=styles
        )
        self.failure: PoiseError | None = None
        """Why the run could not be started; the application has ended then."""
        self._starting = starting
        self._told: tuple[Snapshot, float] | None = None
        self.shown = Shown(folder=folder)
        self._following = False
        self._began = clock()
        for name in SCREENS:
            make = partial(make_screen, name, self.glyphs, clock, self.keymap, readonly=readonly)
            self.add_mode(name, make)
        self._leaving = Event()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = NAMES[terminal.theme]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run until the user leaves; see `textual.app.App.run`."""
        kwargs.setdefault("mouse", self.terminal.mouse)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup too: a viewer without a terminal is of no use
        return super().run(*args, **kwargs)

    def on_view_ready(self) -> None:
        """A screen has come to the front; with the first one, begin to look."""
        if not self.screen_stack:  # one leaves already
            return
        self.change(words=self._words())
        if self.shown.selected is not None:
            self.view.go_to(self.shown.selected)
        if self._following:
            return
        self._following = True
        if self.shown.folder is not None:
            self.follow(self.shown.folder)
        elif self._starting is not None:
            self.start(self._starting)
        self.set_interval(1.0, self._say_waiting)

    def on_unmount(self) -> None:
        self._leaving.set()

    @work(thread=True)
    def start(self, starting: Callable[[], RunFolder]) -> None:
        """Start the run; the screen is there already."""
        try:
            self.post_message(self.Found(starting()))
        except PoiseError as error:
            self.failure = error
            if not self._leaving.is_set():
                self.call_from_thread(self.exit, return_code=int(error.code))

    def make_feed(self, folder: RunFolder) -> Feed:
        """What tells of a run."""
        return FolderFeed(folder)

    @work(thread=True, group="follow")
    def follow(self, folder: RunFolder) -> None:
        """Poll the run's folder until the end; every change becomes a message."""
        feed, last, live = self.make_feed(folder), None, False
        worker = get_current_worker()
        while not (worker.is_cancelled or self._leaving.is_set()):
            try:
                snapshot = feed.poll()
            except OSError:  # a disk or a link that fails: what was known stays on screen, and ages
                self._leaving.wait(POLL_SECONDS)
                continue
            if snapshot is not last:
                last = snapshot
                self.post_message(self.Moved(snapshot, folder, live))
            if not feed.behind:
                live = True
                self._leaving.wait(POLL_SECONDS)

    def on_poise_app_found(self, message: Found) -> None:
        """Begin to follow what was started."""
        self.look_at(message.folder)

    def look_at(self, folder: RunFolder) -> None:
        """Follow this run, in place of any other."""
        self.workers.cancel_group(self, "follow")
        self._began, self._told = self.clock(), None
        self.change(folder=folder, snapshot=Snapshot(), selected=None, overlaid=(), pending=(), words=self._words())
        self.follow(folder)

    def on_poise_app_moved(self, message: Moved) -> None:
        """Show what changed."""
        if message.folder is not self.shown.folder:  # the last words of a run that one has left
            return
        self.shown = replace(self.shown, snapshot=message.snapshot)
        self.settle(message.snapshot.steered)
        self.change(words=self._words())
        now = self.clock()
        if message.live and self._told is not None:
            for alert in alerts(self._told[0], message.snapshot, self._told[1], now):
                self.alert(alert)
        self._told = message.snapshot, now

    def _say_waiting(self) -> None:
        """Before the first training step the seconds show that something goes on."""
        if not self.shown.snapshot.training_began:
            self.change(words=self._words())

    def _words(self) -> str:
        """What goes on before the first training step."""
        snapshot, run = self.shown.snapshot, self.shown.snapshot.run
        seconds = f"{max(0, self.clock() - self._began):.0f} s"
        if self.shown.folder is None:
            return f"starting the engine... {seconds}"
        if run is None:
            return f"waiting for the run's first event... {seconds}"
        if snapshot.training_began or run.shown not in ("running", "paused"):
            return ""
        if any(c.running_trial for c in snapshot.candidates.values()):
            return f"the trainer is loading (PyTorch and TRL take some seconds)... {seconds}"
        return f"the engine is preparing the first training... {seconds}"
