"""`poise gc`: free the space that a run no longer needs."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from engine.archive.gc import BEST, Removable, removable, remove
from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option
from poise_tui.commands.finding import size
from poise_tui.format import one_line


@click.command("gc")
@run_argument
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=BEST,
    show_default=True,
    metavar="N",
    help="So many of the best keep their adapters; the root, pinned and confirmed ones do in any case.",
)
@click.option("--verbose", is_flag=True, help="Name every folder.")
@runs_dir_option
def gc_command(run: str | None, dry_run: bool, yes: bool, keep: int, verbose: bool, runs_dir: Path | None) -> None:
    """Free what an ended run no longer needs: say what and how much, ask, then remove it.

    Checkpoints of trainings that are over, adapters that are not among the best, and the archive's spare generation.
    Results, curves, samples and algorithms stay, and all that `resume`, `promote`, `restore` or `confirm` needs.
    """
    folder = client.connect(run, runs_dir).folder
    things = removable(folder, keep)
    if not things:
        print(f"{folder.id}: nothing to remove")
        return
    print(f"{folder.id}: {size(sum(t.bytes for t in things))} can be freed")
    for line in _lines(things, verbose, folder.path):
        print(line)
    if dry_run:
        return
    if not (yes or sys.stdin.isatty()):
        raise PoiseError("nothing was removed: give --yes, since there is nobody to ask", Exit.REFUSED)
    if yes or click.confirm("Remove?", default=False):
        print(f"{size(remove(folder, things))} freed")
    else:
        print("nothing was removed")


def _lines(things: Sequence[Removable], verbose: bool, folder: Path) -> list[str]:
    lines = []
    for kind in dict.fromkeys(thing.kind for thing in things):
        own = [thing for thing in things if thing.kind == kind]
        lines.append(f"  {size(sum(t.bytes for t in own)):>10}  {kind} ({len(own)})")
        if verbose:
            lines += [
                f"  {size(t.bytes):>10}    {one_line(t.path.relative_to(folder))}: {one_line(t.why)}" for t in own
            ]
    return lines
