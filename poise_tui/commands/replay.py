"""`poise replay`: a run that is over, as if it happened again."""

from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import on_terminal, run_argument, runs_dir_option, terminal_options
from poise_tui.terminal import TerminalOptions


@click.command("replay")
@run_argument
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 10_000),
    default=10.0,
    show_default=True,
    metavar="X",
    help="Times the speed of life.",
)
@terminal_options
@runs_dir_option
def replay_command(run: str | None, speed: float, terminal: TerminalOptions, runs_dir: Path | None) -> None:
    """Watch a run again: a slider through its time, stop, go on, back, forward, slower, faster.

    Times in which nothing happened are cut to ten seconds. Nothing can be changed. `?` lists the keys.
    """
    folder = client.connect(run, runs_dir).folder
    if not on_terminal():
        raise PoiseError(f"a replay needs a terminal; `poise report {folder.id}` does not", Exit.USAGE)
    from poise_tui.commands.dashboard import open_replay

    open_replay(folder, speed, terminal)
