"""TensorBoard: a folder of events a training, written by TensorBoard's own writer (no torch, no TensorFlow)."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise_tui.sinks.interface import Training

FLUSH_SECONDS = 5


class TensorBoardCurve:
    """One training."""

    def __init__(self, folder: Path) -> None:
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self._event: Any = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
        self._summary: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        self._writer = writer.EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._last = (0, 0.0)

    def log(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        shown = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._writer.add_event(self._event(step=step, wall_time=time, summary=self._summary(value=shown)))
        self._last = (step, time)

    def close(self, scores: Mapping[str, float]) -> None:
        """See `poise_tui.sinks.interface.Curve`."""
        if scores:
            self.log(*self._last, {f"score/{name}": value for name, value in scores.items()})
        self._writer.close()


class TensorBoardSink:
    """A run: `tensorboard --logdir runs/<id>/tensorboard`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"
        # All events are told again: what is there would be shown twice.
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, training: Training) -> TensorBoardCurve:
        """See `poise_tui.sinks.interface.Sink`."""
        return TensorBoardCurve(self._folder / training.id)


make = TensorBoardSink
