"""Held-out problems and their grades: from the task set itself, or from the grader process.

A task set that says `outside = True` needs files or processes that the sandbox does not have: its problems and grades
come through the job's connection to the grader, as in a training, and the answers never enter the scorer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.tasks import Grade, Problem, TaskSet
from engine.tasks.grader_client import GraderClient, Item
from engine.tasks.interface import of_task

AT_ONCE = 256
"""Completions of one request to the grader."""

Responses = Sequence[Sequence[tuple[str, bool]]]
"""For each problem its responses: text, and whether it was cut off."""


class HeldOut(Protocol):
    """Where problems and grades come from."""

    def problems(self, task: str) -> list[Problem]:
        """The problems of a task that are scored."""

    def grade(self, problems: Sequence[Problem], responses: Responses) -> list[list[Grade]]:
        """A grade for every response, problem by problem."""


class Inside:
    """The task set in this process."""

    def __init__(self, job: Mapping[str, Any], tasks: TaskSet) -> None:
        self._job, self._tasks = job, tasks

    def problems(self, task: str) -> list[Problem]:
        """See `HeldOut`."""
        count = of_task(self._job["profile"]["score"]["problems"], task)
        return self._tasks.problems(self._job["split"], task, count, self._job["score_seed"])

    def grade(self, problems: Sequence[Problem], responses: Responses) -> list[list[Grade]]:
        """See `HeldOut`."""
        return [
            [self._tasks.grade(problem, text, cut) for text, cut in group]
            for problem, group in zip(problems, responses, strict=True)
        ]


class ByGrader:
    """The grader at the other end of a socket."""

    def __init__(self, fd: int) -> None:
        self._client = GraderClient(fd)
        self._problems: dict[str, list[Problem]] = {}
        for prompt in self._client.prompts()[0]:
            problem = Problem(prompt["id"], prompt["task"], prompt["prompt"], "")
            self._problems.setdefault(problem.task, []).append(problem)

    def problems(self, task: str) -> list[Problem]:
        """See `HeldOut`; without the answers."""
        return self._problems[task]

    def grade(self, problems: Sequence[Problem], responses: Responses) -> list[list[Grade]]:
        """See `HeldOut`."""
        items: list[Item] = [
            {"id": problem.id, "completion": text, "truncated": cut}
            for problem, group in zip(problems, responses, strict=True)
            for text, cut in group
        ]
        grades: list[Grade] = []
        for first in range(0, len(items), AT_ONCE):
            grades += self._client.grade(items[first : first + AT_ONCE])
        rest = iter(grades)
        return [[next(rest) for _ in group] for group in responses]


def held_out(job: Mapping[str, Any], tasks: TaskSet) -> HeldOut:
    """Where a score job gets its problems from."""
    return ByGrader(job["grader_fd"]) if job.get("grader_fd") is not None else Inside(job, tasks)
