"""`poise ls` and `poise status`: what runs there are, and how one stands."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from engine.archive.estimate import cost_to_go, recent_calls
from engine.archive.folder import RunFolder, default_runs_dir, list_runs, shown_status
from engine.archive.store import read_archive
from engine.errors import PoiseError
from engine.process.registry import live_engines
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option
from poise_tui.format import duration, one_line

BEST = 5
"""Candidates that `status` names."""


def summary(folder: RunFolder) -> dict[str, Any]:
    """How a run stands, from its archive alone.

    Returns:
        `{"run": run document with the status users see, "folder", "engine": {"pid", "host", "silent_seconds"}|None,
        "candidates": {status: count}, "best": [{"id", "name", "status", "overall"}], "trials": [running],
        "estimate": see `engine.archive.estimate.cost_to_go`}`.

    Raises:
        PoiseError: the archive is missing or damaged.
    """
    archive = read_archive(folder.archive)
    run, candidates, trials, engine = archive.run(), archive.candidates(), archive.trials(), folder.engine()
    scored = [c for c in candidates if c["overall"] is not None and c["status"] != "pruned"]
    scored.sort(key=lambda c: -c["overall"])
    return {
        "run": {**run, "status": shown_status(run["status"], folder)},
        "folder": str(folder.path),
        "engine": {
            "pid": engine.identity.pid,
            "host": engine.identity.host,
            "silent_seconds": client.Connection(folder).silent_for(),
        }
        if engine
        else None,
        "candidates": dict(Counter(c["status"] for c in candidates)),
        "best": [{key: c[key] for key in ("id", "name", "status", "overall")} for c in scored[:BEST]],
        "trials": [
            {key: t[key] for key in ("id", "candidate", "purpose", "status")}
            for t in trials
            if t["status"] in ("training", "scoring", "paused")
        ],
        "estimate": cost_to_go(run, candidates, trials, recent_calls(folder.llm)),
    }


@click.command("ls")
@runs_dir_option
def ls_command(runs_dir: Path | None) -> None:
    """List runs, newest first, and this user's live runs elsewhere."""
    here = default_runs_dir(runs_dir)
    folders = list_runs(here)
    known = {folder.path.resolve() for folder in folders}
    if runs_dir is None:
        folders += [RunFolder(e.folder) for e in live_engines() if e.folder.resolve() not in known]
    if not folders:
        print(f"no runs in {here}: start one with `poise run`")
        return
    rows = [("RUN", "STATUS", "PROFILE", "NODES", "BEST", "CREATED"), *map(_row, folders)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(folder: RunFolder) -> tuple[str, str, str, str, str, str]:
    name = folder.id
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.created()))
    try:
        s = summary(folder)
    except PoiseError:
        return name, "unreadable", "", "", "", created
    best = f"{s['best'][0]['overall']:.1f} {one_line(s['best'][0]['name'])}" if s["best"] else ""
    return (
        name,
        s["run"]["status"],
        one_line(s["run"]["profile"]),
        str(sum(s["candidates"].values())),
        best,
        created,
    )


@click.command("status")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@runs_dir_option
def status_command(run: str | None, as_json: bool, runs_dir: Path | None) -> None:
    """Show how a run stands: budget, candidates, the best so far, what runs now."""
    found = summary(client.connect(run, runs_dir).folder)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    document, engine = found["run"], found["engine"]
    by = f", engine {engine['pid']} on {engine['host']}" if engine else ""
    if engine and engine["silent_seconds"] is not None:
        by += f", which has not answered for {engine['silent_seconds']:.0f} s: kill it, then `poise resume` the run"
    print(f"{document['id']}: {document['status']}{by}")
    print(f"  folder      {found['folder']}")
    print(f"  profile     {one_line(document['profile'])}, seed {document['seed']}")
    print(f"  sandbox     {one_line(document['sandbox'])}")
    print(f"  proposals   by {one_line(document['llm'])}")
    if document["directive"]:
        print(f"  directive   {one_line(document['directive'])}")
    print(f"  budget      {_amounts(document['budget'])}")
    print(f"  spent       {_amounts(document['spent'])}")
    if document["status"] != "finished":
        print(f"  to go       {_to_go(found['estimate'])}")
        print(f"  ends        {_end(found['estimate'], document['status'])}")
    counts = ", ".join(f"{count} {status}" for status, count in sorted(found["candidates"].items()))
    print(f"  candidates  {counts or 'none yet'}")
    for candidate in found["best"]:
        print(f"  {candidate['overall']:10.1f}  {candidate['id']} {one_line(candidate['name'])}")
    for trial in found["trials"]:
        print(f"  {trial['status']:>10}  {trial['id']}")


def _to_go(estimate: dict[str, Any]) -> str:
    left = estimate["to_go"]
    parts = [f"{left['candidates']} candidates", f"about {left['trials']:g} trainings"]
    parts += [f"{duration(left['gpu_seconds'])} GPU time"] if left["gpu_seconds"] else []
    parts += [f"${left['llm_usd']:.2f}"] if left["llm_usd"] else []
    return ", ".join(parts)


def _end(estimate: dict[str, Any], status: str) -> str:
    seconds, by = estimate["eta_seconds"], estimate["ends_by"]
    if seconds is None:
        return "not known before a training has ended"
    because = "its candidates are done" if by == "candidates" else f"its budget of {by.replace('_', ' ')} is used"
    if status != "running":
        return f"about {duration(seconds)} after it is resumed, when {because}"
    at = time.strftime("%a %H:%M", time.localtime(time.time() + seconds))
    return f"in about {duration(seconds)} ({at}), when {because}"


def _amounts(amounts: dict[str, Any]) -> str:
    shown = [
        f"{value:g} {key.replace('_', ' ')}" if isinstance(value, int) else f"{value:.2f} {key.replace('_', ' ')}"
        for key, value in amounts.items()
        if value
    ]
    return ", ".join(shown) or "nothing"
