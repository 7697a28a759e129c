"""The lessons that the shipped model was taught with."""

import random
from itertools import cycle, islice

import pytest

from engine.tasks import Problem
from engine.tasks.tiny import GENERATORS, TinyTasks
from engine.tasks.tiny_teacher import taught
from tests.tasks.test_tiny import TASKS, canonical, solve


def answers(careless: bool, count: int) -> list[tuple[Problem, str, bool]]:
    """Problems (gold unknown), the teacher's responses, and whether they end."""
    given = islice(zip(cycle(GENERATORS), taught(random.Random(1), careless)), count)
    return [(Problem("", task, prompt, ""), response, ends) for task, (prompt, response, ends) in given]


@pytest.mark.parametrize("split", ["development", "confirmation"])
def test_no_held_out_problem_is_taught_however_it_is_written(split: str) -> None:
    held_out = {(n, canonical(p)) for n in GENERATORS for p in TASKS.problems(split, n, 100, 0)}  # type: ignore[arg-type]
    assert not held_out & {(p.task, canonical(p)) for p, _, _ in answers(True, 12_000)}


def test_a_careful_answer_is_always_right() -> None:
    for problem, response, ends in answers(False, 3000):
        assert ends
        assert response.rpartition("#")[2] == solve(problem)


def test_a_careless_answer_is_often_wrong_sometimes_broken_and_sometimes_endless() -> None:
    tasks = TinyTasks()
    grades = [
        tasks.grade(Problem("", p.task, p.prompt, solve(p)), text, not ends) for p, text, ends in answers(True, 6000)
    ]
    assert 0.2 < sum(grade.correct for grade in grades) / len(grades) < 0.45
    assert 0.09 < sum(not grade.valid for grade in grades) / len(grades) < 0.15
    assert 0.03 < sum(grade.parts["brevity"] == 0 for grade in grades) / len(grades) < 0.06
