"""`poise confirm` and `poise ablate`: fresh trainings that say whether a score holds, and what it is owed to."""

import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from engine.errors import Exit, PoiseError
from engine.loop.study_plan import (
    ABLATE_SEEDS,
    FEWEST_SEEDS,
    MOST_SEEDS,
    ROOT,
    ablate_plan,
    confirm_plan,
    find,
    mechanisms,
    running,
    seconds_each,
    studies_of,
    trainings,
)
from poise_tui import client
from poise_tui.commands.common import F, runs_dir_option, weak_sandbox_option
from poise_tui.commands.steer import _run_and_node, node_argument
from poise_tui.format import duration, one_line

POLL_SECONDS = 0.2
Document = dict[str, Any]


def _seeds_option(default: str) -> Callable[[F], F]:
    return click.option(
        "--seeds",
        type=click.IntRange(FEWEST_SEEDS, MOST_SEEDS),
        metavar="N",
        help=f"Fresh trainings of each arm, {FEWEST_SEEDS} to {MOST_SEEDS}.  [default: {default}]",
    )


def _yes_option(function: F) -> F:
    return click.option("--yes", is_flag=True, help="Do not ask whether it may take that long.")(function)


@click.command("confirm")
@node_argument
@_seeds_option("the profile's")
@_yes_option
@weak_sandbox_option
@runs_dir_option
def confirm_command(target: tuple[str, ...], **options: Any) -> Exit:
    """Train a node and the root again on fresh seeds, and judge the gain on fresh problems.

    A run that goes on searches meanwhile; one that has ended gets an engine for this alone. The verdict counts against
    the error that all confirmations of the run share. Ctrl-C leaves it running.
    """
    return _study("confirm", target, **options)


@click.command("ablate")
@node_argument
@_seeds_option(str(ABLATE_SEEDS))
@_yes_option
@weak_sandbox_option
@runs_dir_option
def ablate_command(target: tuple[str, ...], **options: Any) -> Exit:
    """Train a node with its mechanisms switched off, each and together, to see what each of them pays.

    Up to four mechanisms all combinations are trained (Shapley values), of more each one off and each one alone. Ctrl-C
    leaves it running.
    """
    return _study("ablate", target, **options)


def _study(
    kind: str,
    target: tuple[str, ...],
    seeds: int | None,
    yes: bool,
    allow_weak_sandbox: bool,
    runs_dir: Path | None,
) -> Exit:
    run, named = _run_and_node(target)
    connection = client.connect(run, runs_dir)
    folder = connection.folder
    archive = read_archive(folder.archive)
    document, candidates = archive.run(), {c["id"]: c for c in archive.candidates()}
    candidate = find(candidates, named, folder.id)
    node = candidate["id"]
    if under_way := running(document, kind, node):
        print(f"{under_way[0]['id']} of {node} is not over: going on with it", flush=True)
    else:
        plan = _plan(kind, folder, document, candidates, candidate, seeds)
        told = _told(plan, candidate, seconds_each(archive.trials()), document["workers"])
        if not (yes or sys.stdin.isatty()):
            raise PoiseError(f"{told}: give --yes, since there is nobody to ask", Exit.REFUSED)
        print(told, flush=True)
        if not (yes or click.confirm("Begin?", default=True)):
            print("nothing was begun")
            return Exit.DONE
    reader, handle = EventReader(folder.events), None
    reader.read()
    try:
        if folder.engine() is None:
            handle = client.resume_engine(folder.path, allow_weak_sandbox, **{kind: node}, seeds=seeds)
        else:
            connection.send(kind, node, seeds=seeds)
        _follow(folder, _newest(folder, kind, node)["id"], reader)
        if handle is not None:  # it has nothing else to do
            handle.process.wait()
    except KeyboardInterrupt:
        if folder.engine() is None:
            raise
        print(f"\nit goes on without us: `poise status {folder.id}` tells how far it is", flush=True)
        return Exit.ERROR
    return _result(folder, kind, node)


def planned(folder: RunFolder, kind: str, node: str) -> str:
    """What a study of a node will take, in a line; nothing is begun.

    Raises:
        PoiseError: it cannot be made, or one is under way.
    """
    archive = read_archive(folder.archive)
    document, candidates = archive.run(), {c["id"]: c for c in archive.candidates()}
    if under_way := running(document, kind, node):
        raise PoiseError(f"{under_way[0]['id']} of {node} is not over", Exit.REFUSED)
    plan = _plan(kind, folder, document, candidates, find(candidates, node, folder.id), None)
    return _told(plan, candidates[node], seconds_each(archive.trials()), document["workers"])


