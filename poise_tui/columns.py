"""The side of a curve on which it grows."""

import math
from array import array

from poise_tui.documents import plottable
from poise_tui.format import one_line
from poise_tui.snapshot import METRICS, PART, Curve, Json

MOST_COLUMNS = len(METRICS) + 16


class Columns:
    """The growing side of a `Curve`; a column begins when its metric is first measured."""

    def __init__(self) -> None:
        self.steps: array[float] = array("d")
        self.values: dict[str, array[float]] = {}

    @classmethod
    def of(cls, curve: Curve) -> "Columns":
        """Those of a curve, to go on from there."""
        columns = cls()
        columns.steps = curve.steps()
        columns.values = {metric: curve.values(metric) for metric in curve.metrics}
        return columns

    def append(self, step: int, point: Json) -> None:
        """Add an update; one that a resumed training repeats is there already."""
        if self.steps and step <= self.steps[-1]:
            return
        found = {metric: point[metric] for metric in METRICS if point.get(metric) is not None}
        found |= {PART + one_line(name): value for name, value in (point.get("parts") or {}).items()}
        for metric, value in found.items():
            if metric not in self.values:
                if len(self.values) == MOST_COLUMNS:  # names of parts come from untrusted code
                    continue
                self.values[metric] = array("f", [math.nan]) * len(self.steps)
            self.values[metric].append(plottable(value))
        self.steps.append(step)
        for column in self.values.values():
            if len(column) < len(self.steps):
                column.append(math.nan)

    def curve(self) -> Curve:
        """The curve as it is now."""
        return Curve(self.steps, self.values, len(self.steps))
