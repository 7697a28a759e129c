"""`poise export`: a run as one JSON document with fixed keys, or its candidates as a table."""

import json
from pathlib import Path
from typing import Literal

import click

from engine.archive.export import export_run, to_csv, to_markdown
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option


@click.command("export")
@run_argument
@click.option(
    "--format", "form", type=click.Choice(["json", "csv", "md"]), default="json", show_default=True,
    help="json: everything; csv and md: the candidates.",
)  # fmt: skip
@runs_dir_option
def export_command(run: str | None, form: Literal["json", "csv", "md"], runs_dir: Path | None) -> None:
    """Write a run to stdout: candidates, scores, costs, lineage and, in JSON, every trial."""
    exported = export_run(client.connect(run, runs_dir).folder)
    match form:
        case "json":
            print(json.dumps(exported, indent=2))
        case "csv":
            print(to_csv(exported), end="")
        case "md":
            print(to_markdown(exported), end="")
