"""Versions of what a run's folder holds: a newer one is refused in one line, an older one is brought up to date.

The version is `format` in run.toml; runs from before it was written down have format 1. Readers understand every
format up to this one, so that looking at an old run changes nothing in it. An engine that takes one up migrates it
first: documents get the fields they lack, in one commit, and the run.toml as it was stays beside the new one.

1. No `format`. The oldest of them know no rungs: every training was a whole one.
2. `format` in run.toml; every candidate and trial has the fields of rungs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

from engine.errors import Exit, PoiseError

FORMAT = 2
"""What this version writes."""

Document = dict[str, Any]
Table = Literal["candidates", "trials", "run"]
Added = tuple[Table, str, Document]
"""Table, id and the fields that a document got."""


def format_of(folder: Path) -> int:
    """The format of a run's folder; 1 where run.toml does not say, or cannot be read (which others complain of)."""
    try:
        found = tomllib.loads((folder / "run.toml").read_text(encoding="utf-8")).get("format", 1)
    except (OSError, ValueError):
        return 1
    return found if isinstance(found, int) else 1


def require_format(folder: Path) -> None:
    """Raise unless this version understands a run's folder.

    Raises:
        PoiseError: refused (4), a newer version has written it.
    """
    if (found := format_of(folder)) > FORMAT:
        raise PoiseError(
            f"run {folder.name} has format {found}, and this version knows {FORMAT}: use the poise that made it, "
            "or a newer one",
            Exit.REFUSED,
        )


CANDIDATE: Document = {
    "rungs": [],
    "gain": None,
    "promotions": [],
    "result": None,
    "flags": [],
    "ideas": [],
    "findings": [],
    "attribution": None,
    "confirmed": None,
    "pinned": False,
    "decision": None,
    "arm": "search",
}
TRIAL: Document = {"aim": 0, "rungs": [], "cause": None, "trained": False}
RUN: Document = {"rungs": [], "studies": []}


def complete(run: Document, candidates: Iterable[Document], trials: Iterable[Document], updates: int) -> list[Added]:
    """Give documents of format 1 the fields they lack; one from before there were rungs was trained wholly.

    Args:
        run: its document.
        candidates: their documents, changed in place as the others are.
        trials: as well.
        updates: of a whole training.

    Returns:
        what was added: table, id, fields.
    """
    whole: dict[str, list[Document]] = {}
    added: list[Added] = []
    for trial in trials:
        score = {key: trial.get(key) for key in ("overall", "benchmarks")}
        score = {"rung": 1.0, "updates": updates, "standard_error": None, **score}
        _add(added, "trials", trial, TRIAL | {"rungs": [score] if score["overall"] is not None else []})
        if trial["rungs"] and trial["purpose"] in ("search", "baseline"):
            whole.setdefault(trial["candidate"], []).append(trial)
    for candidate in candidates:
        own = whole.get(candidate["id"], [])
        means = [{"rung": 1.0, **{key: own[0][key] for key in ("overall", "benchmarks")}}] if own else []
        seeds = {"seeds": [t["seed"] for t in own], "overalls": [t["overall"] for t in own]}
        rungs = [{"rung": 1.0, "updates": updates, **seeds}] if own else []
        result = {"rung": 1.0, "rungs": means} if own else None
        _add(added, "candidates", candidate, CANDIDATE | {"rungs": rungs, "result": result})
    _add(added, "run", run, RUN | {"rungs": [{"rung": 1.0, "updates": updates, "seeds": 1}]})
    return added


def _add(
    added: list[Added], table: Literal["candidates", "trials", "run"], document: Document, fields: Document
) -> None:
    if lacking := {name: deepcopy(value) for name, value in fields.items() if name not in document}:
        document.update(lacking)
        added.append((table, document["id"], lacking))
