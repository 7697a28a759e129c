"""The dashboard's application: starts or finds the run, follows it in a thread, and sends commands."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from rich.text import Text
from textual import work
from textual.app import App
from textual.message import Message
from textual.worker import get_current_worker

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.feed import FolderFeed
from poise_tui.format import choose_glyphs, one_line
from poise_tui.screens.main import Dashboard
from poise_tui.snapshot import Snapshot
from poise_tui.styles_path import styles_folder
from poise_tui.themes import THEMES

POLL_SECONDS = 0.25


class PoiseApp(App[None]):
    """A run on screen. Leaving or killing it changes nothing for the run."""

    TITLE = "POISE"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = None

    @dataclass
    class Found(Message):
        """The run's folder is known."""

        folder: RunFolder

    @dataclass
    class Moved(Message):
        """The run as it is now."""

        snapshot: Snapshot

        def can_replace(self, message: Message) -> bool:
            """A newer snapshot makes those that wait pointless."""
            return isinstance(message, PoiseApp.Moved)

    def __init__(
        self,
        *,
        folder: RunFolder | None = None,
        starting: Callable[[], RunFolder] | None = None,
        readonly: bool = False,
        mouse: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            folder: the run, if there is one.
            starting: else, starts a run and returns its folder; called in a thread.
            readonly: refuse every key that changes the run.
            mouse: let the terminal report the mouse.
            clock: unix time.
        """
        super().__init__(css_path=sorted(styles_folder().glob("*.tcss")))
        self.failure: PoiseError | None = None
        """Why the run could not be started; the application has ended then."""
        self._folder, self._starting = folder, starting
        self._readonly, self._mouse, self._clock = readonly, mouse, clock
        self._glyphs = choose_glyphs()
        self.set_class(not self._glyphs.braille, "-ascii")
        self._snapshot = Snapshot()
        self._began = clock()
        self._leaving = Event()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run until the user leaves; see `textual.app.App.run`."""
        kwargs.setdefault("mouse", self._mouse)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup too: a viewer without a terminal is of no use
        return super().run(*args, **kwargs)

    def get_default_screen(self) -> Dashboard:
        """The one screen."""
        return Dashboard(self._glyphs, self._clock, self.command, readonly=self._readonly)

    def on_dashboard_ready(self) -> None:
        """The first frame is there; now begin to look."""
        self._show()
        if self._folder is not None:
            self.follow(self._folder)
        elif self._starting is not None:
            self.start(self._starting)
        self.set_interval(1.0, self._show_waiting)

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

    @work(thread=True)
    def follow(self, folder: RunFolder) -> None:
        """Poll the run's folder until the end; every change becomes a message."""
        feed, last = FolderFeed(folder), None
        worker = get_current_worker()
        while not (worker.is_cancelled or self._leaving.is_set()):
            snapshot = feed.poll()
            if snapshot is not last:
                last = snapshot
                self.post_message(self.Moved(snapshot))
            if not feed.behind:
                self._leaving.wait(POLL_SECONDS)

    def on_poise_app_found(self, message: Found) -> None:
        """Begin to follow what was started."""
        self._folder = message.folder
        self._show()
        self.follow(message.folder)

    def on_poise_app_moved(self, message: Moved) -> None:
        """Show what changed."""
        self._snapshot = message.snapshot
        self._show()

    def _show(self) -> None:
        screen = self.screen_stack[0]
        if isinstance(screen, Dashboard):
            screen.show(self._snapshot, self._folder, self._words())

    def _show_waiting(self) -> None:
        """Before the first training step the seconds show that something goes on."""
        if not self._snapshot.training_began:
            self._show()

    def _words(self) -> str:
        """What goes on before the first training step."""
        snapshot, run = self._snapshot, self._snapshot.run
        seconds = f"{max(0, self._clock() - self._began):.0f} s"
        if self._folder is None:
            return f"starting the engine... {seconds}"
        if run is None:
            return f"waiting for the run's first event... {seconds}"
        if snapshot.training_began or run.shown not in ("running", "paused"):
            return ""
        if any(c.running_trial for c in snapshot.candidates.values()):
            return f"the trainer is loading (PyTorch and TRL take some seconds)... {seconds}"
        return f"the engine is preparing the first training... {seconds}"

    def command(self, command: str, node: str | None) -> None:
        """Send a command to the run's engine, in a thread; how it went is shown as a toast."""
        if self._folder is not None:
            self._command(self._folder, command, node)

    @work(thread=True)
    def _command(self, folder: RunFolder, command: str, node: str | None) -> None:
        from poise_tui.client import Connection

        target = node or "the run"
        try:
            Connection(folder).send(command, node)
        except PoiseError as error:
            title = f"{command} {target}"
            self.call_from_thread(self.notify, one_line(error), severity="error", title=title, markup=False)
            return
        if command == "stop":
            farewell = f"{folder.id} is stopping: `poise resume {folder.id}` takes it up again"
            self.call_from_thread(self.exit, message=Text(farewell))
        else:
            self.call_from_thread(self.notify, f"{command} {target}: accepted", timeout=2, markup=False)
