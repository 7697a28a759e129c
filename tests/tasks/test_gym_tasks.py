"""Puzzles of reasoning-gym: right is all or nothing, whatever its scorers give for garbage."""

import json

import pytest

from engine.errors import PoiseError
from engine.tasks import TaskSet, load_taskset
from engine.tasks.gym_tasks import KNOWN, TASKS, GymTasks
from engine.tasks.splits import SHARES

pytest.importorskip("reasoning_gym", reason="the extra .[tasks] is not installed")

GARBAGE = ["zzz", "0x", "", "-", "1/0", "None", "[]", "9" * 200, "\x00", "True and False", "1 2 3"]


@pytest.mark.parametrize("task", KNOWN)
def test_the_packages_answer_is_right_and_garbage_is_wrong(task: str) -> None:
    tasks = GymTasks(names=(task,), hard=())
    for problem in tasks.problems("train", task, 5, 0):
        answer = json.loads(problem.gold)["answer"]
        if answer is not None:
            assert tasks.grade(problem, f"so \\boxed{{{answer}}}", False).correct
        for text in GARBAGE:
            grade = tasks.grade(problem, f"\\boxed{{{text}}}", False)
            assert not grade.correct and grade.parts["correct"] == 0.0, text


@pytest.mark.parametrize("task", TASKS)
def test_no_problem_is_in_two_splits(task: str) -> None:
    seen = [{p.prompt for p in GymTasks().problems(split, task, 60, 1)} for split in SHARES]
    assert all(len(prompts) == 60 for prompts in seen)
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_a_wrong_answer_that_the_package_pays_a_little_for_earns_nothing() -> None:
    import reasoning_gym

    tasks = GymTasks(names=("fraction_simplification",), hard=())
    problem = tasks.problems("train", "fraction_simplification", 1, 0)[0]
    dataset = reasoning_gym.create_dataset("fraction_simplification", size=1, seed=0)
    assert 0 < dataset.score_answer("7/1234567", json.loads(problem.gold)) < 1
    assert tasks.grade(problem, "\\boxed{7/1234567}", False).parts["correct"] == 0.0


def test_it_is_a_task_set_with_the_papers_weights() -> None:
    tasks = load_taskset("reasoning-gym")
    assert isinstance(tasks, TaskSet)
    assert sum(tasks.weights.values()) == pytest.approx(1.0) and tasks.weights["lcm"] == pytest.approx(0.2)


@pytest.mark.parametrize("options", [{"tasks": ["chess"]}, {"tasks": []}, {"hard": ["gcd", "no"]}, {"x": 1}])
def test_an_unusable_option_is_refused_in_one_line(options: dict[str, object]) -> None:
    with pytest.raises(PoiseError) as caught:
        load_taskset("reasoning-gym", options)
    assert "\n" not in str(caught.value)
