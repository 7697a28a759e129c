"""Following a trial's metrics.jsonl, which the candidate's process writes: every value is checked."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.archive.events import LinesReader
from engine.process.child import one_line

METRICS = frozenset(
    {
        *("epoch_progress", "loss", "reward", "reward_std", "kl", "entropy", "length", "length_std"),
        *("clip_fraction", "truncated", "invalid", "correct", "grad_norm", "all_fail", "mixed", "all_pass"),
        *("advantage_mean", "advantage_std", "advantage_max", "ratio_mean", "learning_rate"),
        *("samples_per_second", "tokens_per_second", "sampler_gap", "sampler_kept", "memory_mb"),
    }
)
"""The numbers of one optimizer update, beside `step` and `parts`."""

LINE_LIMIT = 8192
BYTES_A_READ = 1 << 18
MOST_PARTS = 16
PART_NAME_LIMIT = 40

Point = dict[str, Any]


class MetricsTail:
    """The valid points of a growing metrics.jsonl, each step once and in order."""

    def __init__(self, path: Path, after: int = -1, last: int = (1 << 31) - 1) -> None:
        """
        Args:
            path: the file, which may come later.
            after: the last step that is known already (of a trial that is resumed).
            last: the last step of the training; a candidate that makes up more of them is not believed.
        """
        self._lines = LinesReader(path, max_line=LINE_LIMIT)
        self._step = after
        self._last = last
        self._refused = 0

    @property
    def dropped(self) -> int:
        """How many lines were refused: too long, no JSON, no step of this training."""
        return self._refused + self._lines.dropped

    def read(self) -> list[Point]:
        """New points, at most a quarter of a megabyte of lines a call; the rest comes with the next one.

        Each point has `step` (int), `parts` (name -> number or null) and those of `METRICS` that the line
        holds, as finite floats or null; nothing else. Steps grow: what a resumed trial repeats is not
        reported again.
        """
        points = []
        for line in self._lines.read(BYTES_A_READ):
            try:
                point = check_point(line)
            except (ValueError, TypeError, KeyError, RecursionError):
                self._refused += 1
                continue
            if point["step"] > self._last:
                self._refused += 1
            elif point["step"] > self._step:
                self._step = point["step"]
                points.append(point)
        return points


def check_point(line: bytes) -> Point:
    """One line as a point. Raises ValueError, TypeError, KeyError or RecursionError if it is none."""
    value = json.loads(line)
    step = value["step"]
    if type(step) is not int or not 0 <= step < 1 << 31:
        raise ValueError("a step is a count")
    point: Point = {"step": step}
    point |= {name: finite(value[name]) for name in value if name in METRICS}
    parts = value.get("parts")
    if isinstance(parts, Mapping):
        some = list(parts.items())[:MOST_PARTS]
        point["parts"] = {one_line(name, PART_NAME_LIMIT): finite(number) for name, number in some}
    else:
        point["parts"] = {}
    return point


def finite(value: object) -> float | None:
    """A number as a finite float; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
