"""`poise report`: one self-contained HTML page of a run, and the same as Markdown."""

from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option


@click.command("report")
@run_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Where the page goes, FILE.md beside it.  [default: report.html in the run's folder]",
)
@runs_dir_option
def report_command(run: str | None, out: Path | None, runs_dir: Path | None) -> None:
    """Write a run's report: one HTML page that needs nothing else, and the same as Markdown."""
    if out is not None and out.suffix != ".html":
        raise PoiseError(f"--out {out}: give a name that ends in .html (the Markdown goes beside it)", Exit.USAGE)
    folder = client.connect(run, runs_dir).folder
    from engine.report.write import write_report

    for path in write_report(folder, out):
        print(path)
