"""`poise doctor`: what is wrong with this machine, or with a run, and what to do about it."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from engine.archive.folder import default_runs_dir
from engine.errors import Exit
from engine.profiles.schema import load_profile
from poise_tui import client
from poise_tui.commands.common import absolute_profile, run_argument, runs_dir_option
from poise_tui.commands.finding import Finding
from poise_tui.commands.machine_findings import machine_findings, probe
from poise_tui.commands.run_findings import run_findings


@click.command("doctor")
@run_argument
@click.option("--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="Whose needs are looked at.")
@click.option("--quick", is_flag=True, help="Leave out what takes seconds: torch, GPUs, model and tasks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@runs_dir_option
def doctor_command(run: str | None, profile: str, quick: bool, as_json: bool, runs_dir: Path | None) -> Exit:
    """Look for what is wrong with this machine; with RUN, with that run.

    Each line says what was looked at, how bad it is (ok, warning, error) and what helps. Nothing is changed. With a
    profile: does it fit this machine, what memory and time will a candidate take, on which cards, and what to change.
    Ends with 0 if there is no error, with 1 if there is one.
    """
    load_profile(profile)
    if run is None:
        place = default_runs_dir(runs_dir)
        probed = None if quick else probe(absolute_profile(profile), place)
        findings, name = list(machine_findings(place, profile, probed)), None
        outlook = probed["outlook"] if isinstance(probed, dict) else None
    else:
        folder = client.connect(run, runs_dir).folder
        findings, name, outlook = list(run_findings(folder)), folder.id, None
    wrong = any(f.level == "error" for f in findings)
    if as_json:
        told = {"run": name, "ok": not wrong, "findings": [asdict(f) for f in findings], "outlook": outlook}
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(map(_lines, findings)))
    return Exit.ERROR if wrong else Exit.DONE


def _lines(finding: Finding) -> str:
    line = f"{finding.level:<8} {finding.what:<12} {finding.says}"
    return f"{line}\n{'':<22}{finding.do}" if finding.do else line
