"""The lessons that the shipped model was taught with."""

import random
from itertools import islice

import pytest

from engine.profiles.build_tiny_model import CHARACTERS, SPECIAL, lessons
from engine.tasks import Problem
from engine.tasks.tiny import GENERATORS, TinyTasks
from tests.tasks.test_tiny import TASKS, canonical, solve

IDS = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}
NAMES = {i: token for token, i in IDS.items()}


def taught(careless: bool, count: int) -> list[tuple[Problem, str]]:
    """Problems (gold unknown) and the teacher's responses."""
    tasks = list(GENERATORS)
    found = []
    for at, (tokens, head) in enumerate(islice(lessons(random.Random(1), IDS, careless), count)):
        text = [NAMES[token] for token in tokens]
        found.append((Problem("", tasks[at % len(tasks)], "".join(text[:head]), ""), "".join(text[head:])))
    return found


@pytest.mark.parametrize("split", ["development", "confirmation"])
def test_no_held_out_problem_is_taught_however_it_is_written(split: str) -> None:
    held_out = {(n, canonical(p)) for n in GENERATORS for p in TASKS.problems(split, n, 100, 0)}  # type: ignore[arg-type]
    assert not held_out & {(p.task, canonical(p)) for p, _ in taught(True, 12_000)}


def test_a_careful_answer_is_always_right() -> None:
    for problem, response in taught(False, 3000):
        assert response.endswith("<eos>")
        assert response.removesuffix("<eos>").rpartition("#")[2] == solve(problem)


def test_a_careless_answer_is_often_wrong_sometimes_broken_and_sometimes_endless() -> None:
    tasks, answers = TinyTasks(), taught(True, 6000)
    grades = [
        tasks.grade(Problem("", p.task, p.prompt, solve(p)), text.removesuffix("<eos>"), not text.endswith("<eos>"))
        for p, text in answers
    ]
    assert 0.2 < sum(grade.correct for grade in grades) / len(grades) < 0.45
    assert 0.09 < sum(not grade.valid for grade in grades) / len(grades) < 0.15
    assert 0.03 < sum(grade.parts["brevity"] == 0 for grade in grades) / len(grades) < 0.06
