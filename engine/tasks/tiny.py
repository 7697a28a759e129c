"""The six tasks of the tiny world, for a character model of about a million parameters.

A response is `work#answer`: the work is optional, and anything goes in it but `#`. Problems are drawn by thin
seeded generators; the prompt's first character or its operator tells the tasks apart.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import PoiseError
from engine.tasks.interface import Grade, Problem, Split
from engine.tasks.options import part_weights, refuse_unknown, whole
from engine.tasks.splits import draw

MAX_LENGTH = 24
"""Tokens a response may have, its end-of-sequence token included; one token is one character."""

# The rewards of the profile, in one place. `format` is in points (0-4) and `brevity` in 0-1; wrong answers earn
# both, so a group that fails altogether still has a spread, and plain GRPO divides by it: it learns haste, and
# loses the work that makes answers right. At 0.3 brevity is no trap (GRPO learns everything), at 2 it is one.
PART_WEIGHTS: Mapping[str, float] = {"correct": 1.0, "format": 0.1, "brevity": 2.0}

POOL_SIZE = 24

HOPS = 5


@dataclass(frozen=True)
class Draw:
    """One drawn problem before it is given to a split: `canonical` is equal for all ways to write it."""

    prompt: str
    gold: str
    canonical: str


def _add(rng: random.Random) -> Draw:
    """Two-digit addition, `47+38=`."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return Draw(f"{a}+{b}=", str(a + b), f"{min(a, b)}+{max(a, b)}")


def _sort(rng: random.Random) -> Draw:
    """Six digits in ascending order, `s528174=`."""
    digits = "".join(rng.choice("0123456789") for _ in range(6))
    ordered = "".join(sorted(digits))
    return Draw(f"s{digits}=", ordered, ordered)


def _mod(rng: random.Random) -> Draw:
    """The remainder of a number up to 199 by a digit, `83%7=`."""
    a, b = rng.randint(20, 199), rng.randint(3, 9)
    return Draw(f"{a}%{b}=", str(a % b), f"{a}%{b}")


def _chain(rng: random.Random) -> Draw:
    """Five digits added and subtracted, never below zero, `3+8-4+9-2=`."""
    while True:
        terms = [rng.randint(1, 9)] + [rng.choice((-1, 1)) * rng.randint(1, 9) for _ in range(4)]
        totals = [sum(terms[: i + 1]) for i in range(5)]
        if min(totals) >= 0:
            prompt = str(terms[0]) + "".join(f"{term:+d}" for term in terms[1:]) + "="
            return Draw(prompt, str(totals[-1]), ",".join(map(str, sorted(terms))))


def _mul(rng: random.Random) -> Draw:
    """A two-digit number times a digit, in either order, `47*6=`."""
    a, b = rng.randint(12, 99), rng.randint(3, 9)
    prompt = f"{a}*{b}=" if rng.random() < 0.5 else f"{b}*{a}="
    return Draw(prompt, str(a * b), f"{b}*{a}")


def _hop(rng: random.Random) -> Draw:
    """Five hops through a table of eight cells, the last two cells are the answer: `h30714625:2=`.

    From cell 2 (counting from 0) the table leads to 7, then 5, 6, 2 and 7: the answer is `27`.
    """
    table, start = [rng.randrange(8) for _ in range(8)], rng.randrange(8)
    path = [start]
    for _ in range(HOPS):
        path.append(table[path[-1]])
    prompt = f"h{''.join(map(str, table))}:{start}="
    return Draw(prompt, f"{path[-2]}{path[-1]}", prompt)


GENERATORS: Mapping[str, Callable[[random.Random], Draw]] = {
    "add": _add,
    "sort": _sort,
    "mod": _mod,
    "chain": _chain,
    "mul": _mul,
    "hop": _hop,
}

LONGEST_ANSWER = 6


@dataclass(frozen=True)
class TinyTasks:
    """The task set `tiny`; `mul` and `hop` are the hard ones."""

    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))
    pool_size: int = POOL_SIZE
    names: tuple[str, ...] = tuple(GENERATORS)
    hard: tuple[str, ...] = ("mul", "hop")

    @property
    def weights(self) -> dict[str, float]:
        """The paper's weights (arXiv 2603.23951): 0.2 for each hard task, 0.15 for each other one."""
        return {name: 0.2 if name in self.hard else 0.15 for name in self.names}

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """See `TaskSet.problems`. An id is the task and the prompt, such as `add/47+38`."""
        if task not in GENERATORS:
            raise PoiseError(f"unknown task {task!r}: use one of {', '.join(GENERATORS)}")

        def make(rng: random.Random) -> tuple[Problem, str]:
            drawn = GENERATORS[task](rng)
            return Problem(f"{task}/{drawn.prompt[:-1]}", task, drawn.prompt, drawn.gold), drawn.canonical

        return draw(make, task, split, count, seed)

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """See `TaskSet.grade`. Reward parts:

        correct: 1 for a valid, right answer, else 0.
        format: a point each for ending in time, for exactly one `#`, for an answer of digits only, and for an
            answer that is not too long; 4 points is a valid response, an invalid one keeps what it has.
        brevity: 1 - length / 24 with length in tokens, end included; right or wrong. 0 when truncated.
        """
        answer = completion.rpartition("#")[2]
        points = (
            not truncated,
            completion.count("#") == 1,
            answer.isascii() and answer.isdigit(),
            1 <= len(answer) <= LONGEST_ANSWER,
        )
        valid = all(points)
        correct = valid and answer == problem.gold
        brevity = 0.0 if truncated else max(0.0, 1.0 - (len(completion) + 1) / MAX_LENGTH)
        parts = {"correct": float(correct), "format": float(sum(points)), "brevity": brevity}
        return Grade(parts, valid, correct)


def taskset(options: Mapping[str, Any]) -> TinyTasks:
    """The task set from a profile's options: `part_weights` (changes single weights) and `pool_size`.

    Raises:
        PoiseError: an option is unknown or has an unusable value.
    """
    refuse_unknown("tiny", options, ("part_weights", "pool_size"))
    weights = part_weights("tiny", options, PART_WEIGHTS)
    return TinyTasks(weights, whole("tiny", options, "pool_size", POOL_SIZE, 500))
