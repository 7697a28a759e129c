"""The task set `grade-school`: word problems in arithmetic from thin seeded generators, for a small instructed model.

Six tasks of one to three steps; `change` and `together` are the hard ones. Stories that share their numbers are one
problem: they are in one split.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import PoiseError
from engine.tasks import prompting
from engine.tasks.interface import Grade, Problem, Split
from engine.tasks.math_answers import quick
from engine.tasks.options import part_weights, refuse_unknown, whole
from engine.tasks.splits import draw

NAME = "grade-school"
INSTRUCTION = "Give a short answer that ends with the number."
PART_WEIGHTS: Mapping[str, float] = {"correct": 1.0, "format": 0.2}
POOL_SIZE = 200
OPTIONS = ("part_weights", "pool_size", "template")

WORDS_AFTER = 3
"""Such as "27 apples left."."""
_LAST = re.compile(r"(?s:.*?)(?P<number>(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?)(?P<after>(?:(?!\d)[\s\S])*)")

PEOPLE = ("Ana", "Ben", "Carla", "Dev", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo")
THINGS = ("apples", "stickers", "marbles", "pencils", "cards", "shells", "books", "coins", "beads", "cookies")
BOXES = ("boxes", "bags", "baskets", "shelves", "jars")


@dataclass(frozen=True)
class Story:
    """A drawn word problem: the question, its answer, and the numbers that make it what it is."""

    question: str
    answer: int
    numbers: tuple[int, ...]


def _total(rng: random.Random) -> Story:
    """Addition: 2 to 99 and 2 to 99."""
    a, b, who, what = rng.randint(2, 99), rng.randint(2, 99), rng.choice(PEOPLE), rng.choice(THINGS)
    told = rng.choice(
        (
            f"{who} has {a} {what} and gets {b} more. How many {what} does {who} have now?",
            f"There are {a} {what} on one table and {b} {what} on another. How many {what} are there in all?",
        )
    )
    return Story(told, a + b, (min(a, b), max(a, b)))


def _left(rng: random.Random) -> Story:
    """Subtraction that leaves at least one."""
    a, who, what = rng.randint(10, 99), rng.choice(PEOPLE), rng.choice(THINGS)
    b = rng.randint(2, a - 1)
    told = rng.choice(
        (
            f"{who} has {a} {what} and gives away {b} of them. How many {what} are left?",
            f"A shop had {a} {what} in the morning and sold {b} during the day. How many {what} does it still have?",
        )
    )
    return Story(told, a - b, (a, b))


def _groups(rng: random.Random) -> Story:
    """Multiplication: 3 to 25 times 3 to 40."""
    a, b, boxes, what = rng.randint(3, 25), rng.randint(3, 40), rng.choice(BOXES), rng.choice(THINGS)
    told = rng.choice(
        (
            f"There are {a} {boxes} with {b} {what} in each. How many {what} are there in total?",
            f"{rng.choice(PEOPLE)} fills {a} {boxes} and puts {b} {what} into each one. How many {what} is that?",
        )
    )
    return Story(told, a * b, (a, b))


def _share(rng: random.Random) -> Story:
    """Division without remainder: by 3 to 25, 3 to 40 each."""
    a, b, boxes, what = rng.randint(3, 25), rng.randint(3, 40), rng.choice(BOXES), rng.choice(THINGS)
    told = rng.choice(
        (
            f"{rng.choice(PEOPLE)} shares {a * b} {what} equally among {a} friends. How many does each friend get?",
            f"{a * b} {what} are packed into {a} {boxes}, the same number in each. How many {what} are in each one?",
        )
    )
    return Story(told, b, (a, b))


def _change(rng: random.Random) -> Story:
    """Two steps: some things at a price, and what is left of a banknote."""
    count, price = rng.randint(2, 12), rng.randint(2, 24)
    note = rng.choice([n for n in (50, 100, 200, 500) if n > count * price])
    who, what = rng.choice(PEOPLE), rng.choice(THINGS)
    told = (
        f"{who} buys {count} {what} for {price} dollars each and pays with {note} dollars. "
        f"How many dollars does {who} get back?"
    )
    return Story(told, note - count * price, (count, price, note))


def _together(rng: random.Random) -> Story:
    """Two or three steps: a multiple, and then both together, some given away."""
    a, times, less = rng.randint(3, 30), rng.randint(2, 5), rng.randint(1, 9)
    (one, two), what = rng.sample(PEOPLE, 2), rng.choice(THINGS)
    told = (
        f"{one} has {a} {what}. {two} has {times} times as many {what} as {one}. Then {two} gives {less} {what} to a "
        f"friend. How many {what} do {one} and {two} have together now?"
    )
    return Story(told, a + times * a - less, (a, times, less))


GENERATORS: Mapping[str, Callable[[random.Random], Story]] = {
    "total": _total,
    "left": _left,
    "groups": _groups,
    "share": _share,
    "change": _change,
    "together": _together,
}


@dataclass(frozen=True)
class GradeSchool:
    """The task set `grade-school`."""

    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))
    pool_size: int = POOL_SIZE
    template: str = "chatml"
    names: tuple[str, ...] = tuple(GENERATORS)
    hard: tuple[str, ...] = ("change", "together")

    @property
    def weights(self) -> dict[str, float]:
        """As the paper weighs six benchmarks (arXiv 2603.23951): 0.2 for each hard task, 0.15 for each other one."""
        return {name: 0.2 if name in self.hard else 0.15 for name in self.names}

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """See `TaskSet.problems`. An id is the task and a hash of the question."""
        if task not in GENERATORS:
            raise PoiseError(f"unknown task {task!r}: use one of {', '.join(GENERATORS)}")

        def make(rng: random.Random) -> tuple[Problem, str]:
            story = GENERATORS[task](rng)
            prompt = prompting.TEMPLATES[self.template](story.question, INSTRUCTION)
            name = f"{task}/{hashlib.sha256(story.question.encode()).hexdigest()[:16]}"
            return Problem(name, task, prompt, str(story.answer)), ",".join(map(str, story.numbers))

        return draw(make, task, split, count, seed)

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """See `TaskSet.grade`. Parts: `correct`, and `format` for a response that ended in time and ends with a number:
        no digit and at most `WORDS_AFTER` words come after it. That number is the answer.
        """
        found = None if truncated else _LAST.fullmatch(completion.rstrip())
        valid = found is not None and len(found["after"].split()) <= WORDS_AFTER
        correct = found is not None and valid and quick(problem.gold, found["number"]) is True
        return Grade({"correct": float(correct), "format": float(valid)}, valid, correct)


def taskset(options: Mapping[str, Any]) -> GradeSchool:
    """The task set from a profile's options.

    part_weights: of `correct` and `format`. pool_size: training problems of each task. template: see
    `engine.tasks.prompting`.

    Raises:
        PoiseError: an option is unknown or has an unusable value.
    """
    refuse_unknown(NAME, options, OPTIONS)
    name = options.get("template", "chatml")
    prompting.template(name, NAME)
    return GradeSchool(
        part_weights(NAME, options, PART_WEIGHTS), whole(NAME, options, "pool_size", POOL_SIZE, 400), name
    )
