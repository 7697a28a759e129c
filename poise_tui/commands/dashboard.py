"""Opening the dashboard; the only place in the commands that imports textual."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.terminal import TerminalOptions

if TYPE_CHECKING:
    from poise_tui.app import PoiseApp


def open_dashboard(
    *,
    folder: RunFolder | None = None,
    starting: Callable[[], RunFolder] | None = None,
    readonly: bool = False,
    terminal: TerminalOptions | None = None,
) -> None:
    """Show a run until the user leaves.

    Args:
        folder: the run, if there is one.
        starting: else, starts a run and returns its folder; called off the dashboard's thread.
        readonly: change nothing.
        terminal: how to treat the terminal.

    Raises:
        PoiseError: the run could not be started, or the user's configuration is wrong.
    """
    from poise_tui.app import PoiseApp
    from poise_tui.settings import read_keymap, settings_path

    keymap = read_keymap(settings_path())
    app = PoiseApp(folder=folder, starting=starting, readonly=readonly, terminal=terminal, keymap=keymap)
    _run(app)


def open_replay(folder: RunFolder, speed: float, terminal: TerminalOptions) -> None:
    """Show a run again until the user leaves.

    Args:
        folder: the run.
        speed: times the speed of life, at first.
        terminal: how to treat the terminal.

    Raises:
        PoiseError: the user's configuration is wrong.
    """
    from poise_tui.replaying import ReplayApp
    from poise_tui.settings import read_keymap, settings_path

    _run(ReplayApp(folder, speed=speed, terminal=terminal, keymap=read_keymap(settings_path())))


def _run(app: "PoiseApp") -> None:
    app.run()
    if app.failure is not None:
        raise app.failure
    if app.return_code:
        raise PoiseError("the dashboard failed; the run is not touched by that")
