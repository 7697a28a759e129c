"""Large runs for the dashboard's benchmark, in the real file formats, written event by event."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from tests.dashboard import recorded

Told = tuple[str, str | None, dict[str, Any]]


def scored(node: str, parent: str, overall: float) -> Iterator[Told]:
    """A candidate that is done."""
    yield "candidate.created", node, recorded.candidate(node, f"Mechanism{node[1:]}-GRPO", parent, "queued")
    yield "candidate.updated", node, {"overall": overall, "benchmarks": recorded.benchmarks(overall)}
    yield "candidate.status", node, {"status": "scored", "cause": None}


def trial(node: str, steps: int, first: int, last: int) -> Iterator[Told]:
    """A training that goes on, with updates from `first` up to `last` on record, 50 an event."""
    document = {"id": f"{node}-search-0", "candidate": node, "purpose": "search", "status": "training"}
    yield "trial.created", node, {**document, "seed": 1, "off": [], "rung": 1.0, "steps": steps}
    for at in range(first, last + 1, 50):
        yield "trial.metrics", node, metrics(node, range(at, min(at + 50, last + 1)))


def metrics(node: str, steps: range) -> dict[str, Any]:
    """Noisy curves of every metric: the worst case for a chart."""
    points = []
    for k in steps:
        noise = math.sin(k * 12.9898 + len(node)) / 5
        point = {"step": k, "reward": math.sin(k / 300) + noise, "correct": 0.5 + noise, "kl": 0.1 + noise / 9}
        point |= {"entropy": 1.0 + noise, "length": 40.0, "grad_norm": 0.3 + noise / 9, "clip_fraction": 0.01}
        points.append(point)
    return {"trial": f"{node}-search-0", "points": points}


class LargeRun:
    """A run's folder that grows by events."""

    def __init__(self, runs: Path, nodes: int, trainings: int = 0, points: int = 0, *, ended: bool = False) -> None:
        """
        Args:
            runs: where the folder `recorded` is made.
            nodes: candidates, a wide tree, all scored but the last ones.
            trainings: how many of the last ones train.
            points: updates that each of those has on record.
            ended: whether the run is finished.
        """
        self.folder: RunFolder = recorded.write(runs, status="running")
        self.trainings = [f"c{i:03d}" for i in range(nodes - trainings, nodes)]
        self._seq, self._step = 1000, points
        budget = {"candidates": nodes, "hours": None, "usd": None}
        told: list[Told] = [("run.updated", None, {"budget": budget})]
        for i in range(6, nodes):
            told += scored(f"c{i:03d}", f"c{i // 3:03d}" if i > 20 else "c000", 40.0 + i % 40)
        for node in self.trainings:
            told += trial(node, max(points, 1) + 2000, 1, points)
            told.append(("candidate.status", node, {"status": "training", "cause": None}))
        if ended:
            told.append(("run.status", None, {"status": "finished", "reason": "enough"}))
        self.tell(told, recorded.START + 60)

    def tell(self, told: list[Told], at: float | None = None) -> None:
        """Append events."""
        lines = []
        for kind, node, data in told:
            self._seq += 1
            lines.append(Event(kind, node, data, self._seq, time.time() if at is None else at).line())
        with self.folder.events.open("ab") as file:
            file.write(b"".join(lines))

    def tick(self) -> None:
        """A second of a busy run: every training reports an update, the machine a sample."""
        self._step += 1
        self.tell(
            [("trial.metrics", node, metrics(node, range(self._step, self._step + 1))) for node in self.trainings]
        )
        load = 50 + 40 * math.sin(self._step)
        sample = {"time": time.time(), "cpu": [load, 99 - load], "memory_used": 4096 + self._step % 500}
        sample |= {"memory_total": 24_000, "engine_rss": 300, "gpus": [], "processes": []}
        with self.folder.telemetry.open("ab") as file:
            file.write(orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE))


def a_day(folder: RunFolder, events: int, candidates: int = 2000, steps: int = 480) -> Iterator[int]:
    """A day of a fast run: candidates are created, train, and are scored, until there are so many events.

    Yields:
        the events written so far, some 50,000 at a time.
    """
    seq, written, node = 10_000, 0, 5
    with folder.events.open("ab") as file:
        while written < events:
            node += 1
            name = f"c{node:05d}"
            told = list(scored(name, f"c{node // 3:05d}" if node > 20 else "c000", 40.0 + node % 40))
            begun, *_ = trial(name, steps, 1, 0)
            single = [("trial.metrics", name, metrics(name, range(k, k + 1))) for k in range(1, steps + 1)]
            ended = {"trial": f"{name}-search-0", "status": "scored", "overall": 40.0 + node % 40}
            told = [told[0], begun, *single, ("trial.updated", name, ended), *told[1:]]
            for kind, where, data in told:
                seq += 1
                file.write(Event(kind, where, data, seq, recorded.START + 60 + seq / 12).line())
            written += len(told)
            if written // 50_000 != (written - len(told)) // 50_000:
                file.flush()
                yield written
    yield written
