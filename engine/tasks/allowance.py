"""How much a trainer may ask of the grader: a few times what its training needs, so that guessing answers is no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.tasks.interface import of_task

FACTOR = 4
"""Times what one training needs; a training that is resumed has a new connection and a new allowance."""
CHARACTERS_A_TOKEN = 64
"""No tokenizer's vocabulary of use has longer tokens on average."""


MOST_LINE = 64 << 20
"""Bytes of one request, whatever the profile."""


class Flood(Exception):
    """A trainer has asked for more than its allowance; the text says of what."""


@dataclass(frozen=True)
class Allowance:
    """What one connection may ask in all.

    Attributes:
        requests: lines of any kind, refused ones too.
        items: completions graded, and those of one request.
        batch: completions of one request.
        group: completions of one problem that a batch holds.
        characters: of one completion.
    """

    requests: int = 1 << 16
    items: int = 1 << 20
    batch: int = 1 << 16
    group: int = 1 << 16
    characters: int = 1 << 16

    @classmethod
    def of(cls, train: Mapping[str, Any]) -> Allowance:
        """What a profile's table `[train]` makes of it."""
        rows = train["prompts_per_batch"] * train["group_size"]
        batches = -(-train["updates"] // train["updates_per_batch"])
        return cls(
            requests=FACTOR * (batches + 4),
            items=FACTOR * batches * rows,
            batch=FACTOR * rows,
            group=FACTOR * train["group_size"],
            characters=CHARACTERS_A_TOKEN * train["max_completion_length"],
        )

    @classmethod
    def of_scoring(cls, score: Mapping[str, Any], tasks: Sequence[str]) -> Allowance:
        """What a scoring by a profile's table `[score]` makes of it; it asks once."""
        samples = {task: of_task(score["samples"], task) for task in tasks}
        items = sum(samples[task] * of_task(score["problems"], task) for task in tasks)
        return cls(
            requests=items + len(tasks) + 4,
            items=items,
            batch=items,
            group=max(samples.values()),
            characters=CHARACTERS_A_TOKEN * score["max_completion_length"],
        )

    @property
    def line(self) -> int:
        """Bytes of one request."""
        return min(self.batch * (self.characters + 200), MOST_LINE)

    def repeats(self, problems: int) -> int:
        """How often one of so many problems may be graded: each comes about as often as the others."""
        return -(-self.items // max(problems, 1)) + self.group

    def document(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


class Count:
    """What one connection has asked so far.

    Args:
        allowance: the bound.
        problems: how many there are.
    """

    def __init__(self, allowance: Allowance, problems: int) -> None:
        self.allowance = allowance
        self._most_repeats = allowance.repeats(problems)
        self._requests = self._items = 0
        self._graded: dict[str, int] = {}

    def request(self) -> None:
        """A line has come. Raises Flood."""
        self._requests += 1
        if self._requests > self.allowance.requests:
            raise Flood(f"more than {self.allowance.requests} requests to the grader")

    def batch(self, size: int) -> None:
        """A request to grade so many. Raises Flood."""
        self._items += size
        if size > self.allowance.batch:
            raise Flood(f"{size} completions in one request to the grader: at most {self.allowance.batch}")
        if self._items > self.allowance.items:
            raise Flood(f"more than {self.allowance.items} completions sent to the grader")

    def problem(self, name: str) -> None:
        """One of them, of a known problem. Raises Flood."""
        graded = self._graded[name] = self._graded.get(name, 0) + 1
        if graded > self._most_repeats:
            raise Flood(f"one problem sent to the grader more than {self._most_repeats} times")
