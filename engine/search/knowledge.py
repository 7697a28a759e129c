"""The run's knowledge page: what helps, what fails, under which condition, with how much evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.search.evidence import Evidence


@dataclass(frozen=True)
class Knowledge:
    """What a run has learnt so far."""

    candidates: int
    """How many scored candidates it rests on."""

    def markdown(self) -> str:
        """The whole page."""
        return self.brief(1 << 20)

    def brief(self, room: int) -> str:
        """The page within `room` characters, for a prompt; empty without evidence."""
        return ""[:room]


def knowledge(candidates: Sequence[Evidence]) -> Knowledge:
    """Everything the search's own candidates have shown; the control arm's are left out.

    Args:
        candidates: what a decision may see, in order.
    """
    return Knowledge(sum(c.scored for c in candidates))
