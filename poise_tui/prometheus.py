"""A run's health in Prometheus' text format, for the textfile collector of a node exporter or any scraper of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

STATUSES = ("running", "paused", "finished", "stopped", "dead")
HELP = {
    "poise_run_status": "1 for the status that the run has",
    "poise_engine_up": "Whether an engine runs the run",
    "poise_engine_silent_seconds": "Seconds for which a live engine has not answered; 0 when it answers",
    "poise_candidates": "Candidates by status, the root among them",
    "poise_trainings_active": "Trainings and scorings that go on now",
    "poise_budget": "Budget of candidates, hours, gpu_hours and usd, where there is one",
    "poise_spent_wall_seconds": "Seconds that engines have worked on it",
    "poise_spent_gpu_seconds": "Seconds of GPUs",
    "poise_spent_usd": "Dollars for language models",
    "poise_root_overall": "Mean Overall of the root, 0 to 100",
    "poise_root_overall_std": "Standard deviation of the root's Overall over seeds",
    "poise_best_overall": "Overall of the best whole training, 0 to 100; chosen for being high",
    "poise_best_gain": "Gain of that candidate over the root, in points",
    "poise_eta_seconds": "Seconds until the run ends, as estimated",
    "poise_disk_free_bytes": "Free space where the run lies",
}
"""Every metric that may be told, each a gauge."""


def prometheus_text(summary: Mapping[str, Any], disk_free: int) -> str:
    """The run as metrics, each with the label `run`.

    Args:
        summary: see `poise_tui.commands.status.summary`.
        disk_free: bytes.
    """
    run, lines = str(summary["run"]["id"]), []
    told: dict[str, list[str]] = {}
    for name, labels, value in _samples(summary, disk_free):
        if value is not None:
            shown = ",".join(f'{key}="{_escaped(label)}"' for key, label in {"run": run, **labels}.items())
            told.setdefault(name, []).append(f"{name}{{{shown}}} {float(value):.17g}")
    for name, samples in told.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples]
    return "\n".join(lines) + "\n"


def _samples(s: Mapping[str, Any], disk_free: int) -> Iterator[tuple[str, dict[str, str], float | None]]:
    run, engine, best = s["run"], s["engine"], s["best"][0] if s["best"] else None
    for status in STATUSES:
        yield "poise_run_status", {"status": status}, run["status"] == status
    yield "poise_engine_up", {}, engine is not None
    if engine is not None:
        yield "poise_engine_silent_seconds", {}, engine["silent_seconds"] or 0.0
    for status, count in sorted(s["candidates"].items()):
        yield "poise_candidates", {"status": status}, count
    yield "poise_trainings_active", {}, sum(t["status"] != "paused" for t in s["trials"])
    for kind, limit in run["budget"].items():
        yield "poise_budget", {"of": kind}, limit
    yield "poise_spent_wall_seconds", {}, run["spent"]["wall_seconds"]
    yield "poise_spent_gpu_seconds", {}, run["spent"]["gpu_seconds"]
    yield "poise_spent_usd", {}, run["spent"]["llm_usd"]
    yield "poise_root_overall", {}, s["baseline"]["overall_mean"]
    yield "poise_root_overall_std", {}, s["baseline"]["overall_std"]
    yield "poise_best_overall", {}, best and best["overall"]
    yield "poise_best_gain", {}, best and best["gain"] and best["gain"]["value"]
    if run["status"] == "running":
        yield "poise_eta_seconds", {}, s["estimate"]["eta_seconds"]
    yield "poise_disk_free_bytes", {}, disk_free


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
