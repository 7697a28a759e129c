"""The settled-prefix rule: what decision k may see, whatever the order in which results arrive.

Slot 0 is the root, slot k the candidate of decision k. Decision k sees exactly the settled slots 0..k-lag; a result
that arrives early waits. So the lineage depends on the seed and on `lag`, not on timing, workers or executor.
"""

from __future__ import annotations

from collections.abc import Callable


def visible(k: int, lag: int) -> range:
    """The slots decision k sees (empty for the first decisions).

    Args:
        k: the decision, from 1.
        lag: decisions that may be under way beside it, at least 1.
    """
    return range(max(k - lag + 1, 0))


def ready(k: int, lag: int, settled: Callable[[int], bool]) -> bool:
    """Whether every slot that decision k must see has settled; the newest is asked first, since it is the likeliest to
    be open.
    """
    return all(map(settled, reversed(visible(k, lag))))
