"""`poise log`: a run's curves and scores in TensorBoard, trackio or Weights & Biases."""

import subprocess
import sys
from pathlib import Path

import click

from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option
from poise_tui.format import one_line
from poise_tui.sinks.follow import follow
from poise_tui.sinks.interface import SINKS, sink_factory


@click.command("log")
@run_argument
@click.option("--to", "name", type=click.Choice(SINKS), required=True, metavar="|".join(SINKS), help="Where to.")
@runs_dir_option
def log_command(run: str | None, name: str, runs_dir: Path | None) -> None:
    """Tell TensorBoard, trackio or wandb what a run tells: every training's curves, then its scores.

    Follows a run that goes on until it has ended; a finished one is told whole. It goes into the run's folder.
    """
    make, folder = sink_factory(name), client.connect(run, runs_dir).folder
    try:
        told = follow(folder, make(folder.path))
    except PoiseError:
        raise
    except Exception as error:  # whatever a package may raise: ours is the one line
        raise PoiseError(f"{name}: {type(error).__name__}: {one_line(error)}") from error
    print(f"{folder.id}: {told} updates told to {name}")


def check_sinks(names: str | None) -> tuple[str, ...]:
    """The sinks of `--log-to a,b`.

    Raises:
        PoiseError: wrong usage (2), there is no such sink, or its package is not installed.
    """
    found = tuple(dict.fromkeys(name.strip() for name in (names or "").split(",") if name.strip()))
    if names is not None and not found:
        raise PoiseError(f"--log-to: give one or more of {', '.join(SINKS)}, with commas", Exit.USAGE)
    for name in found:
        sink_factory(name)
    return found


def start_sinks(folder: RunFolder, names: tuple[str, ...]) -> None:
    """Start `poise log` for each, in processes of their own: whatever becomes of them, the run goes on."""
    for name in names:
        command = [sys.executable, "-P", "-m", "poise_tui", "log", str(folder.path), "--to", name]
        with (folder.path / f"log-to-{name}.log").open("ab") as said:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, close_fds=True
            )
