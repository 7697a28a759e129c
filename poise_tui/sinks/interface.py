"""What a sink is, and which there are. A sink's package is imported when it is used: none of them is required."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.errors import Exit, PoiseError

SINKS = ("tensorboard", "trackio", "wandb")
"""Each is a module here, and a package of that name to be installed."""


@dataclass(frozen=True)
class Training:
    """What a sink is told of a training when it begins.

    Attributes:
        run: id of the run.
        id: of the trial, such as c003-search-0.
        candidate: its name.
        config: what is looked for later: candidate, parent, mechanisms, purpose, seed, off.
    """

    run: str
    id: str
    candidate: str
    config: Mapping[str, Any] = field(default_factory=dict)


class Curve(Protocol):
    """Where one training goes."""

    def log(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Metrics of one optimizer update; `time` in unix seconds."""

    def close(self, scores: Mapping[str, float]) -> None:
        """The training is over, with these scores (0-100); empty where it has none."""


class Sink(Protocol):
    """Where the trainings of a run go."""

    def open(self, training: Training) -> Curve:
        """Begin a training."""


def sink_factory(name: str) -> Callable[[Path], Sink]:
    """Makes the sink of a run's folder.

    Raises:
        PoiseError: wrong usage (2), there is no such sink, or its package is not installed.
    """
    if name not in SINKS:
        raise PoiseError(f"--log-to {name}: there are {', '.join(SINKS)}", Exit.USAGE)
    if importlib.util.find_spec(name) is None:
        raise PoiseError(f"--log-to {name} needs the package {name}: `pip install {name}`", Exit.USAGE)
    made: Callable[[Path], Sink] = importlib.import_module(f"poise_tui.sinks.{name}").make
    return made
