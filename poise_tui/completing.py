"""What a shell offers after TAB where a command wants a run or a node; whatever cannot be read offers nothing."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from engine.archive.folder import RunFolder, default_runs_dir, find_run, list_runs
from engine.errors import PoiseError
from poise_tui.format import one_line

MOST = 200
"""Offers; a shell asks whether it shall list more than about a hundred."""


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs by their ids, newest first."""
    names = [folder.id for folder in _runs(ctx)]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)][:MOST]


def complete_run_or_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For `[RUN] NODE`: first a run, or a node of the newest; after a run, its nodes."""
    given = ctx.params.get(str(param.name)) or ()
    if given:
        return _nodes(_run(ctx, given[0]), incomplete)
    newest = next(iter(_runs(ctx)), None)
    return [*_nodes(newest, incomplete), *complete_run(ctx, param, incomplete)]


def _runs(ctx: click.Context) -> list[RunFolder]:
    return list_runs(default_runs_dir(_option(ctx)))


def _run(ctx: click.Context, reference: str) -> RunFolder | None:
    try:
        return find_run(reference, default_runs_dir(_option(ctx)))
    except PoiseError:
        return None


def _option(ctx: click.Context) -> Path | None:
    return ctx.params.get("runs_dir")


def _nodes(folder: RunFolder | None, incomplete: str) -> list[CompletionItem]:
    from engine.archive.store import read_archive  # only for whoever presses Tab

    if folder is None:
        return []
    try:
        candidates = read_archive(folder.archive).candidates()
    except PoiseError:
        return []
    found = [c for c in candidates if str(c["id"]).startswith(incomplete)]
    return [CompletionItem(c["id"], help=f"{c['status']}, {one_line(c['name'])}") for c in found[:MOST]]
