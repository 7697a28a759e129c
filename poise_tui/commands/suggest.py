"""`poise direct | weights | inject`: what a user puts into a running search."""

from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import runs_dir_option
from poise_tui.format import one_line

LARGEST = 1 << 16
"""Bytes of an algorithm file."""


@click.command("direct")
@click.argument("words", nargs=-1, required=True, metavar="[RUN] TEXT")
@runs_dir_option
def direct_command(words: tuple[str, ...], runs_dir: Path | None) -> None:
    """Tell a run what to look for, from its next round on.

    TEXT replaces the directive; an empty one ("") takes it away.
    """
    run, text = _run_and_rest(words, "a run and one text; quote the text")
    connection = client.connect(run, runs_dir)
    told = connection.send("direct", text=text)["directive"]
    print(f"{connection.folder.id}: {f'directive: {one_line(told)}' if told else 'no directive any more'}")


@click.command("weights")
@click.argument("words", nargs=-1, required=True, metavar="[RUN] NAME=NUMBER...")
@runs_dir_option
def weights_command(words: tuple[str, ...], runs_dir: Path | None) -> None:
    """Weigh what makes a parent, from the next round on: pareto, performance, diversity, bayes.

    Only ratios count; those not named stay as they are.
    """
    run = None if "=" in words[0] else words[0]
    pairs = words if run is None else words[1:]
    weights = dict(map(_weight, pairs))
    if not weights:
        raise click.UsageError("give at least one NAME=NUMBER")
    connection = client.connect(run, runs_dir)
    found = connection.send("weights", weights=weights)["weights"]
    print(f"{connection.folder.id}: {', '.join(f'{one_line(name)} {value:g}' for name, value in found.items())}")


@click.command("inject")
@click.argument("words", nargs=-1, required=False, metavar="[RUN] FILE.py")
@click.option("--idea", metavar="TEXT", help="An idea in words instead of a file, for the next proposals.")
@runs_dir_option
def inject_command(words: tuple[str, ...], idea: str | None, runs_dir: Path | None) -> None:
    """Put an algorithm of your own into a run, or an idea in words.

    The algorithm becomes a child of the root: verified, trained and scored like any other, and a parent to be.
    """
    if idea is not None:
        if len(words) > 1:
            raise click.UsageError("--idea takes a run at most, no file")
        connection = client.connect(words[0] if words else None, runs_dir)
        number = connection.send("inject", text=idea)["idea"]
        print(f"{connection.folder.id}: {one_line(number)} is offered to the next proposals")
        return
    if not words:
        raise click.UsageError("give an algorithm file, or --idea TEXT")
    run, name = _run_and_rest(words, "a run and one file")
    file = Path(name)
    if not file.is_file():
        raise PoiseError(f"no file {file}: give an algorithm file (see docs/contract.md)", Exit.USAGE)
    if file.stat().st_size > LARGEST:
        raise PoiseError(f"{file} has more than {LARGEST} bytes: that is no algorithm file", Exit.USAGE)
    try:
        code = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PoiseError(f"{file} is no UTF-8 text", Exit.USAGE) from None
    connection = client.connect(run, runs_dir)
    made = connection.send("inject", code=code)
    print(f"{connection.folder.id}: {one_line(made['name'])} is {one_line(made['node'])}")


def _run_and_rest(words: tuple[str, ...], wanted: str) -> tuple[str | None, str]:
    match words:
        case (rest,):
            return None, rest
        case (run, rest):
            return run, rest
        case _:
            raise click.UsageError(f"give {wanted}, not {len(words)} words")


def _weight(pair: str) -> tuple[str, float]:
    name, _, number = pair.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise click.UsageError(f"{pair!r} is no NAME=NUMBER such as performance=0.5") from None
