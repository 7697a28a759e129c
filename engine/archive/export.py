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
    *("flags", "sandbox", "created", "finished", "rungs", "gain", "promotions"),
)
TRIAL = (
    *("id", "candidate", "purpose", "seed", "off", "rung", "split", "overall", "benchmarks", "protocol"),
    *("cost", "status", "resumed", "rungs", "study"),
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
WHOLE = 1.0
"""The rung of a whole training."""
GAIN = ("value", "low", "high", "mark")
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
    """The root's level and noise, over its full trainings, and at every rung: mean and standard deviation (n - 1) of
    Overall.
    """
    root = next((candidate["id"] for candidate in candidates if candidate.get("parent") is None), None)
    own = [
        trial
        for trial in trials
        if trial["candidate"] == root and trial["purpose"] in ("search", "baseline") and not trial["off"]
    ]
    scored = [t for t in own if t.get("overall") is not None and t.get("rung") in (None, WHOLE)]
    mean, std = _level([trial["overall"] for trial in scored])
    at: dict[float, list[tuple[int, Document]]] = {}
    for trial in own:
        for rung in trial.get("rungs") or ():
            at.setdefault(rung["rung"], []).append((trial["seed"], rung))
    rungs = []
    for fraction, found in sorted(at.items()):
        level, spread = _level([rung["overall"] for _, rung in found])
        seeds = [seed for seed, _ in found]
        updates = found[0][1]["updates"]
        rungs.append({"rung": fraction, "updates": updates, "mean": level, "std": spread, "seeds": seeds})
    whole = [trial["seed"] for trial in scored]
    return {"id": root, "overall_mean": mean, "overall_std": std, "seeds": whole, "rungs": rungs}


def _level(overalls: list[float]) -> tuple[float | None, float | None]:
    """Mean, and standard deviation where there are two."""
    mean = statistics.fmean(overalls) if overalls else None
    return mean, statistics.stdev(overalls) if len(overalls) > 1 else None


def to_csv(exported: Mapping[str, Any]) -> str:
    """The candidates as one table; a column each for the score of a task and the ends of its interval."""
    tasks = _tasks(exported)
    head = ["id", "name", "parent", "depth", "status", "cause", "hypothesis", "mechanisms", "overall"]
    head += ["gain", "gain_low", "gain_high", "mark"]
    for task in tasks:
        head += [task, f"{task}_low", f"{task}_high"]
    head += ["fidelity", "seeds", *COST["candidate"], "proposer", "model", "created", "finished"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for candidate in exported["candidates"]:
        row = [candidate[key] for key in head[:6]]
        row += [candidate["proposal"]["hypothesis"], _mechanisms(candidate), candidate["overall"]]
        row += [(candidate["gain"] or {}).get(key) for key in GAIN]
        for task in tasks:
            score = (candidate["benchmarks"] or {}).get(task) or {}
            row += [score.get("value"), *(score.get("ci") or [None, None])]
        row += [candidate["fidelity"], " ".join(map(str, candidate["seeds"] or []))]
        row += [candidate["cost"][key] for key in COST["candidate"]]
        row += [candidate["provenance"]["proposer"], candidate["provenance"]["model"]]
        table.writerow(map(_plain, [*row, candidate["created"], candidate["finished"]]))
    return text.getvalue()


def to_markdown(exported: Mapping[str, Any]) -> str:
    """The run in words and its candidates as a table: whole trainings first, the best on top, then rung by rung, since
    scores of different rungs do not compare.
    """
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
    head = ["id", "name", "parent", "status", "at", "Overall", "gain over the root there"]
    lines += ["", "| " + " | ".join([*head, *map(_cell, tasks), "mechanisms", "cause"]) + " |"]
    lines.append("|" + " --- |" * (9 + len(tasks)))
    for candidate in sorted(exported["candidates"], key=_rank):
        scores = [(candidate["benchmarks"] or {}).get(task) or {} for task in tasks]
        row = [
            candidate["id"],
            candidate["name"],
            candidate["parent"],
            candidate["status"],
            _at(candidate),
            _number(candidate["overall"]),
            _gain(candidate["gain"]),
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


def _rank(candidate: Mapping[str, Any]) -> tuple[float, float]:
    """Rung by rung from the whole one down, there the best first; without a score last."""
    if candidate["overall"] is None:
        return 1.0, 0.0
    return -(candidate["fidelity"] or 0.0), -candidate["overall"]


def _at(candidate: Mapping[str, Any]) -> str:
    """Where a candidate has its score: "whole", or the update of its rung."""
    if candidate["overall"] is None:
        return ""
    rungs = candidate["rungs"] or []
    if candidate["fidelity"] == WHOLE or not rungs:
        return "whole"
    return f"update {rungs[-1]['updates']}"


def _gain(gain: Mapping[str, Any] | None) -> str:
    return "" if gain is None else f"{gain['value']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f}), {gain['mark']}"


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
