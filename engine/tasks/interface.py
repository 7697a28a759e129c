"""What a task is: problems, grades, and the set a profile trains and scores on; bring your own in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

Split = Literal["train", "development", "confirmation"]
Figure = TypeVar("Figure", int, float)


@dataclass(frozen=True)
class Problem:
    """One question.

    Attributes:
        id: stable and unique within its task set; it never carries the answer.
        task: the name of the task it belongs to.
        prompt: exactly what the policy is given.
        gold: the right answer; it stays in the grader and the scorer.
    """

    id: str
    task: str
    prompt: str
    gold: str


@dataclass(frozen=True)
class Grade:
    """What one completion earned.

    Attributes:
        parts: reward part -> value on that part's own scale; None where the part does not apply. The reward
            is the sum of value times `TaskSet.part_weights`.
        valid: the response keeps the answer format (a truncated one never does).
        correct: valid, and the answer is right.
    """

    parts: Mapping[str, float | None]
    valid: bool
    correct: bool


@runtime_checkable
class TaskSet(Protocol):
    """The tasks of a profile. A file of your own has `def taskset(options: dict) -> TaskSet`.

    Two more attributes are looked at where they are there. `outside = True`: problems or grades need files or processes
    that the sandbox does not have, so held-out problems too are served and graded by the grader process; `names`,
    `hard` and `weights` must do without. `ready()`: raises a PoiseError, before a run begins, if something is missing.
    """

    @property
    def names(self) -> Sequence[str]:
        """Task names, in the order of every table."""

    @property
    def hard(self) -> Sequence[str]:
        """The tasks scored by pass@k; the others are scored by avg@n."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Task -> weight in Overall; they sum to 1."""

    @property
    def part_weights(self) -> Mapping[str, float]:
        """Reward part -> weight in the training reward."""

    @property
    def pool_size(self) -> int | Mapping[str, int]:
        """Training problems of each task that the grader serves, one number or a table by task: a small pool is reused
        often.
        """

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """`count` different problems of one split, the same for the same seed.

        Raises:
            PoiseError: the split has fewer problems than `count`.
        """

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """Grade the text after the prompt, without its end-of-sequence token; any text gets a grade."""


def of_task(figure: Figure | Mapping[str, Figure], task: str) -> Figure:
    """A figure of one task: one number for all, or a table by task."""
    return figure[task] if isinstance(figure, Mapping) else figure
