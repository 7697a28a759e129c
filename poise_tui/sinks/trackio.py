"""trackio, in its local database: `TRACKIO_DIR=runs/<id>/trackio trackio show` opens it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise_tui.sinks.interface import Training


class TrackioCurve:
    """One training, a run of trackio."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._step = 0

    def log(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        self._run.log(dict(values), step=step)
        self._step = step

    def close(self, scores: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        if scores:
            self._run.log({f"score/{name}": value for name, value in scores.items()}, step=self._step)
        self._run.finish()


class TrackioSink:
    """A run: a project of trackio, in the run's folder."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))
        self._trackio = importlib.import_module("trackio")

    def open(self, training: Training) -> TrackioCurve:
        """See `poise_tui.sinks.interface.Sink`."""
        run = self._trackio.init(
            project=training.run,
            name=f"{training.id} {training.candidate}",
            group=training.config.get("purpose"),
            config=dict(training.config),
            embed=False,
        )
        return TrackioCurve(run)


make = TrackioSink
