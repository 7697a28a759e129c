"""Grade-school word problems: what is drawn, where it belongs, and what a response earns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("%d", True),
        ("The total is %d.", True),
        ("3 and 4, so %d apples in all.", True),
        ("It is \\boxed{%d}", True),
        ("$%d", True),
        ("%d.0", True),
        ("1 + 1 =\n%d\n", True),
        ("%d or rather 1000", False),
        ("1%d", False),
        ("-%d", False),
        ("%d, that is 1", False),
    ],
)
def test_the_number_at_the_end_is_the_answer(answer: str, right: bool) -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    grade = TASKS.grade(problem, answer % int(problem.gold), False)
    assert grade.valid and grade.correct == right
    assert grade.parts == {"correct": float(right), "format": 1.0}


@pytest.mark.parametrize("answer", ["", "twelve", "no idea", "x%d", "%d is what we get when we add them all"])
def test_a_response_that_does_not_end_with_a_number_is_invalid(answer: str) -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    grade = TASKS.grade(problem, answer % int(problem.gold) if "%d" in answer else answer, False)
    assert not grade.valid and not grade.correct and grade.parts == {"correct": 0.0, "format": 0.0}


def test_a_truncated_response_is_invalid_even_with_the_right_answer() -> None:
    problem = TASKS.problems("train", "total", 1, 0)[0]
    assert not TASKS.grade(problem, problem.gold, True).valid


@given(st.text(max_size=200))
def test_any_text_gets_a_grade(text: str) -> None:
    grade = TASKS.grade(TASKS.problems("train", "total", 1, 0)[0], text, False)
    assert grade.valid or not grade.correct


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_prompt_is_the_question_in_the_template_asked_for(template: str) -> None:
    problem = load_taskset("grade-school", {"template": template}).problems("train", "left", 1, 0)[0]
    assert "ends with the number" in problem.prompt and "How many" in problem.prompt
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
