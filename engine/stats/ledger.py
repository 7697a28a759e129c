"""How much error each confirmation of a run may use, so that all together use no more than 5 %.

The family is every confirmation attempted in the run, repeated and manual ones included: whoever asks again and again
is answered ever more strictly. Error once allotted is gone, however the confirmation ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

FAMILY = 0.05
AUTOMATIC_SHARE = 0.8
"""Of what is left, for the batch at the end of a budget: 0.04 when nothing was asked before."""
MANUAL_SHARE = 0.5
"""Of what is left, for one asked by hand: there is always something left, and never much after a few."""


LEAST = 1e-15
"""What is always left, where halving again and again comes to the end of floating point."""


def left(taken: Sequence[float]) -> float:
    """What the family still has, `taken` being the alpha of every candidate of every earlier confirmation."""
    return max(LEAST, FAMILY - fsum(taken))


def allot(taken: Sequence[float], nodes: int, *, automatic: bool) -> float:
    """The alpha of each of the `nodes` candidates that are confirmed together, now.

    Raises:
        ValueError: fewer than one candidate, or an alpha below zero.
    """
    if nodes < 1:
        raise ValueError(f"a confirmation has at least one candidate, not {nodes}")
    if any(alpha < 0 for alpha in taken):
        raise ValueError("an alpha that was taken is below zero")
    return left(taken) * (AUTOMATIC_SHARE if automatic else MANUAL_SHARE) / nodes
