"""A run as one document with fixed keys, and as tables: what scripts, reports and other tools read."""

import csv
import io
import statistics
from collections.abc import Mapping
from typing import Any

from engine.archive.folder import RunFolder, shown_status
from engine.archive.store import Document, read_archive
from engine.untrusted import many_lines, one_line

RUN = ("id", "profile", "status", "created", "seed", "directive", "budget", "spent")
SPENT = ("wall_seconds", "gpu_seconds", "llm_usd")
CANDIDATE = (
    *(
        "id",
        "name",
        "parent",
        "depth",
        "status",
        "cause",
        "proposal",
        "code_sha256",
        "verification",
        "overall",
    ),
    *("benchmarks", "fidelity", "seeds", "reflection", "attribution", "confirmed", "cost", "provenance"),
    *("flags", "sandbox", "created", "finished"),
)
TRIAL = (
    *("id", "candidate", "purpose", "seed", "off", "rung", "split", "overall", "benchmarks", "protocol"),
    *("cost", "status", "resumed"),
)
NESTED: dict[str, tuple[str, ...]] = {
    "proposal": ("hypothesis", "mechanisms"),
    "provenance": ("proposer", "model"),
    "spent": SPENT,
}
COST = {
    "candidate": ("train_seconds", "gpu_seconds", "llm_usd"),
    "trial": ("train_seconds", "score_seconds", "gpu_seconds"),
}
BENCHMARK = ("metric", "value", "n", "ci")


def export_run(folder: RunFolder) -> Document:
    """The whole run: "run", "baseline", "candidates", "trials", each with all its fixed keys (else null).

    Raises:
        PoiseError: the run has no readable archive.
    """
    archive = read_archive(folder.archive)
    run = archive.run()
    run["status"] = shown_status(run["status"], folder)
    candidates, trials = archive.candidates(), archive.trials()
    return {
        "run": _pick(run, RUN),
        "baseline": baseline(candidates, trials),
        "candidates": [_pick(candidate, CANDIDATE, COST["candidate"]) for candidate in candidates],
        "trials": [_pick(trial, TRIAL, COST["trial"]) for trial in trials],
    }


def baseline(candidates: list[Document], trials: list[Document]) -> Document:
    """The root's level and noise: mean and standard deviation (n - 1) of Overall over its full trainings."""
    root = next((candidate["id"] for candidate in candidates if candidate.get("parent") is None), None)
    scored = [
        trial
        for trial in trials
        if trial["candidate"] == root
        and trial["purpose"] in ("search", "baseline")
        and not trial["off"]
        and trial.get("overall") is not None
    ]
    overalls = [trial["overall"] for trial in scored]
    return {
        "id": root,
        "overall_mean": statistics.fmean(overalls) if overalls else None,
        "overall_std": statistics.stdev(overalls) if len(overalls) > 1 else None,
        "seeds": [trial["seed"] for trial in scored],
    }


def to_csv(exported: Mapping[str, Any]) -> str:
    """The candidates as one table; a column each for the score of a task and the ends of its interval."""
    tasks = _tasks(exported)
    head = ["id", "name", "parent", "depth", "status", "cause", "hypothesis", "mechanisms", "overall"]
    for task in tasks:
        head += [task, f"{task}_low", f"{task}_high"]
    head += ["fidelity", "seeds", *COST["candidate"], "proposer", "model", "created", "finished"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for candidate in exported["candidates"]:
        row = [candidate[key] for key in head[:6]]
        row += [candidate["proposal"]["hypothesis"], _mechanisms(candidate), candidate["overall"]]
        for task in tasks:
            score = (candidate["benchmarks"] or {}).get(task) or {}
            row += [score.get("value"), *(score.get("ci") or [None, None])]
        row += [candidate["fidelity"], " ".join(map(str, candidate["seeds"] or []))]
        row += [candidate["cost"][key] for key in COST["candidate"]]
        row += [candidate["provenance"]["proposer"], candidate["provenance"]["model"]]
        table.writerow(map(_plain, [*row, candidate["created"], candidate["finished"]]))
    return text.getvalue()


def to_markdown(exported: Mapping[str, Any]) -> str:
    """The run in words and its candidates as a table, the best first."""
    run, root, tasks = exported["run"], exported["baseline"], _tasks(exported)
    lines = [
        f"# Run {_cell(run['id'])}",
        "",
        f"Profile {_cell(run['profile'])}, seed {run['seed']}, {run['status']}.",
    ]
    if root["overall_mean"] is not None:
        spread = f" ± {root['overall_std']:.2f}" if root["overall_std"] is not None else ""
        count = len(root["seeds"])
        lines.append(f"Root: Overall {root['overall_mean']:.2f}{spread} over {count} seed{'s' if count != 1 else ''}.")
    inexact = [_cell(trial["id"]) for trial in exported["trials"] if trial["resumed"] == "inexact"]
    if inexact:
        lines.append(f"Went on from a checkpoint inexactly, so that scores may differ: {', '.join(inexact)}.")
    lines += [
        "",
        "| id | name | parent | status | Overall | " + " | ".join([*map(_cell, tasks), "mechanisms", "cause"]) + " |",
    ]
    lines.append("|" + " --- |" * (7 + len(tasks)))
    for candidate in sorted(exported["candidates"], key=lambda c: -(c["overall"] if c["overall"] is not None else -1)):
        scores = [(candidate["benchmarks"] or {}).get(task) or {} for task in tasks]
        row = [
            candidate["id"],
            candidate["name"],
            candidate["parent"],
            candidate["status"],
            _number(candidate["overall"]),
        ]
        row += [_number(score.get("value")) for score in scores]
        lines.append("| " + " | ".join(map(_cell, [*row, _mechanisms(candidate), candidate["cause"]])) + " |")
    return "\n".join(lines) + "\n"


def _pick(document: Document, keys: tuple[str, ...], cost: tuple[str, ...] = ()) -> Document:
    """Exactly these keys, also inside; what the document lacks is null."""
    picked: Document = {key: document.get(key) for key in keys}
    for key, inner in {**NESTED, "cost": cost}.items():
        if key in picked:
            picked[key] = {name: (picked[key] or {}).get(name) for name in inner}
    if "benchmarks" in picked:
        scores: Mapping[str, Any] = picked["benchmarks"] or {}
        picked["benchmarks"] = {task: {key: score.get(key) for key in BENCHMARK} for task, score in scores.items()}
    return picked


def _tasks(exported: Mapping[str, Any]) -> list[str]:
    seen = {task: None for candidate in exported["candidates"] for task in candidate["benchmarks"] or {}}
    return list(seen)


def _mechanisms(candidate: Mapping[str, Any]) -> str:
    return " + ".join(mechanism["name"] for mechanism in candidate["proposal"]["mechanisms"] or [])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _plain(value: object) -> object:
    """A field of a CSV; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = many_lines(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _cell(value: object) -> str:
    """Any text as one cell of a Markdown table: names and causes are written by models and by candidates."""
    text = "" if value is None else one_line(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
