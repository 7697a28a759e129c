"""Which rows the tree shows, and in which order: folding, filtering and sorting, as pure functions of a snapshot."""

from collections.abc import Callable, Mapping, Set

from poise_tui.query import ALL, Query
from poise_tui.snapshot import Branch, Candidate, Snapshot

DEAD = frozenset({"failed", "infeasible", "pruned", "duplicate", "stopped"})
"""Statuses of a candidate from which nothing comes any more, unless a user says so."""


def _high(value: float | None) -> float:
    return float("inf") if value is None else -value


ORDERS: Mapping[str, Callable[[Candidate], float] | None] = {
    "age": None,
    "Overall": lambda c: _high(c.overall if c.fidelity >= 1 else None),
    "gain": lambda c: _high(c.gain.value if c.gain else None),
    "training time": lambda c: -c.seconds,
}
"""How siblings can stand; by age they come as they were made."""


def arrange(
    snapshot: Snapshot, *, folded: Set[str] = frozenset(), query: Query = ALL, order: str = "age"
) -> tuple[Branch, ...]:
    """The rows of the tree.

    Args:
        folded: nodes whose descendants are hidden.
        query: nodes that do not fit are left out, unless one below them fits.
        order: of `ORDERS`, among siblings.
    """
    rows = snapshot.tree if (key := ORDERS[order]) is None else _sorted(snapshot, key)
    if query:
        rows = _fitting(rows, snapshot.candidates, query)
    return _unfolded(rows, folded) if folded else rows


def dead_lineages(snapshot: Snapshot) -> frozenset[str]:
    """The topmost nodes of branches in which nothing is alive, that have something to fold."""
    dead: list[str] = []
    rows = snapshot.tree
    alive = [snapshot.candidates[row.id].status not in DEAD for row in rows]
    # Whether anything in the branch that begins at a row lives: from the bottom up, by depth.
    lives: dict[int, bool] = {}
    whole: list[bool] = [False] * len(rows)
    for place in range(len(rows) - 1, -1, -1):
        depth = len(rows[place].more)
        whole[place] = alive[place] or lives.pop(depth + 1, False)
        lives[depth] = lives.get(depth, False) or whole[place]
    inside: int | None = None
    for place, row in enumerate(rows):
        depth = len(row.more)
        if inside is not None and depth > inside:
            continue
        inside = None if whole[place] else depth
        below = place + 1 < len(rows) and len(rows[place + 1].more) > depth
        if inside is not None and below:
            dead.append(row.id)
    return frozenset(dead)


def _unfolded(rows: tuple[Branch, ...], folded: Set[str]) -> tuple[Branch, ...]:
    found: list[Branch] = []
    depth: int | None = None
    for row in rows:
        if depth is not None and len(row.more) > depth:
            continue
        depth = len(row.more) if row.id in folded else None
        found.append(row)
    return tuple(found)


def _fitting(rows: tuple[Branch, ...], candidates: Mapping[str, Candidate], query: Query) -> tuple[Branch, ...]:
    """Rows that fit and those above them, with their guides drawn anew."""
    kept: list[Branch] = []
    wanted: set[int] = set()
    """Depths at which the next row upwards is the parent of one that is kept."""
    for row in reversed(rows):
        depth = len(row.more)
        if depth in wanted or query.fits(candidates[row.id]):
            wanted.discard(depth)
            if depth:
                wanted.add(depth - 1)
            kept.append(row)
    return _guided([(row.id, len(row.more)) for row in reversed(kept)])


def _guided(rows: list[tuple[str, int]]) -> tuple[Branch, ...]:
    """Rows of (id, depth) with what follows at each level, found from the bottom up."""
    found: list[Branch] = []
    follows: list[bool] = []
    """For each depth, whether a sibling stands further down."""
    for node, depth in reversed(rows):
        del follows[depth + 1 :]
        follows += [False] * (depth + 1 - len(follows))
        found.append(Branch(node, tuple(follows[1 : depth + 1])))
        follows[depth] = True
    return tuple(reversed(found))


def _sorted(snapshot: Snapshot, key: Callable[[Candidate], float]) -> tuple[Branch, ...]:
    children: dict[str | None, list[str]] = {}
    above: list[str] = []
    for row in snapshot.tree:
        del above[len(row.more) :]
        children.setdefault(above[-1] if above else None, []).append(row.id)
        above.append(row.id)
    rows: list[tuple[str, int]] = []
    waiting = [(node, 0) for node in reversed(children.get(None, []))]
    while waiting:
        node, depth = waiting.pop()
        rows.append((node, depth))
        below = sorted(children.get(node, []), key=lambda n: key(snapshot.candidates[n]))
        waiting += [(n, depth + 1) for n in reversed(below)]
    return _guided(rows)
