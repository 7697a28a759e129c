"""Tells a sink what a run's events tell, to the run's end; a reader like any other, which the run does not know of."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from poise_tui.format import one_line
from poise_tui.sinks.interface import Curve, Sink, Training

POLL_SECONDS = 0.5
OVER = ("scored", "failed", "stopped")
NO_METRIC = ("step", "time")


class Teller:
    """Turns events into calls of a sink.

    Args:
        run: id of the run.
        sink: where to.
    """

    def __init__(self, run: str, sink: Sink) -> None:
        self._run = run
        self._sink = sink
        self._candidates: dict[str, Mapping[str, Any]] = {}
        self._trials: dict[str, Mapping[str, Any]] = {}
        self._scores: dict[str, dict[str, float]] = {}
        self._curves: dict[str, Curve] = {}
        self._steps: dict[str, int] = {}
        self.told = 0
        """Updates so far."""

    def tell(self, event: Event) -> None:
        """One event; most say nothing to a sink."""
        data = event.data
        match event.kind:
            case "candidate.created":
                self._candidates[str(event.node)] = data
            case "trial.created":
                self._trials[data["id"]] = data
            case "trial.metrics" if data["trial"] in self._trials:
                for point in data["points"]:
                    self._point(data["trial"], point)
            case "trial.updated" if data["trial"] in self._trials:
                if data.get("overall") is not None:
                    self._scores[data["trial"]] = _scores(data)
                if data.get("status") in OVER:
                    self._close(data["trial"])

    def close(self) -> None:
        """Close what is open: the run has ended, or we are asked to go."""
        for trial in list(self._curves):
            self._close(trial)

    def _point(self, trial: str, point: Mapping[str, Any]) -> None:
        if point["step"] <= self._steps.get(trial, -1):  # a training that went on from a checkpoint
            return
        if trial not in self._curves:
            self._curves[trial] = self._sink.open(self._training(trial))
        self._steps[trial] = point["step"]
        self._curves[trial].log(point["step"], float(point.get("time") or time.time()), numbers(point))
        self.told += 1

    def _close(self, trial: str) -> None:
        if (curve := self._curves.pop(trial, None)) is not None:
            curve.close(self._scores.get(trial, {}))

    def _training(self, trial: str) -> Training:
        document = self._trials[trial]
        candidate = self._candidates.get(document["candidate"], {})
        proposal = candidate.get("proposal") or {}
        config = {
            "candidate": document["candidate"],
            "parent": candidate.get("parent"),
            "mechanisms": [one_line(m["name"]) for m in proposal.get("mechanisms") or ()],
            **{key: document.get(key) for key in ("purpose", "seed", "off", "protocol")},
        }
        return Training(self._run, trial, one_line(candidate.get("name", "")), config)


def numbers(point: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a point of metrics, those of tables as `table/key`; what is no number is left out."""
    found: dict[str, float] = {}
    for key, value in point.items():
        if key in NO_METRIC:
            continue
        for name, number in (
            ((f"{key}/{k}", v) for k, v in value.items()) if isinstance(value, Mapping) else ((key, value),)
        ):
            if isinstance(number, (int, float)) and math.isfinite(number):
                found[one_line(name)] = float(number)
    return found


def follow(folder: RunFolder, sink: Sink) -> int:
    """Tell everything that a run has told and tells, until it has ended and no engine runs it.

    Returns:
        updates told.
    """
    reader, teller = EventReader(folder.events), Teller(folder.id, sink)
    try:
        while True:
            alive = folder.engine() is not None  # before reading, so that its last words are read
            for event in reader.read():
                teller.tell(event)
            if not alive:
                return teller.told
            time.sleep(POLL_SECONDS)
    finally:
        teller.close()


def _scores(data: Mapping[str, Any]) -> dict[str, float]:
    tasks = {one_line(task): b["value"] for task, b in (data.get("benchmarks") or {}).items()}
    return {"overall": float(data["overall"]), **{task: float(value) for task, value in tasks.items()}}
