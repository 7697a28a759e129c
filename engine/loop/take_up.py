"""A run that is taken up again: with larger (or smaller) budgets where its user says so, if anything is left to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from engine.archive.events import JsonLinesReader
from engine.errors import Exit, PoiseError
from engine.loop.book import UNFINISHED, Book, decided
from engine.loop.budget import charge_lost, gpu_seconds, used_up
from engine.loop.config import gpu_hours_limit
from engine.loop.study_plan import KINDS, running

OPTIONS = {"candidates": "--candidates", "hours": "--hours", "gpu_hours": "--gpu-hours", "usd": "--usd"}
"""Budgets of a run's document, and how they are given."""


def take_up(book: Book, request: Mapping[str, Any], llm: Path) -> None:
    """Give a run the budgets that a request to resume it names; the others stay as they are.

    Args:
        book: the run's documents; what an engine that died had set aside is charged first.
        request: `candidates`, `hours`, `gpu_hours`, `usd`: None, or missing, where nothing is to change.
        llm: the run's llm.jsonl.

    Raises:
        PoiseError: wrong usage (2), a budget is less than what is spent; refused (4), nothing is left to do.
    """
    wanted = {name: request[name] for name in OPTIONS if request.get(name) is not None}
    gpu_hours_limit(wanted.get("gpu_hours"))
    wall, run = charge_lost(book), book.run
    gpu = gpu_seconds(book.trials.values())
    spent = {
        "candidates": len(decided(book.candidates)) - 1,
        "hours": wall / 3600,
        "gpu_hours": gpu / 3600,
        "usd": max(float(run["spent"]["llm_usd"]), _recorded_usd(llm)) if "usd" in wanted else 0.0,
    }
    for name, limit in wanted.items():
        if limit < spent[name]:
            raise PoiseError(
                f"{OPTIONS[name]} {limit:g}: run {run['id']} has used {_up(spent[name])} already: give that or more",
                Exit.USAGE,
            )
    budget = {**run["budget"], **wanted}
    if any(request.get(kind) for kind in KINDS):
        _remember_status(book)
        return
    if run.get("before_study"):
        book.set_run(before_study=None)
    if run["status"] == "finished":
        _refuse_idle(book, budget, used_up(budget, wall, gpu), bool(wanted))
    if budget != run["budget"]:
        book.set_run(budget=budget, closed=None)
        told = [f"{OPTIONS[name]} {limit:g}" for name, limit in wanted.items()]
        book.log(f"taken up with {' '.join(told)}")


def _remember_status(book: Book) -> None:
    """Before an engine that only does a study: which status the run goes back to, also after that engine has died."""
    if not book.run.get("before_study"):
        book.set_run(before_study="finished" if book.run["status"] == "finished" else "stopped")


def _refuse_idle(book: Book, budget: Mapping[str, Any], used: str | None, asked: bool) -> None:
    """Raise if a finished run would end again at once."""
    run = book.run["id"]
    again = f"`poise resume {run}` with --candidates, --hours, --gpu-hours or --usd"
    studies = bool(running(book.run))
    if not asked and not studies:
        raise PoiseError(f"run {run} is finished: extend it by {again}", Exit.REFUSED)
    if used is not None:
        raise PoiseError(f"run {run}: {used}: give it more hours too", Exit.REFUSED)
    busy = studies or any(trial["status"] in UNFINISHED for trial in book.trials.values())
    if not busy and book.settled_slots().issuperset(range(budget["candidates"] + 1)):
        raise PoiseError(
            f"run {run} has its {budget['candidates']} candidates: give --candidates more than that", Exit.USAGE
        )


def _recorded_usd(llm: Path) -> float:
    """What the ledger's files say is spent: calls that a dying engine left open count at what was set aside."""
    records = JsonLinesReader(llm).read()
    settled = {record.get("id") for record in records}
    try:
        waiting = orjson.loads(llm.with_name("llm.reserved.json").read_bytes())
    except (FileNotFoundError, ValueError):
        waiting = {}
    lost = [record for key, record in waiting.items() if key not in settled]
    return math.fsum(float(record.get("usd") or 0.0) for record in (*records, *lost))


def _up(amount: float) -> str:
    """An amount, rounded up to what can be given."""
    return f"{math.ceil(amount * 1000 - 1e-6) / 1000:g}"
