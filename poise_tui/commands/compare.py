"""`poise compare`: two runs side by side."""

from pathlib import Path

import click

from poise_tui import client
from poise_tui.commands.common import runs_dir_option


@click.command("compare")
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@runs_dir_option
def compare_command(one: str, other: str, runs_dir: Path | None) -> None:
    """Show two runs side by side: root and noise, the best of each rung, what was confirmed, the cost."""
    folders = [client.connect(run, runs_dir).folder for run in (one, other)]
    from engine.report.compare import compare_lines
    from engine.report.story import read_story

    for line in compare_lines(*map(read_story, folders)):
        print(line)
