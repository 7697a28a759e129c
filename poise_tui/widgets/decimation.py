"""Curves of any length as no more points than a chart can show, at the cost of the new ones; plain Python, no numpy."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[int, float]
"""A column and a value."""


@dataclass(frozen=True)
class Range:
    """What an axis spans."""

    low: float
    high: float

    def around(self) -> "Range":
        """The same, never empty: a constant, or what differs by rounding only, lies in the middle."""
        size = max(abs(self.low), abs(self.high))
        if self.high - self.low > max(1e-12 * size, 1e-100):
            return self
        margin = 0.1 * size if size > 1e-100 else 0.5
        return Range(self.low - margin, self.high + margin)


class Decimation:
    """A curve that grows, at most two points a column: the smallest and the largest, so that no spike is lost.

    Whole columns are looked at once: a point more costs what its own column costs.
    """

    def __init__(self, across: Range, columns: int) -> None:
        """
        Args:
            across: what the columns span; later steps are left out.
            columns: how many.
        """
        self._across, self._columns = across, columns
        self._width = (across.high - across.low) / max(1, columns - 1)
        self._done: list[list[Point]] = [[]]
        self._start = 0
        self._column = -1

    def pieces(self, steps: Sequence[float], values: Sequence[float]) -> list[list[Point]]:
        """The line now.

        Args:
            steps: (n,) ascending; more or fewer of the same curve than in the call before.
            values: (n,) NaN where there is none.

        Returns:
            pieces of a line, each a list of (column, value); a column in which all is NaN ends a piece.
        """
        if self._column < 0 or len(steps) < self._start:  # less than before: a replay that went back
            self._done, self._column = [[]], -1
            self._start = bisect_left(steps, self._across.low - self._width / 2)
        while self._start < len(steps):
            # Never the column before again, which rounding at its edge would allow.
            place = (steps[self._start] - self._across.low) / self._width if self._width else 0.0
            column = max(self._column + 1, math.floor(place + 0.5))
            if column >= self._columns:
                break
            edge = self._across.low + (column + 0.5) * self._width
            end = max(self._start + 1, bisect_left(steps, edge, self._start))
            points = _extremes(column, values[self._start : end])
            if end == len(steps):  # the last column may grow
                return [piece for piece in (*self._done[:-1], [*self._done[-1], *points]) if piece]
            if points:
                self._done[-1] += points
            else:
                self._done.append([])
            self._start, self._column = end, column
        return [list(piece) for piece in self._done if piece]


def _extremes(column: int, part: Sequence[float]) -> list[Point]:
    """The smallest and the largest of a column's values, in the order in which they came, so that no line zigzags."""
    if math.isnan(sum(part)):
        part = [value for value in part if not math.isnan(value)]
    if len(part) < 2:
        return [(column, value) for value in part]
    low, high = min(part), max(part)
    values = list(part)
    return (
        [(column, low), (column, high)] if values.index(low) <= values.index(high) else [(column, high), (column, low)]
    )


def decimate(steps: Sequence[float], values: Sequence[float], across: Range, columns: int) -> list[list[Point]]:
    """At most two points a column of a curve that is whole; see `Decimation`."""
    return Decimation(across, columns).pieces(steps, values)
