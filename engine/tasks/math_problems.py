"""The task set `math`: problems of the MATH training set (arXiv 2103.03874) by level, or a user's own of that form.

The six benchmarks are no part of it: see `engine.tasks.benchmarks`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import PoiseError
from engine.tasks import prompting
from engine.tasks.interface import Grade, Problem, Split
from engine.tasks.math_grading import grade_boxed
from engine.tasks.options import part_weights, refuse_unknown, whole
from engine.tasks.sources import Hub, Row, read_hub, read_jsonl
from engine.tasks.splits import check_split, split_of

NAME = "math"
MATH_TRAIN = Hub("DigitalLearningGmbH/MATH-lighteval", "0530c78699ea5e8eb5530600900e1f328b48acad", "train")
"""7,500 problems, 5,586 of them of levels 3 to 5."""
LEVELS = (3, 4, 5)
EXAMPLES = 5000
SHARES: Mapping[Split, int] = {"train": 90, "development": 5, "confirmation": 5}
"""Percent; 5,586 problems leave the paper's 5,000 for training."""
PART_WEIGHTS: Mapping[str, float] = {"correct": 1.0, "format": 0.1}
OPTIONS = ("data", "revision", "levels", "examples", "part_weights", "template")


@dataclass(frozen=True)
class MathProblems:
    """The task set `math`: a task for each level, all scored by avg@n."""

    source: Path | Hub = MATH_TRAIN
    levels: tuple[int, ...] = LEVELS
    examples: int = EXAMPLES
    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))
    template: str = "qwen-boxed"
    hard: tuple[str, ...] = ()
    outside: bool = True
    """Data and judge are not in the sandbox: the grader process serves the scorer too."""

    @property
    def names(self) -> tuple[str, ...]:
        """`level3` and so on; without levels one task, `math`."""
        return tuple(f"level{level}" for level in self.levels) or (NAME,)

    @property
    def weights(self) -> dict[str, float]:
        """Every task counts the same."""
        return dict.fromkeys(self.names, 1 / len(self.names))

    @property
    def pool_size(self) -> dict[str, int]:
        """The training examples, shared out by what each level has.

        Raises:
            PoiseError: there are fewer than were asked for.
        """
        sizes = {name: len(self._rows[name, "train"]) for name in self.names}
        total = sum(sizes.values())
        if total < self.examples:
            raise PoiseError(
                f"tasks {NAME!r} have only {total} training problems, {self.examples} were asked for: lower `examples`"
            )
        # The largest remainders get the last ones, so that they sum to what was asked for.
        exact = {name: self.examples * size / total for name, size in sizes.items()}
        shared = {name: int(part) for name, part in exact.items()}
        for name in sorted(sizes, key=lambda n: shared[n] - exact[n])[: self.examples - sum(shared.values())]:
            shared[name] += 1
        return shared

    def ready(self) -> None:
        """Read the data, fetching them if need be.

        Raises:
            PoiseError: they are not there, or too few.
        """
        assert self.pool_size

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """See `TaskSet.problems`. An id is the task and a hash of the question."""
        check_split(split)
        if task not in self.names:
            raise PoiseError(f"unknown task {task!r}: use one of {', '.join(self.names)}")
        rows = list(self._rows[task, split])
        if len(rows) < count:
            raise PoiseError(
                f"task {task!r} has only {len(rows)} {split} problems, {count} were asked for: ask for fewer"
            )
        random.Random(f"{task}:{split}:{seed}").shuffle(rows)
        return [self._problem(task, row) for row in rows[:count]]

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """See `TaskSet.grade`. Parts: `correct`, and `format` for a boxed answer in a response that was not cut off."""
        return grade_boxed(problem.gold, completion, truncated)

    def _problem(self, task: str, row: Row) -> Problem:
        prompt = prompting.TEMPLATES[self.template](row.question, prompting.BOXED)
        return Problem(f"{task}/{hashlib.sha256(row.question.encode()).hexdigest()[:16]}", task, prompt, row.gold)

    @cached_property
    def _rows(self) -> dict[tuple[str, Split], list[Row]]:
        rows = read_hub(self.source) if isinstance(self.source, Hub) else read_jsonl(self.source)
        found: dict[tuple[str, Split], list[Row]] = {(name, split): [] for name in self.names for split in SHARES}
        seen = set()
        for row in rows:
            same = canonical(row.question)
            task = f"level{row.level}" if self.levels else NAME
            if same not in seen and task in self.names:
                found[task, split_of(NAME, same, SHARES)].append(row)
            seen.add(same)
        return found


def canonical(question: str) -> str:
    """Equal for questions that differ in case, spacing or punctuation alone."""
    return " ".join(re.findall(r"\w+", question.lower()))


def taskset(options: Mapping[str, Any]) -> MathProblems:
    """The task set from a profile's options.

    data: a JSONL file (see `engine.tasks.sources.read_jsonl`), or the name of a hub's data set with its `revision`.
    levels: those wanted; an empty list takes all and makes one task of them.
    examples: for training, in all. part_weights: of `correct` and `format`. template: see `engine.tasks.prompting`.

    Raises:
        PoiseError: an option is unknown or has an unusable value.
    """
    refuse_unknown(NAME, options, OPTIONS)
    levels = options.get("levels", list(LEVELS))
    if not isinstance(levels, list) or not all(type(level) is int and 0 <= level <= 99 for level in levels):
        raise PoiseError(f"levels of tasks {NAME!r} is {levels!r}: give a list of whole numbers, such as [3, 4, 5]")
    name = options.get("template", "qwen-boxed")
    prompting.template(name, NAME)
    return MathProblems(
        source_of(options),
        tuple(sorted(set(levels))),
        whole(NAME, options, "examples", EXAMPLES, 1_000_000),
        part_weights(NAME, options, PART_WEIGHTS),
        name,
    )


def source_of(options: Mapping[str, Any]) -> Path | Hub:
    """What `data` and `revision` name."""
    data, revision = options.get("data"), options.get("revision")
    if data is None and revision is None:
        return MATH_TRAIN
    if not isinstance(data, str) or not data:
        raise PoiseError(
            f"data of tasks {NAME!r} is {data!r}: give a JSONL file, or a data set of the hub with its revision"
        )
    if data.endswith(".jsonl"):
        path = Path(data).expanduser()
        if not path.is_absolute():
            raise PoiseError(f"data of tasks {NAME!r} is {data!r}: give the whole path, or ./{data} beside the profile")
        return path
    if not isinstance(revision, str):
        raise PoiseError(
            f"data of tasks {NAME!r} is {data!r}: a data set of the hub needs a revision, a local file ends in .jsonl"
        )
    return Hub(data, revision, "train")
