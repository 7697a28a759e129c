"""Grade-school word problems: what is drawn, where it belongs, and what a response earns."""

import re

import pytest

from engine.errors import PoiseError
from engine.tasks import TaskSet, load_taskset
from engine.tasks.grade_school import GENERATORS, GradeSchool
from engine.tasks.prompting import TEMPLATES
from engine.tasks.splits import SHARES

TASKS = GradeSchool()
NAMES = list(GENERATORS)


def solve(task: str, question: str) -> int:
    """An independent way to the answer."""
    numbers = [int(word) for word in re.findall(r"\d+", question)]
    match task:
        case "total":
            return sum(numbers)
        case "left":
            return numbers[0] - numbers[1]
        case "groups":
            return numbers[0] * numbers[1]
        case "share":
            return numbers[0] // numbers[1]
        case "change":
            return numbers[2] - numbers[0] * numbers[1]
        case _:
            return numbers[0] * (1 + numbers[1]) - numbers[2]


def numbers_of(task: str, prompt: str) -> tuple[int, ...]:
    found = list(map(int, re.findall(r"\d+", prompt)))
    return tuple(sorted(found) if task == "total" else found)


@pytest.mark.parametrize("task", NAMES)
def test_gold_is_the_right_answer_and_is_no_part_of_the_id(task: str) -> None:
    for problem in TASKS.problems("train", task, 150, 2):
        assert problem.gold == str(solve(task, problem.prompt))
        assert re.fullmatch(rf"{task}/[0-9a-f]{{16}}", problem.id)


@pytest.mark.parametrize("task", NAMES)
def test_the_same_numbers_are_never_in_two_splits_whatever_the_story(task: str) -> None:
    train, development, confirmation = (
        {numbers_of(task, p.prompt) for seed in range(3) for p in TASKS.problems(split, task, 90, seed)}
        for split in SHARES
    )
    assert not train & development and not train & confirmation and not development & confirmation


@pytest.mark.parametrize("task", NAMES)
def test_the_same_seed_draws_the_same_problems_and_another_seed_others(task: str) -> None:
    first = TASKS.problems("train", task, 40, 7)
    assert len({numbers_of(task, p.prompt) for p in first}) == 40
    assert first == TASKS.problems("train", task, 40, 7)
    assert first != TASKS.problems("train", task, 40, 8)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("The total is \\boxed{%d}.", True),
        ("\\boxed{3} no, \\boxed{%d} apples", True),
        ("so \\boxed{%d \\text{ apples}}", True),
        ("$\\boxed{ %d }$", True),
        ("\\boxed{%d.0}", True),
        ("\\boxed{%d} or rather \\boxed{1000}", False),
        ("\\boxed{1%d}", False),
        ("\\boxed{%d+0}", False),
        ("\\boxed{1, %d}", False),
    ],
)
def test_the_last_box_holds_the_answer(answer: str, right: bool) -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    grade = TASKS.grade(problem, answer % int(problem.gold), False)
    assert grade.valid and grade.correct == right
    assert grade.parts == {"correct": float(right), "format": 1.0}


@pytest.mark.parametrize("answer", ["%d", "The answer is %d", "\\boxed{%d", "\\boxed{}", "boxed{%d}"])
def test_without_a_closed_box_a_response_is_invalid(answer: str) -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    grade = TASKS.grade(problem, answer % int(problem.gold) if "%d" in answer else answer, False)
    assert not grade.valid and not grade.correct and grade.parts == {"correct": 0.0, "format": 0.0}


def test_a_truncated_response_is_invalid_even_with_the_right_answer() -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    assert not TASKS.grade(problem, f"\\boxed{{{problem.gold}}}", True).valid


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_prompt_is_the_question_in_the_template_asked_for(template: str) -> None:
    problem = load_taskset("grade-school", {"template": template}).problems("train", "left", 1, 0)[0]
    assert "\\boxed{}" in problem.prompt and "How many" in problem.prompt
    assert ("<|im_start|>assistant\n" in problem.prompt) == (template != "none")


def test_it_is_a_task_set_whose_weights_are_the_papers() -> None:
    tasks = load_taskset("grade-school")
    assert isinstance(tasks, TaskSet)
    assert sum(tasks.weights.values()) == pytest.approx(1.0)
    assert [tasks.weights[name] for name in tasks.hard] == [0.2, 0.2]


@pytest.mark.parametrize(
    "options", [{"pool": 3}, {"pool_size": 0}, {"template": "llama"}, {"part_weights": {"luck": 1}}]
)
def test_an_unusable_option_is_refused_in_one_line(options: dict[str, object]) -> None:
    with pytest.raises(PoiseError) as caught:
        load_taskset("grade-school", options)
    assert "\n" not in str(caught.value)
