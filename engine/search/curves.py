"""What a training's curves say, in a few numbers, from the metrics.jsonl that a candidate's process wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from engine.archive.tail_metrics import BYTES_A_READ, MetricsTail

SPIKE = 5.0
"""A gradient norm above this many medians is a spike."""
MOST_BYTES = 32 * 2**20
LARGEST = 1e300
"""Beyond it a number is taken for none."""
MOST_ROWS = 256


@dataclass(frozen=True)
class Trend:
    """A curve's mean over its first and its last quarter."""

    start: float
    end: float

    @property
    def change(self) -> float:
        """End minus start."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start:.3g} to {self.end:.3g}"


@dataclass(frozen=True)
class Curves:
    """The curves of one training; a trend is None where the curve has no finite point."""

    updates: int
    trends: Mapping[str, Trend | None]
    """By the names in NAMES."""
    means: Mapping[str, float]
    """Over the whole training, by the same names."""
    spikes: tuple[int, ...]
    """Updates whose gradient norm was a spike."""
    rows: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Every update's value, by the same names; of long trainings the means of equal stretches, at most `MOST_ROWS`."""


NAMES = (
    *("reward", "correct", "kl", "entropy", "length", "invalid", "truncated", "clip_fraction"),
    *("all_fail", "mixed", "all_pass", "grad_norm"),
)


def read_points(path: Path, updates: int) -> list[dict[str, Any]]:
    """The checked points of a metrics.jsonl, of a training of so many updates; a missing file has none."""
    tail = MetricsTail(path, last=updates)
    return [point for _ in range(MOST_BYTES // BYTES_A_READ) for point in tail.read()]


def summarize(points: Sequence[Mapping[str, Any]]) -> Curves:
    """Trends, means and spikes of a training's points (numbers that are not finite are left out)."""
    values = {name: [_number(p.get(name)) for p in points] for name in NAMES}
    finite = {name: [v for v in row if v is not None] for name, row in values.items()}
    norms = [(i, v) for i, v in enumerate(values["grad_norm"]) if v is not None]
    usual = median(v for _, v in norms) if norms else 0.0
    spikes = tuple(_step(points[i], i) for i, v in norms if usual > 0 and v > SPIKE * usual)
    return Curves(
        updates=len(points),
        trends={name: _trend(row) for name, row in finite.items()},
        means={name: fmean(row) for name, row in finite.items() if row},
        spikes=spikes,
        rows={name: _thinned(row) for name, row in values.items()},
    )


def _trend(row: Sequence[float]) -> Trend | None:
    quarter = max(len(row) // 4, 1)
    return Trend(fmean(row[:quarter]), fmean(row[-quarter:])) if row else None


def _thinned(row: Sequence[float | None]) -> tuple[float | None, ...]:
    stretch = -(-len(row) // MOST_ROWS) if row else 1
    parts = ([v for v in row[i : i + stretch] if v is not None] for i in range(0, len(row), stretch))
    return tuple(fmean(part) if part else None for part in parts)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # An int may be too large for a float; sums of what passes here stay finite.
    return float(value) if -LARGEST < value < LARGEST else None


def _step(point: Mapping[str, Any], index: int) -> int:
    step = point.get("step")
    return step if isinstance(step, int) else index + 1
