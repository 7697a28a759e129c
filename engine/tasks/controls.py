"""Controls: rewards that hold no information, chosen by the engine, so that nothing can be learned from them.

Under a control there is one reward part, `correct`, 0 or 1: what a task pays for form would be learned from honestly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from engine.errors import PoiseError
from engine.tasks.interface import Grade, Problem, TaskSet

CONTROLS: Mapping[str, str] = {
    "random-reward": "each completion is right by the toss of a coin",
    "shuffled-answers": "each completion is held against the answer of another problem of its task",
}
PARTS = {"correct": 1.0}

Grading = Callable[[Problem, str, bool], Grade]


def grading(control: str | None, tasks: TaskSet, problems: Mapping[str, Problem], seed: int) -> Grading:
    """How completions are graded.

    Args:
        control: a name of `CONTROLS`, or None for the tasks' own grades.
        problems: all that are served, by id.
        seed: of the coin and of the shuffling.

    Raises:
        PoiseError: no such control.
    """
    if control is None:
        return tasks.grade
    rng = random.Random(f"{control}:{seed}")
    if control == "random-reward":
        return lambda problem, completion, truncated: _coin(tasks.grade(problem, completion, truncated), rng)
    if control == "shuffled-answers":
        others = shuffled(problems, rng)
        return lambda problem, completion, truncated: _correct_alone(
            tasks.grade(replace(problem, gold=others[problem.id]), completion, truncated)
        )
    raise PoiseError(f"no such control: {control}; there are {', '.join(CONTROLS)}")


def shuffled(problems: Mapping[str, Problem], rng: random.Random) -> dict[str, str]:
    """For every problem's id the answer of another problem of its task (of itself where a task has just one)."""
    found: dict[str, str] = {}
    for task in sorted({problem.task for problem in problems.values()}):
        own = [problem for problem in problems.values() if problem.task == task]
        rng.shuffle(own)
        found |= {problem.id: other.gold for problem, other in zip(own, [*own[1:], own[0]], strict=True)}
    return found


def _coin(grade: Grade, rng: random.Random) -> Grade:
    right = rng.random() < 0.5
    return Grade({"correct": float(right)}, grade.valid, right)


def _correct_alone(grade: Grade) -> Grade:
    return Grade({"correct": float(grade.correct)}, grade.valid, grade.correct)
