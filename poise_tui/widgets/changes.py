"""What differs between two drawings of the same lines, so that a slow link carries that and no more."""

from collections.abc import Sequence

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

GAP = 12
"""Equal columns between two changes that cost less to write again than to jump over."""


def changed_regions(before: Sequence[Strip], after: Sequence[Strip], width: int) -> list[Region]:
    """The parts of lines that must be painted again.

    Args:
        before: the lines on screen.
        after: as many lines.
        width: columns; a line that says nothing about some of them is painted whole.

    Returns:
        regions of one line each, in columns of the lines; none where nothing changed.
    """
    found: list[Region] = []
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        if old is new or old == new:
            continue
        one, other = _cells(old), _cells(new)
        if not len(one) == len(other) == width:  # wide characters: columns are not characters there
            found.append(Region(0, y, width, 1))
            continue
        start = end = -1
        for x in range(width):
            if one[x] != other[x]:
                if start >= 0 and x - end > GAP:
                    found.append(Region(start, y, end - start + 1, 1))
                    start = -1
                start, end = (x if start < 0 else start), x
        if start >= 0:
            found.append(Region(start, y, end - start + 1, 1))
    return found


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    return [(character, segment.style) for segment in strip for character in segment.text]
