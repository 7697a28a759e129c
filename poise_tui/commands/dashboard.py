"""Opening the dashboard; the only place in the commands that imports textual."""

from collections.abc import Callable

from engine.archive.folder import RunFolder


def open_dashboard(
    *,
    folder: RunFolder | None = None,
    starting: Callable[[], RunFolder] | None = None,
    readonly: bool = False,
) -> None:
    """Show a run until the user leaves.

    Args:
        folder: the run, if there is one.
        starting: else, starts a run and returns its folder; called off the dashboard's thread.
        readonly: change nothing.
    """
    from poise_tui.app import PoiseApp

    PoiseApp(folder=folder, starting=starting, readonly=readonly).run()
