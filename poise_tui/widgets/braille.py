"""Lines drawn with the dots of characters; plain Python, no numpy."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise

from poise_tui.cells import BRAILLE, Cell
from poise_tui.widgets.decimation import Decimation, Point, Range

Layer = Mapping[int, int]
"""One line by itself: the bits of the characters it touches, by their place, counted row by row."""


def _stippled(cell: Cell, column: int, y: int, ends: tuple[int, int]) -> bool:
    """Whether a shaded area has a dot there: thin enough that lines over it stand out, with an edge of its own."""
    if cell.rows < 4:
        return (column + y) % 2 == 0
    return column % 2 == 0 and (y in ends or (column + y) % 4 < 2)


class Canvas:
    """A rectangle of characters to draw lines into; each character belongs to the line drawn last."""

    def __init__(self, width: int, height: int, cell: Cell = BRAILLE) -> None:
        """
        Args:
            width: characters.
            height: characters.
            cell: what a character is made of.
        """
        self.width, self.height, self.cell = width, height, cell
        self.columns, self.rows = width * cell.columns, height * cell.rows
        self._bits = [0] * (width * height)
        self._owner = [-1] * (width * height)

    def line(self, points: Sequence[Point], upward: Range, owner: int) -> None:
        """Join points (column, value) by a line.

        Args:
            points: columns count dots.
            upward: the values at the bottom and the top row.
            owner: who gets the characters, such as the index of a series.
        """
        self.add(self.layer([points], upward), owner)

    def add(self, layer: Layer, owner: int) -> None:
        """Lay a layer of a canvas of this size over what is there."""
        known, owners = self._bits, self._owner
        for place, bits in layer.items():
            known[place] |= bits
            owners[place] = owner

    def shade(self, ends: Mapping[int, tuple[float, float]], upward: Range) -> Layer:
        """A stippled area, to be added before the lines over it: in each column from a value to another."""
        layer: dict[int, int] = {}
        cell, scale = self.cell, (self.rows - 1) / (upward.high - upward.low)
        for column, (low, high) in ends.items():
            across, side = divmod(column, cell.columns)
            top, bottom = round((upward.high - high) * scale), round((upward.high - low) * scale)
            for y in range(max(0, top), min(self.rows - 1, bottom) + 1):
                down, row = divmod(y, cell.rows)
                if bits := cell.stipple or (cell.dots[row][side] if _stippled(cell, column, y, (top, bottom)) else 0):
                    place = down * self.width + across
                    layer[place] = layer.get(place, 0) | bits
        return layer

    def layer(self, pieces: Sequence[Sequence[Point]], upward: Range) -> Layer:
        """What the pieces of a line touch; see `line`."""
        layer: dict[int, int] = {}
        scale = (self.rows - 1) / (upward.high - upward.low)
        for points in pieces:
            dots = [(column, round((upward.high - value) * scale)) for column, value in points]
            x, y = dots[0]
            self._upright(layer, x, y, y)
            for (x0, y0), (x1, y1) in pairwise(dots):
                if x0 == x1:
                    self._upright(layer, x0, y0, y1)
                    continue
                # In every column the part of the line that lies nearer to it than to its neighbours.
                slope = (y1 - y0) / (x1 - x0)
                edges = [y0, *(round(y0 + slope * (i + 0.5)) for i in range(x1 - x0)), y1]
                for i, (start, end) in enumerate(pairwise(edges)):
                    step = (end > start) - (end < start)
                    self._upright(layer, x0 + i, start + (step if i else 0), end)
        return layer

    def _upright(self, layer: dict[int, int], x: int, y0: int, y1: int) -> None:
        """All dots of one column from one row to another."""
        low, high = (y0, y1) if y0 <= y1 else (y1, y0)
        low, high = max(low, 0), min(high, self.rows - 1)
        if not 0 <= x < self.columns:
            return
        column, side = divmod(x, self.cell.columns)
        spans, tall = self.cell.spans[side], self.cell.rows
        first, top = divmod(low, tall)
        last, bottom = divmod(high, tall)
        for row in range(first, last + 1):
            bits = spans[top if row == first else 0][bottom if row == last else tall - 1]
            place = row * self.width + column
            layer[place] = layer.get(place, 0) | bits

    def runs(self, row: int) -> list[tuple[str, int]]:
        """One row as (text, owner) runs; owner -1 is empty space."""
        found: list[tuple[str, int]] = []
        marks, before = "", -1
        start = row * self.width
        for place in range(start, start + self.width):
            bits, owner = self._bits[place], self._owner[place]
            if owner != before:
                if marks:
                    found.append((marks, before))
                marks, before = "", owner
            marks += self.cell.marks[bits]
        return [*found, (marks, before)] if marks else found


class Drawn:
    """Lines as they were drawn last, so that only what changed is looked at and drawn again."""

    def __init__(self) -> None:
        self._curves: dict[Hashable, tuple[Decimation, Range, int]] = {}
        self._layers: dict[Hashable, tuple[list[list[Point]], Range, tuple[int, int, Cell], Layer]] = {}

    def pieces(
        self, key: Hashable, steps: Sequence[float], values: Sequence[float], across: Range, columns: int
    ) -> list[list[Point]]:
        """A curve as points of a chart; see `Decimation`.

        Args:
            key: tells curves apart; one under the same key only ever grows at its end.
        """
        known = self._curves.get(key)
        if known is None or known[1:] != (across, columns):
            known = self._curves[key] = (Decimation(across, columns), across, columns)
        return known[0].pieces(steps, values)

    def layer(self, key: Hashable, canvas: Canvas, pieces: list[list[Point]], upward: Range) -> Layer:
        """The same pieces on the same canvas are drawn once."""
        size = (canvas.width, canvas.height, canvas.cell)
        known = self._layers.get(key)
        if known is None or known[:3] != (pieces, upward, size):
            known = self._layers[key] = (pieces, upward, size, canvas.layer(pieces, upward))
        return known[3]

    def forget_others(self, keys: set[Hashable]) -> None:
        """Keep only what is on the chart."""
        for cache in (self._curves, self._layers):
            for gone in cache.keys() - keys:
                del cache[gone]
