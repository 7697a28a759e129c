"""`poise attach`, and `poise` alone: the dashboard on a run that is there."""

from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import on_terminal, run_argument, runs_dir_option, terminal_options
from poise_tui.terminal import TerminalOptions


@click.command("attach")
@run_argument
@click.option("--readonly", is_flag=True, help="Look, but change nothing.")
@terminal_options
@runs_dir_option
def attach_command(run: str | None, readonly: bool, terminal: TerminalOptions, runs_dir: Path | None) -> None:
    """Open the dashboard on a run, live or ended; leaving it changes nothing for the run.

    Without a RUN: the one that is going on, wherever it was started, else the newest.
    """
    live = client.live_run(runs_dir) if run is None else None
    connection = live or client.connect(run, runs_dir)
    if not on_terminal():
        raise PoiseError(f"the dashboard needs a terminal; `poise status {connection.folder.id}` does not", Exit.USAGE)
    from poise_tui.commands.dashboard import open_dashboard

    open_dashboard(folder=connection.folder, readonly=readonly, terminal=terminal)


def alone() -> Exit | None:
    """What `poise` does without a command."""
    live = client.live_run(None)
    if live is None:
        from poise_tui.commands.run import run_command

        result: Exit | None = run_command.main([], "poise run", standalone_mode=False)
        return result
    if not on_terminal():
        raise PoiseError(
            f"{live.folder.id} is going on already: see `poise status {live.folder.id}`, or start another "
            "with `poise run`",
            Exit.REFUSED,
        )
    from poise_tui.commands.dashboard import open_dashboard

    open_dashboard(folder=live.folder)
    return None
