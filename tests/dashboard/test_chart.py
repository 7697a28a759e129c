"""Curves: no spike is lost and no point is invented."""

from __future__ import annotations

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from textual.strip import Strip

from poise_tui.cells import ASCII, BLOCK, BRAILLE, Cell
from poise_tui.widgets.braille import Canvas
from poise_tui.widgets.changes import changed_regions
from poise_tui.widgets.decimation import Decimation, Range, decimate

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=400)


@given(values=VALUES, columns=st.integers(2, 60))
def test_a_column_gets_at_most_two_points_and_the_extremes_are_among_them(values: list[float], columns: int) -> None:
    steps = array("d", range(1, len(values) + 1))
    pieces = decimate(steps, array("d", values), Range(1, max(2, len(values))), columns)
    points = [point for piece in pieces for point in piece]
    assert [c for c, _ in points] == sorted(c for c, _ in points)
    assert all(sum(c == column for c, _ in points) <= 2 for column in range(columns))
    real = [v for v in values if not math.isnan(v)]
    assert (not real and not points) or (min(v for _, v in points), max(v for _, v in points)) == (min(real), max(real))


@given(
    values=VALUES,
    columns=st.integers(2, 60),
    first=st.integers(1, 300),
    lengths=st.lists(st.integers(0, 400), max_size=6),
)
def test_a_curve_that_grows_or_goes_back_looks_as_if_it_were_drawn_at_once(
    values: list[float], columns: int, first: int, lengths: list[int]
) -> None:
    steps, column = array("d", range(1, len(values) + 1)), array("d", values)
    across = Range(first, first + max(1, len(values)))
    growing = Decimation(across, columns)
    for length in (*lengths, len(values)):
        pieces = growing.pieces(steps[:length], column[:length])
        assert pieces == decimate(steps[:length], column[:length], across, columns)


LINES = st.lists(st.text(alphabet="ab探", min_size=30, max_size=30), min_size=1, max_size=4)


@given(before=LINES, data=st.data())
def test_painting_only_what_changed_gives_the_new_picture(before: list[str], data: st.DataObject) -> None:
    after = [data.draw(st.just(line) | st.text(alphabet="ab", min_size=30, max_size=30)) for line in before]
    strips = [[Strip([Segment(line)]).adjust_cell_length(30) for line in lines] for lines in (before, after)]
    screen = [strip.text for strip in strips[0]]
    for region in changed_regions(*strips, 30):
        if region.width == 30:
            screen[region.y] = strips[1][region.y].text
        else:
            new, y = strips[1][region.y].text, region.y
            screen[y] = screen[y][: region.x] + new[region.x : region.right] + screen[y][region.right :]
    assert screen == [strip.text for strip in strips[1]]
    assert not changed_regions(strips[1], strips[1], 30)


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    values = array("d", [1, 2, math.nan, 4, 5])
    pieces = decimate(array("d", range(5)), values, Range(0, 4), 5)
    assert pieces == [[(0, 1.0), (1, 2.0)], [(3, 4.0), (4, 5.0)]]


CELLS = (BRAILLE, BLOCK, ASCII)


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), cell=st.sampled_from(CELLS))
def test_a_line_is_connected_and_reaches_its_ends(values: list[float], cell: Cell) -> None:
    canvas = Canvas(20, 6, cell)
    steps = array("d", range(len(values)))
    (piece,) = decimate(steps, array("d", values), Range(0, len(values) - 1), canvas.columns)
    canvas.line(piece, Range(min(values), max(values)).around(), 0)
    dots = lit(canvas)
    assert {x for x, _ in dots} == set(range(canvas.columns))
    if max(values) - min(values) > 1e-6:
        assert {min(y for _, y in dots), max(y for _, y in dots)} == {0, canvas.rows - 1}
    found, border = set(), [min(dots)]
    while border:
        x, y = border.pop()
        if (x, y) in dots and (x, y) not in found:
            found.add((x, y))
            border += [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    assert found == dots


def test_a_row_is_drawn_as_runs_of_one_colour() -> None:
    canvas = Canvas(4, 1)
    canvas.line([(0, 0.0), (3, 0.0)], Range(0, 1), 0)
    canvas.line([(6, 1.0), (7, 1.0)], Range(0, 1), 1)
    assert canvas.runs(0) == [("⣀⣀", 0), (" ", -1), ("⠉", 1)]


def test_shading_lies_behind_lines_and_is_told_from_them() -> None:
    for cell in CELLS:
        canvas = Canvas(6, 3, cell)
        canvas.add(canvas.shade(dict.fromkeys(range(canvas.columns), (0.0, 1.0)), Range(0, 1)), 1)
        shaded = {mark for row in range(3) for text, _ in canvas.runs(row) for mark in text}
        canvas.line([(0, 0.5), (canvas.columns - 1, 0.5)], Range(0, 1), 0)
        assert shaded and " " not in shaded
        assert canvas.runs(1)[0][1] == 0 and not set(canvas.runs(1)[0][0]) & shaded


def lit(canvas: Canvas) -> set[tuple[int, int]]:
    """The dots that are drawn, (column, row)."""
    dots, found = canvas.cell.dots, set()
    across, down = canvas.cell.columns, canvas.cell.rows
    for row in range(canvas.height):
        for column, mark in enumerate("".join(text for text, _ in canvas.runs(row))):
            bits = canvas.cell.marks.index(mark)
            places = [(x, y) for x in range(across) for y in range(down) if bits & dots[y][x]]
            found |= {(across * column + x, down * row + y) for x, y in places}
    return found
