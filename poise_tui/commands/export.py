"""`poise export`: a run as JSON with fixed keys, its candidates as a table, or one of them as a trainer for TRL."""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import click

from engine.archive.export import export_run, to_csv, to_markdown
from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from engine.untrusted import one_line
from poise_tui import client
from poise_tui.commands.common import absolute_profile, run_argument, runs_dir_option


@click.command("export")
@run_argument
@click.option(
    "--format", "form", type=click.Choice(["json", "csv", "md", "trl"]), default="json", show_default=True,
    help="json: everything; csv and md: the candidates; trl: one candidate as a trainer in one file.",
)  # fmt: skip
@click.option("--node", metavar="NODE", help="With trl: the candidate.")
@click.option(
    "--algorithm", "file", type=click.Path(path_type=Path), metavar="FILE.py", help="With trl: an algorithm's file."
)
@click.option("--profile", metavar="NAME|FILE", help="With --algorithm: whose settings it gets.  [default: tiny]")
@runs_dir_option
def export_command(
    run: str | None,
    form: Literal["json", "csv", "md", "trl"],
    node: str | None,
    file: Path | None,
    profile: str | None,
    runs_dir: Path | None,
) -> None:
    """Write a run to stdout: candidates, scores, costs, lineage and, in JSON, every trial.

    With --format trl, one candidate (--node) or file (--algorithm) as a Python file that runs in plain TRL.
    """
    if form != "trl" and (node or file or profile):
        raise PoiseError("--node, --algorithm and --profile go with --format trl", Exit.USAGE)
    if form == "trl":
        print(_trainer(run, node, file, profile, runs_dir), end="")
        return
    exported = export_run(client.connect(run, runs_dir).folder)
    match form:
        case "json":
            print(json.dumps(exported, indent=2))
        case "csv":
            print(to_csv(exported), end="")
        case "md":
            print(to_markdown(exported), end="")


def _trainer(run: str | None, node: str | None, file: Path | None, profile: str | None, runs_dir: Path | None) -> str:
    from engine.algorithms.lint import read_source
    from engine.profiles.schema import load_profile
    from engine.standalone.assemble import ROOT, standalone

    if (node is None) == (file is None):
        raise PoiseError("--format trl needs --node NODE of a run, or --algorithm FILE.py", Exit.USAGE)
    if file is not None:
        if run is not None:
            raise PoiseError("--algorithm exports a file: leave out the run", Exit.USAGE)
        settings = load_profile(absolute_profile(profile or "tiny")).resolved()
        return standalone(read_source(file), settings, {"From": f"the file {file.name}"})
    if profile is not None:
        raise PoiseError("--profile goes with --algorithm: a run has its own", Exit.USAGE)
    folder = client.connect(run, runs_dir).folder
    candidates = {c["id"]: c for c in export_run(folder)["candidates"]}
    found = candidates.get(str(node))
    if found is None:
        raise PoiseError(f"run {folder.id} has no candidate {one_line(str(node))}", Exit.NOT_FOUND)
    path = folder.candidate(found["id"]).algorithm
    source = ROOT if found["parent"] is None and not path.exists() else read_source(path)
    seeds = found["seeds"] or [42]
    return standalone(source, _profile_of(folder), _facts(folder.id, found), int(seeds[0]))


def _profile_of(folder: RunFolder) -> dict[str, Any]:
    """What the run was begun with; its other settings are the engine's business."""
    try:
        profile: dict[str, Any] = tomllib.loads(folder.config.read_text(encoding="utf-8"))["profile"]
    except (OSError, ValueError, KeyError) as error:
        raise PoiseError(f"{folder.config} cannot be read ({error}): the settings of the run are there") from None
    return profile


def _facts(run: str, candidate: dict[str, Any]) -> dict[str, str]:
    seeds = ", ".join(str(seed) for seed in candidate["seeds"] or [])
    facts = {"From": f"run {run}, candidate {candidate['id']}" + (f", training seeds {seeds}" if seeds else "")}
    if hypothesis := (candidate["proposal"] or {}).get("hypothesis"):
        facts["Hypothesis"] = one_line(hypothesis)
    if candidate["overall"] is not None:
        tasks = ", ".join(f"{task} {b['value']:.1f}" for task, b in (candidate["benchmarks"] or {}).items())
        facts["Figures"] = f"Overall {candidate['overall']:.2f}" + (f" ({tasks})" if tasks else "")
    if line := (candidate["confirmed"] or {}).get("line"):
        facts["Confirmation"] = one_line(line)
    return facts
