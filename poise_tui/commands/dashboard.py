"""Opening the dashboard; the only place in the commands that imports textual."""

from collections.abc import Callable

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.terminal import TerminalOptions


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
    app.run()
    if app.failure is not None:
        raise app.failure
    if app.return_code:
        raise PoiseError("the dashboard failed; the run is not touched by that")
