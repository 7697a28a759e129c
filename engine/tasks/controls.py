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
        return Shuffled(tasks, problems, rng)
    raise PoiseError(f"no such control: {control}; there are {', '.join(CONTROLS)}")


class Shuffled:
    """Holds completions against another problem's answer.

    Only a valid response can hit one, so validity would be learned from: an invalid one is taken for a hit as often as
    valid ones of its task have hit so far.
    """

    def __init__(self, tasks: TaskSet, problems: Mapping[str, Problem], rng: random.Random) -> None:
        self._tasks = tasks
        self._others = shuffled(problems, rng)
        self._rng = rng
        self._hits: dict[str, tuple[int, int]] = {}

    def __call__(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """The grade; `valid` is the task's own."""
        grade = self._tasks.grade(replace(problem, gold=self._others[problem.id]), completion, truncated)
        hits, valid = self._hits.get(problem.task, (0, 0))
        if grade.valid:
            self._hits[problem.task] = (hits + grade.correct, valid + 1)
            right = grade.correct
        else:
            right = self._rng.random() < (hits / valid if valid else 0.0)
        return Grade({"correct": float(right)}, grade.valid, right)


def shuffled(problems: Mapping[str, Problem], rng: random.Random) -> dict[str, str]:
    """For every problem's id the answer of another problem of its task, never one that happens to be its own.

    That needs a task in which no answer is that of more than half the problems; what is left over there has no answer.
    """
    found: dict[str, str] = {}
    for task in sorted({problem.task for problem in problems.values()}):
        own = [problem for problem in problems.values() if problem.task == task]
        golds = [problem.gold for problem in own]
        rng.shuffle(golds)
        for i, problem in enumerate(own):
            if golds[i] == problem.gold:
                fit = [j for j, other in enumerate(own) if golds[j] != problem.gold and golds[i] != other.gold]
                if fit:
                    j = rng.choice(fit)
                    golds[i], golds[j] = golds[j], golds[i]
        found |= {p.id: gold if gold != p.gold else "" for p, gold in zip(own, golds, strict=True)}
    return found


def _coin(grade: Grade, rng: random.Random) -> Grade:
    right = rng.random() < 0.5
    return Grade({"correct": float(right)}, grade.valid, right)