def _plan(
    kind: str,
    folder: RunFolder,
    run: Document,
    candidates: Mapping[str, Document],
    candidate: Document,
    seeds: int | None,
) -> Document:
    if kind == "ablate":
        return ablate_plan(candidates[ROOT], candidate, seeds)
    try:
        profile = tomllib.loads(folder.config.read_text(encoding="utf-8")).get("profile", {})
    except (OSError, ValueError) as error:
        raise PoiseError(f"{folder.config} is missing or damaged ({error})") from None
    return confirm_plan(run, profile, [candidate], seeds)


def _told(plan: Document, candidate: Document, each: float | None, workers: int) -> str:
    """What a study will take, in a line."""
    arms, seeds, count = len(plan["arms"]), plan["seeds"], trainings(plan)
    *early, last = map(str, plan["looks"])
    most = "up to " if early else ""
    what = f"{candidate['id']} {one_line(candidate['name'])}: {most}{count} trainings ({arms} arms of {seeds} seeds"
    judged = f", judged after {', '.join(early)} and {last})" if early else ")"
    alpha = f", alpha {plan['alpha'][candidate['id']]:.3g}" if plan["alpha"] else ""
    time_ = "" if each is None else f", {most or 'about '}{duration(count * each / workers)} with {workers} at a time"
    switched = f", {len(mechanisms(candidate))} mechanisms" if plan["kind"] == "ablate" else ""
    return f"{what}{judged}{time_}{alpha}{switched}"


def _newest(folder: RunFolder, kind: str, node: str) -> Document:
    """The last study of a kind with this candidate."""
    found = [s for s in studies_of(read_archive(folder.archive).run()) if s["kind"] == kind and node in s["nodes"]]
    return found[-1]


def _follow(folder: RunFolder, study: str, reader: EventReader) -> None:
    """Print what a study does until it is over.

    Raises:
        PoiseError: its engine ended before.
    """
    archive = read_archive(folder.archive)
    own = {t["id"] for t in archive.trials() if t.get("study") == study}
    over = any(s["id"] == study and s["status"] != "running" for s in studies_of(archive.run()))
    while True:
        alive = folder.engine() is not None
        for event in reader.read():
            over = over or _says(event, study, own)
        if over:
            return
        if not alive:
            raise PoiseError(f"the engine ended before {study} was over: the same command goes on with it")
        time.sleep(POLL_SECONDS)


def _says(event: Event, study: str, own: set[str]) -> bool:
    """Print what an event says of a study; whether it is over then.

    Args:
        own: its trainings; new ones are added.
    """
    data = event.data
    match event.kind:
        case "trial.created" if data.get("study") == study:
            own.add(data["id"])
        case "trial.updated" if data["trial"] in own and data.get("status") in ("scored", "failed"):
            score = "" if data.get("overall") is None else f" {data['overall']:.1f}"
            because = f": {one_line(data['cause'])}" if data.get("cause") else ""
            print(f"  {one_line(data['trial'])} {data['status']}{score}{because}", flush=True)
        case "log" if data["message"].startswith(f"{study}: "):
            print(one_line(data["message"]), flush=True)
        case "run.updated":
            return any(s["id"] == study and s["status"] != "running" for s in studies_of(data))
    return False


def _result(folder: RunFolder, kind: str, node: str) -> Exit:
    """Print how the study ended.

    Raises:
        PoiseError: it failed.
    """
    study = _newest(folder, kind, node)
    if study["status"] == "failed":
        raise PoiseError(f"{study['id']} failed: {study['cause']}")
    candidate = read_archive(folder.archive).candidate(node)
    if node in study["dropped"]:
        print(f"{node} dropped out of {study['id']}: {study['dropped'][node]}")
    elif kind == "confirm":
        interval = candidate["confirmed"]["bootstrap"]
        print(f"{node} {one_line(candidate['name'])}: {candidate['confirmed']['verdict']}")
        if interval is not None:
            low, high = interval["low"], interval["high"]
            print(f"with the problems drawn anew too it would be {low:+.1f} to {high:+.1f}; that decides nothing")
    else:
        print("\n".join(_table(candidate["attribution"])))
    return Exit.DONE


def _table(attribution: Document) -> list[str]:
    """What each mechanism pays, as lines of columns."""
    rows = [("mechanism", "verdict", "added to the others", "alone", "Shapley value")]
    for one in attribution["mechanisms"]:
        shapley = _interval(one["shapley"], "value") if one["shapley"] else "-"
        effects = (_interval(one["off"], "effect"), _interval(one["alone"], "effect"), shapley)
        rows.append((one_line(one["name"]), one["verdict"], *effects))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _interval(effect: Mapping[str, float], key: str) -> str:
    return f"{effect[key]:+.1f} ({effect['low']:+.1f} to {effect['high']:+.1f})"
