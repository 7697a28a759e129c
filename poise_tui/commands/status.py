"""`poise ls` and `poise status`: what runs there are, and how one stands."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from engine.archive.estimate import cost_to_go, recent_calls
from engine.archive.export import baseline
from engine.archive.folder import RunFolder, default_runs_dir, list_runs, shown_status
from engine.archive.store import read_archive
from engine.errors import Exit, PoiseError
from engine.process.registry import live_engines
from engine.stats.noise import expected_best
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option
from poise_tui.format import duration, one_line
from poise_tui.prometheus import prometheus_text

BEST = 5
"""Candidates that `status` names."""
SHOWN = ("id", "name", "status", "overall", "gain", "confirmed")
UNDECIDED = ("queued", "training", "paused", "scoring")
WHOLE = 1.0
"""The rung of a whole training."""


def summary(folder: RunFolder) -> dict[str, Any]:
    """How a run stands, from its archive alone.

    Returns:
        `{"run": run document with the status users see, "folder", "engine": {"pid", "host", "silent_seconds"}|None,
        "candidates": {status: count}, "baseline": see `engine.archive.export.baseline`,
        "chance": {"of", "points"}|None (what the best of so many scored ones would gain were all as good as the root),
        "best": [{"id", "name", "status", "overall", "gain", "confirmed"}] of whole trainings, "trials": [running],
        "rungs": [{"rung", "updates", "scored", "undecided", "stopped", "promoted"}] without the root, "studies":
        [{"id", "kind", "nodes", "status", "look", "looks", "done", "trainings"}],
        "estimate": see `engine.archive.estimate.cost_to_go`}`.

    Raises:
        PoiseError: the archive is missing or damaged.
    """
    archive = read_archive(folder.archive)
    run, candidates, trials, engine = archive.run(), archive.candidates(), archive.trials(), folder.engine()
    whole = [c for c in candidates if c["overall"] is not None and c.get("fidelity", WHOLE) == WHOLE]
    scored = [c for c in whole if c["status"] != "pruned"]
    scored.sort(key=lambda c: -c["overall"])
    level = baseline(candidates, trials)
    std, tried = level["overall_std"], sum(c["overall"] is not None and c["id"] != level["id"] for c in candidates)
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
        "baseline": level,
        "chance": {"of": tried, "points": expected_best(tried, std)} if std is not None and tried > 1 else None,
        "best": [{key: c.get(key) for key in SHOWN} for c in scored[:BEST]],
        "rungs": rungs_table(candidates),
        "studies": [_study(study, trials) for study in run.get("studies") or ()],
        "trials": [
            {key: t[key] for key in ("id", "candidate", "purpose", "status")}
            for t in trials
            if t["status"] in ("training", "scoring", "paused")
        ],
        "estimate": cost_to_go(run, candidates, trials, recent_calls(folder.llm)),
    }


def rungs_table(candidates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How far the candidates besides the root got, a row a rung, ascending; empty for a run from before rungs."""
    found: dict[float, dict[str, Any]] = {}
    for candidate in (c for c in candidates if c["parent"] is not None):
        reached = candidate.get("rungs") or []
        for rung in reached:
            row = {"rung": rung["rung"], "updates": rung["updates"], "scored": 0, "undecided": 0, "stopped": 0}
            found.setdefault(rung["rung"], row | {"promoted": 0})["scored"] += 1
        judged = {verdict["rung"] for verdict in candidate.get("promotions") or ()}
        if reached and reached[-1]["rung"] not in judged and candidate["status"] in UNDECIDED:
            found[reached[-1]["rung"]]["undecided"] += 1
        for verdict in candidate.get("promotions") or ():
            if verdict["rung"] in found:
                found[verdict["rung"]]["promoted" if verdict["promoted"] else "stopped"] += 1
    return [found[rung] for rung in sorted(found)]


def _study(study: Mapping[str, Any], trials: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    own = [t for t in trials if t.get("study") == study["id"]]
    return {
        **{key: study[key] for key in ("id", "kind", "nodes", "status", "looks")},
        "look": study.get("look", 0) + 1,
        "done": sum(t["status"] in ("scored", "failed") for t in own),
        "trainings": len(study["arms"]) * study["seeds"],
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
    except PoiseError as error:
        newer = error.code is Exit.REFUSED
        return name, "of a newer version" if newer else "unreadable", "", "", "", created
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
@click.option("--prometheus", is_flag=True, help="Prometheus' text format, for a textfile collector.")
@runs_dir_option
def status_command(run: str | None, as_json: bool, prometheus: bool, runs_dir: Path | None) -> None:
    """Show how a run stands: budget, candidates, the best so far, what runs now."""
    if as_json and prometheus:
        raise PoiseError("--json and --prometheus: give one of them", Exit.USAGE)
    found = summary(client.connect(run, runs_dir).folder)
    if prometheus:
        print(prometheus_text(found, shutil.disk_usage(found["folder"]).free), end="")
        return
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
    _say_level(found)
    for candidate in found["best"]:
        print(f"  {candidate['overall']:10.1f}  {candidate['id']} {one_line(candidate['name'])}{_worth(candidate)}")
    for rung in found["rungs"]:
        parts = [f"{rung[key]} {said}" for key, said in RUNG_WORDS if rung[key]]
        print(f"  @{rung['updates']:<9}  {', '.join(parts)}")
    for study in found["studies"]:
        look = f"look {study['look']} of {len(study['looks'])}, " if study["status"] == "running" else ""
        of = ", ".join(map(one_line, study["nodes"]))
        done = f"{study['done']}/{study['trainings']} trainings"
        print(f"  {study['id']:<10}  {one_line(study['status'])}: {look}{done} of {of}")
    for trial in found["trials"]:
        print(f"  {trial['status']:>10}  {trial['id']}")


RUNG_WORDS = (("scored", "scored"), ("promoted", "went on"), ("stopped", "stopped"), ("undecided", "undecided"))


def _say_level(found: Mapping[str, Any]) -> None:
    """The root's level and noise, and what that noise alone would make of the best of so many."""
    root = found["baseline"]
    if root["overall_mean"] is None:
        return
    spread = "" if root["overall_std"] is None else f" ±{root['overall_std']:.1f}"
    seeds = len(root["seeds"])
    line = f"{root['overall_mean']:.1f}{spread} (mean, standard deviation) over {seeds} seed{'s' if seeds != 1 else ''}"
    if (chance := found["chance"]) is not None:
        line += f"; chance alone: best of {chance['of']} about {chance['points']:+.1f}"
    print(f"  root        {line}")


def _worth(candidate: Mapping[str, Any]) -> str:
    """The gain over the root with its interval and mark, and what a confirmation said."""
    gain, confirmed = candidate["gain"], candidate["confirmed"]
    said = (
        [f"{gain['value']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f}): {one_line(gain['mark'])}"] if gain else []
    )
    said += [one_line(confirmed["verdict"])] if confirmed else []
    return "".join(f", {part}" for part in said)


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
