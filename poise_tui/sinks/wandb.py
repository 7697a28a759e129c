"""Weights & Biases, offline unless WANDB_MODE says otherwise: `wandb sync runs/<id>/wandb/offline-run-*` uploads."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise_tui.sinks.interface import Training

PROJECT = "poise"


class WandbCurve:
    """One training, a run of wandb."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        self._run.log({**values, "update": step}, step=step)

    def close(self, scores: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        self._run.summary.update({f"score/{name}": value for name, value in scores.items()})
        self._run.finish()


class WandbSink:
    """A run: its trainings are grouped by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wandb = importlib.import_module("wandb")

    def open(self, training: Training) -> WandbCurve:
        """See `poise_tui.sinks.interface.Sink`."""
        settings = self._wandb.Settings(silent=True, disable_git=True, save_code=False, x_disable_stats=True)
        run = self._wandb.init(
            project=PROJECT,
            group=training.run,
            name=f"{training.id} {training.candidate}",
            config=dict(training.config),
            dir=str(self._folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            settings=settings,
        )
        return WandbCurve(run)


make = WandbSink
