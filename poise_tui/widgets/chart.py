"""What a chart draws, as pure functions of curves: which updates, smoothed how, in which columns, on which scale."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from poise_tui.snapshot import Trial
from poise_tui.widgets.decimation import Point, Range

SMOOTHING = (0.0, 0.6, 0.9)
"""Weights of what came before, in the order in which a key goes through them; 0 is none."""
TAIL = 0.2
"""Which part of the updates the tail is."""
FEWEST = 4
"""Updates across, at the nearest."""

Pieces = list[list[Point]]


@dataclass(frozen=True)
class Look:
    """How curves are drawn."""

    smooth: float = 0.0
    log: bool = False
    tail: bool = False
    window: Range | None = None
    """Updates that one has zoomed into; None for all."""
    cross: float | None = None
    """The update of the crosshair."""
    bands: bool = True

    def across(self, longest: int) -> Range:
        """The updates on the chart, of so many."""
        if self.window is not None:
            return self.window
        return Range(max(1, longest - TAIL * longest) if self.tail else 1, max(2, longest))

    def zoomed(self, factor: float, longest: int) -> "Look":
        """Nearer (below 1) or farther, around the crosshair or else the end."""
        now = self.across(longest)
        width = max(FEWEST, (now.high - now.low) * factor)
        if width >= max(2, longest) - 1:
            return replace(self, window=None, tail=False)
        middle = now.high if self.cross is None else self.cross
        low = max(1.0, min(middle - width / 2, longest - width))
        return replace(self, window=Range(low, low + width))

    def crossed(self, columns: int, step: float, longest: int) -> "Look":
        """The crosshair moved by columns of so many updates each; it begins at the newest update on the chart."""
        span = self.across(longest)
        at = span.high if self.cross is None else self.cross + columns * max(1.0, step)
        at = round(max(1.0, min(at, max(2, longest))))
        if self.window is not None and not self.window.low <= at <= self.window.high:
            width = self.window.high - self.window.low
            low = max(1.0, min(at - width / 2, longest - width))
            return replace(self, cross=at, window=Range(low, low + width))
        return replace(self, cross=at)

    def words(self) -> str:
        """What is not as usual."""
        said = [f"smoothed {self.smooth:g}"] if self.smooth else []
        said += ["log"] if self.log else []
        said += [f"updates {self.window.low:.0f} to {self.window.high:.0f}"] if self.window else []
        said += ["tail"] if self.tail and not self.window else []
        said += [] if self.bands else ["one seed each"]
        return ", ".join(said)


class Smoother:
    """Exponential moving averages of curves that grow: only what is new is computed.

    The average of the first n values is divided by 1 - weight**n, so that it does not begin at 0 (as in Adam, arXiv
    1412.6980). Where there is no value there is none afterwards either, and the average goes on after the gap.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, float], tuple[array[float], float, int]] = {}

    def __call__(self, trial: Trial, metric: str, weight: float) -> "array[float]":
        """(count,) the smoothed values of a trial's metric."""
        values = trial.curve.values(metric)
        key = (trial.id, metric, weight)
        made, average, count = self._known.get(key, (array("f"), 0.0, 0))
        if len(made) > len(values):  # an older state of the curve
            return made[: len(values)]
        for value in values[len(made) :]:
            if math.isnan(value):
                made.append(math.nan)
                continue
            count += 1
            average = weight * average + (1 - weight) * value
            made.append(average / (1 - weight**count))
        self._known[key] = (made, average, count)
        return made[:]


def logarithms(pieces: Pieces) -> Pieces:
    """The same to base 10; points at or below 0 end a piece."""
    found: Pieces = []
    for piece in pieces:
        found.append([])
        for column, value in piece:
            if value > 0:
                found[-1].append((column, math.log10(value)))
            elif found[-1]:
                found.append([])
    return [piece for piece in found if piece]


def band(lines: Sequence[Pieces], reach: float) -> dict[int, tuple[float, float]]:
    """The lowest and the highest value of several curves in each column in which there are at least two of them.

    Args:
        reach: columns from one update to the next; those between are filled, straight from one to the other.
    """
    found: dict[int, list[float]] = {}
    there: dict[int, int] = {}
    for pieces in lines:
        for column in {column for piece in pieces for column, _ in piece}:
            there[column] = there.get(column, 0) + 1
        for piece in pieces:
            for column, value in piece:
                found.setdefault(column, []).append(value)
    ends = {column: (min(values), max(values)) for column, values in sorted(found.items()) if there[column] > 1}
    for left, right in pairwise(list(ends)):
        if right - left <= reach + 1:  # farther apart there is a gap between them
            for column in range(left + 1, right):
                share = (column - left) / (right - left)
                low, high = ((1 - share) * a + share * b for a, b in zip(ends[left], ends[right], strict=True))
                ends[column] = (low, high)
    return ends


def value_at(steps: Sequence[float], values: Sequence[float], at: float | None) -> float | None:
    """The value at an update, or the last one before it; None where there is none."""
    place = (len(steps) if at is None else bisect_right(steps, at)) - 1
    if place < 0 or math.isnan(values[place]):
        return None
    return values[place]
