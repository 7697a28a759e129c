"""Lines drawn with braille dots, two columns and four rows of dots in a character; plain Python, no numpy."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of a dot, by its row and column in the character (Unicode block 2800)."""

SPANS = tuple(
    tuple(tuple(sum(DOTS[y][x] for y in range(top, bottom + 1)) for bottom in range(4)) for top in range(4))
    for x in range(2)
)
"""The bits of a character's dots in one column, from a top row to a bottom row."""

STIPPLE = 2
"""What stands for a shaded character where there is no braille."""

Point = tuple[int, float]


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


def decimate(steps: Sequence[float], values: Sequence[float], across: Range, columns: int) -> list[list[Point]]:
    """At most two points a column, the smallest and the largest, so that no spike is lost.

    Args:
        steps: (n,) ascending.
        values: (n,) NaN where there is none.
        across: what the columns span; later steps are left out.
        columns: how many.

    Returns:
        pieces of a line, each a list of (column, value); a column in which all is NaN ends a piece.
    """
    pieces: list[list[Point]] = [[]]
    width = (across.high - across.low) / max(1, columns - 1)
    start = bisect_left(steps, across.low - width / 2)
    column = -1
    while start < len(steps):
        # Never the column before again, which rounding at its edge would allow.
        column = max(column + 1, math.floor((steps[start] - across.low) / width + 0.5) if width else 0)
        if column >= columns:
            break
        end = max(start + 1, bisect_left(steps, across.low + (column + 0.5) * width, start))
        part = values[start:end]
        if math.isnan(sum(part)):
            part = [value for value in part if not math.isnan(value)]
        if not part:
            pieces.append([])
        elif len(part) == 1:
            pieces[-1].append((column, part[0]))
        else:
            # In the order in which they came, so that the line does not zigzag.
            low, high = min(part), max(part)
            rising = list(part).index(low) <= list(part).index(high)
            pieces[-1] += [(column, low), (column, high)] if rising else [(column, high), (column, low)]
        start = end
    return [piece for piece in pieces if piece]


class Canvas:
    """A rectangle of characters to draw lines into; each character belongs to the line drawn last."""

    def __init__(self, width: int, height: int, *, braille: bool = True) -> None:
        """
        Args:
            width: characters.
            height: characters.
            braille: else one mark a character, for terminals without braille.
        """
        self.width, self.height, self.braille = width, height, braille
        self.columns = width * 2 if braille else width
        self.rows = height * 4 if braille else height
        self._bits = [[0] * width for _ in range(height)]
        self._owner = [[-1] * width for _ in range(height)]

    def line(self, points: Sequence[Point], upward: Range, owner: int) -> None:
        """Join points (column, value) by a line.

        Args:
            points: columns count dots.
            upward: the values at the bottom and the top row.
            owner: who gets the characters, such as the index of a series.
        """
        scale = (self.rows - 1) / (upward.high - upward.low)
        dots = [(column, round((upward.high - value) * scale)) for column, value in points]
        x, y = dots[0]
        self._upright(x, y, y, owner)
        for (x0, y0), (x1, y1) in pairwise(dots):
            if x0 == x1:
                self._upright(x0, y0, y1, owner)
                continue
            # In every column the part of the line that lies nearer to it than to its neighbours.
            slope = (y1 - y0) / (x1 - x0)
            edges = [y0, *(round(y0 + slope * (i + 0.5)) for i in range(x1 - x0)), y1]
            for i, (start, end) in enumerate(pairwise(edges)):
                step = (end > start) - (end < start)
                self._upright(x0 + i, start + (step if i else 0), end, owner)

    def shade(self, column: int, values: tuple[float, float], upward: Range, owner: int) -> None:
        """Stipple one column from a value to another, behind whatever lines come later."""
        scale = (self.rows - 1) / (upward.high - upward.low)
        top, bottom = (round((upward.high - value) * scale) for value in (values[1], values[0]))
        for y in range(max(0, top), min(self.rows - 1, bottom) + 1):
            if not self.braille:
                self._bits[y][column], self._owner[y][column] = STIPPLE, owner
            elif (column + y) % 2 == 0:
                self._bits[y // 4][column // 2] |= DOTS[y % 4][column % 2]
                self._owner[y // 4][column // 2] = owner

    def _upright(self, x: int, y0: int, y1: int, owner: int) -> None:
        """All dots of one column from one row to another."""
        low, high = max(0, min(y0, y1)), min(self.rows - 1, max(y0, y1))
        if not 0 <= x < self.columns:
            return
        if not self.braille:
            for row in range(low, high + 1):
                self._bits[row][x], self._owner[row][x] = 1, owner
            return
        column, side = x // 2, x % 2
        for row in range(low // 4, high // 4 + 1):
            top, bottom = max(0, low - 4 * row), min(3, high - 4 * row)
            self._bits[row][column] |= SPANS[side][top][bottom]
            self._owner[row][column] = owner

    def runs(self, row: int) -> list[tuple[str, int]]:
        """One row as (text, owner) runs; owner -1 is empty space."""
        found: list[tuple[str, int]] = []
        for bits, owner in zip(self._bits[row], self._owner[row], strict=True):
            mark = " " if not bits else chr(0x2800 + bits) if self.braille else "." if bits == STIPPLE else "*"
            if found and found[-1][1] == owner:
                found[-1] = (found[-1][0] + mark, owner)
            else:
                found.append((mark, owner))
        return found
