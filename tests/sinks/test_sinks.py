"""TensorBoard, trackio and wandb are told a run's curves and scores, by a reader that can do the run no harm."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.archive.store import Archive
from poise_tui.sinks.follow import Teller, follow, numbers
from poise_tui.sinks.interface import SINKS, Training
from tests.cli.conftest import CANDIDATE, Poise, poise, refusal, runs, write_run

__all__ = ["poise", "runs"]

BENCHMARKS = {"add": {"metric": "avg@8", "value": 40.0, "n": 9, "ci": [30.0, 50.0]}}


def events() -> list[Event]:
    """Of a training that went on from a checkpoint, so that an update is told twice."""
    point = {"reward": 0.5, "parts": {"correct": 0.25}, "kl": None, "entropy": float("inf"), "time": 100.0}
    trial = "c000-search-0"
    document = {"id": trial, "candidate": "c000", "purpose": "search", "seed": 1, "off": [], "protocol": "p"}
    return [
        Event("candidate.created", "c000", CANDIDATE),
        Event("trial.created", "c000", {**document, "steps": 3}),
        Event("trial.metrics", "c000", {"trial": trial, "points": [{**point, "step": s} for s in (1, 2)]}),
        Event("trial.metrics", "c000", {"trial": trial, "points": [{**point, "step": s} for s in (2, 3)]}),
        Event("trial.metrics", "c009", {"trial": "of-nobody", "points": [{**point, "step": 1}]}),
        Event("trial.updated", "c000", {"trial": trial, "overall": 30.0, "benchmarks": BENCHMARKS}),
        Event("trial.updated", "c000", {"trial": trial, "status": "scored"}),
    ]


@pytest.fixture
def told(runs: Path) -> RunFolder:
    folder = RunFolder(write_run(runs, "r"))
    archive = Archive.open(folder.archive)
    archive.append_events(events())
    archive.close()
    return folder


class Notes:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.trainings: list[Training] = []
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self.scores: list[Mapping[str, float]] = []

    def open(self, training: Training) -> Notes:
        self.trainings.append(training)
        return self

    def log(self, step: int, time: float, values: Mapping[str, float]) -> None:
        self.points.append((step, values))

    def close(self, scores: Mapping[str, float]) -> None:
        self.scores.append(scores)


def test_every_update_is_told_once_then_the_scores() -> None:
    notes = Notes()
    teller = Teller("r", notes)
    for event in events():
        teller.tell(event)
    assert [step for step, _ in notes.points] == [1, 2, 3]
    assert notes.points[0][1] == {"reward": 0.5, "parts/correct": 0.25}, "no null, no infinity"
    assert notes.scores == [{"overall": 30.0, "add": 40.0}]
    assert notes.trainings[0].config["purpose"] == "search"


def test_a_training_that_is_not_over_is_closed_when_the_run_ends() -> None:
    notes = Notes()
    teller = Teller("r", notes)
    for event in events()[:3]:
        teller.tell(event)
    teller.close()
    assert notes.scores == [{}]


def test_what_is_no_number_is_left_out() -> None:
    assert numbers({"step": 3, "a": 1, "b": None, "c": "x", "d": {"e": 2.5, "f": float("nan")}}) == {"a": 1, "d/e": 2.5}


def test_tensorboard_reads_what_it_was_told(poise: Poise, told: RunFolder) -> None:
    for _ in range(2):  # telling it again does not show it twice
        done = poise("log", "r", "--to", "tensorboard")
        assert (done.returncode, done.stdout) == (0, "r: 3 updates told to tensorboard\n"), done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(told.path / "tensorboard" / "c000-search-0")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("reward")] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert [(e.step, e.value) for e in found.Scalars("score/overall")] == [(3, 30.0)]
    assert found.Scalars("reward")[0].wall_time == 100.0


def test_telling_tensorboard_loads_neither_torch_nor_tensorflow(told: RunFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.archive.folder import RunFolder;"
        " from poise_tui.sinks.follow import follow; from poise_tui.sinks.interface import sink_factory;"
        f" path = Path({str(told.path)!r}); follow(RunFolder(path), sink_factory('tensorboard')(path));"
        " print({'torch', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
@pytest.mark.slow
def test_wandb_is_told_offline(poise: Poise, told: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = poise("log", "r", "--to", "wandb")
    assert done.returncode == 0, done.stderr
    (record,) = (told.path / "wandb").glob("offline-run-*/run-*.wandb")
    data = record.read_bytes()
    assert b"c000-search-0 GRPO" in data
    assert b"score/overall" in data


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")
@pytest.mark.slow
def test_trackio_is_told_locally(told: RunFolder) -> None:
    """In a process of its own, since trackio keeps its folder from its first import on."""
    command = [sys.executable, "-P", "-m", "poise_tui", "log", "r", "--to", "trackio"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    (database,) = (told.path / "trackio").rglob("r.db")
    rows = sqlite3.connect(database).execute("select step, metrics from metrics order by id").fetchall()
    assert [step for step, _ in rows] == [1, 2, 3, 3]
    assert json.loads(rows[-1][1]) == {"score/overall": 30.0, "score/add": 40.0}


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_that_is_not_installed_is_refused_before_anything_starts(
    poise: Poise, runs: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    done = poise("run", "--headless", "--log-to", name)
    assert f"--log-to {name} needs the package {name}" in refusal(done, 2)
    assert not runs.exists()


def test_a_sink_that_nobody_knows_is_refused(poise: Poise) -> None:
    assert "--log-to mlflow: there are tensorboard, trackio, wandb" in refusal(
        poise("run", "--headless", "--log-to", "mlflow"), 2
    )


def test_a_sink_that_fails_says_so_in_a_line(poise: Poise, told: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (told.path / "tensorboard").write_text("a file in the way")
    assert refusal(poise("log", "r", "--to", "tensorboard"), 1).startswith("tensorboard: ")
    assert follow(told, Notes()) == 3, "the run's own files are as they were"
