"""Pareto fronts: 0 holds the rows that no other row dominates, 1 those that only front 0 dominates, and so on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

Row = tuple[float, ...]


def fronts(rows: Sequence[Sequence[float]]) -> list[int]:
    """The front of each row; more is better in every column, equal rows share a front.

    O(n log n) for two columns (Jensen 2003). For more, rows sorted downwards are compared with those of the fronts so
    far (ENS-SS, Zhang et al. 2015): up to n * n / 2 comparisons, so give it a shortlist.

    Args:
        rows: (n, tasks); -inf where a task has no score.
    """
    order = sorted(set(map(tuple, rows)), reverse=True)  # whoever dominates a row comes before it
    found = _two_columns(order) if order and len(order[0]) == 2 else _more_columns(order)
    return [found[tuple(row)] for row in rows]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether a is nowhere worse than b and somewhere better."""
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


def _two_columns(order: Sequence[Row]) -> dict[Row, int]:
    """A row lies on the first front whose best second column so far is below its own; these bests fall with the front,
    so it is found by bisection.
    """
    found: dict[Row, int] = {}
    best: list[float] = []  # minus the best second column of each front: rising
    for row in order:
        front = bisect_right(best, -row[1])
        best[front : front + 1] = [-row[1]]
        found[row] = front
    return found


def _more_columns(order: Sequence[Row]) -> dict[Row, int]:
    found: dict[Row, int] = {}
    members: list[list[Row]] = []
    for row in order:
        # The newest member first: it is the nearest in the first column and dominates most often.
        free = (i for i, front in enumerate(members) if not any(dominates(other, row) for other in reversed(front)))
        found[row] = next(free, len(members))
        if found[row] == len(members):
            members.append([])
        members[found[row]].append(row)
    return found
