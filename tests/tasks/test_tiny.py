"""The six tasks: what is drawn, where it belongs, and what a response earns."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PoiseError
from engine.tasks import Problem, TaskSet, load_taskset
from engine.tasks.splits import SHARES, split_of
from engine.tasks.tiny import GENERATORS, HOPS, MAX_LENGTH, TinyTasks

TASKS = TinyTasks()
SPLITS = list(SHARES)
NAMES = list(GENERATORS)
ALPHABET = "0123456789+-*%=,#:sh"


def solve(problem: Problem) -> str:
    """An independent way to the answer."""
    body = problem.prompt.removesuffix("=")
    if problem.task == "sort":
        return "".join(sorted(body[1:]))
    if problem.task == "hop":
        table, cell = body[1:].split(":")
        path = cell
        for _ in range(HOPS):
            path += table[int(path[-1])]
        return path[-2:]
    return str(eval(body, {"__builtins__": {}}))


def canonical(problem: Problem) -> str:
    """Equal for two prompts that are one problem: same operands, in any order the operation allows."""
    body = problem.prompt.removesuffix("=")
    if problem.task in ("add", "mul"):
        return str(sorted(map(int, body.replace("*", "+").split("+"))))
    if problem.task == "sort":
        return "".join(sorted(body[1:]))
    if problem.task == "chain":
        return str(sorted(body.replace("-", "+-").split("+")))
    return body


@pytest.mark.parametrize("task", NAMES)
def test_the_same_seed_draws_the_same_problems_and_another_seed_others(task: str) -> None:
    first = TASKS.problems("train", task, 50, 7)
    assert first == TASKS.problems("train", task, 50, 7)
    assert first != TASKS.problems("train", task, 50, 8)


@pytest.mark.parametrize("task", NAMES)
def test_a_longer_draw_begins_with_the_shorter_one(task: str) -> None:
    assert TASKS.problems("development", task, 40, 3)[:15] == TASKS.problems("development", task, 15, 3)


@pytest.mark.parametrize("task", NAMES)
def test_no_problem_is_in_two_splits_however_it_is_written(task: str) -> None:
    seen = {split: {canonical(p) for s in range(6) for p in TASKS.problems(split, task, 100, s)} for split in SPLITS}
    assert not seen["train"] & seen["development"]
    assert not seen["train"] & seen["confirmation"]
    assert not seen["development"] & seen["confirmation"]


@pytest.mark.parametrize("task", NAMES)
def test_problems_of_one_draw_are_all_different(task: str) -> None:
    drawn = TASKS.problems("train", task, 120, 1)
    assert len({canonical(p) for p in drawn}) == len({p.id for p in drawn}) == 120


@pytest.mark.parametrize("task", NAMES)
def test_gold_is_the_right_answer_and_is_no_part_of_the_id(task: str) -> None:
    for problem in TASKS.problems("train", task, 120, 2):
        assert problem.gold == solve(problem)
        assert problem.id == f"{task}/{problem.prompt.removesuffix('=')}"


@pytest.mark.parametrize("task", NAMES)
def test_the_splits_have_their_shares_of_the_problems(task: str) -> None:
    rng = random.Random(0)
    forms = {GENERATORS[task](rng).canonical for _ in range(4000)}
    for split, share in SHARES.items():
        part = sum(split_of(task, form) == split for form in forms) / len(forms)
        assert abs(part - share / 100) < 0.06


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_holds_enough_problems_for_a_large_scoring(split: str) -> None:
    for task in NAMES:
        assert len(TASKS.problems(split, task, 100, 0)) == 100  # type: ignore[arg-type]


def test_asking_for_more_problems_than_there_are_says_how_many_there_are() -> None:
    with pytest.raises(PoiseError, match=r"'mul' has only \d+ development problems, 400"):
        TASKS.problems("development", "mul", 400, 0)


@pytest.mark.parametrize(("split", "task"), [("test", "add"), ("train", "div")])
def test_an_unknown_split_or_task_is_named(split: str, task: str) -> None:
    with pytest.raises(PoiseError, match="unknown"):
        TASKS.problems(split, task, 1, 0)  # type: ignore[arg-type]


@given(st.sampled_from(NAMES), st.text(ALPHABET.replace("#", ""), max_size=14), st.integers(0, 50))
def test_a_right_answer_earns_everything_with_or_without_work(task: str, work: str, seed: int) -> None:
    problem = TASKS.problems("train", task, 1, seed)[0]
    grade = TASKS.grade(problem, f"{work}#{problem.gold}", False)
    assert grade.valid and grade.correct
    assert grade.parts["correct"] == 1.0 and grade.parts["format"] == 4.0


@given(st.sampled_from(NAMES), st.one_of(st.text(max_size=30), st.text(ALPHABET, max_size=30)), st.booleans())
def test_any_text_gets_a_grade_within_its_scales(task: str, text: str, truncated: bool) -> None:
    problem = TASKS.problems("train", task, 1, 0)[0]
    grade = TASKS.grade(problem, text, truncated)
    assert set(grade.parts) == set(TASKS.part_weights)
    assert grade.parts["correct"] == float(grade.correct)
    assert grade.parts["format"] in range(5) and 0 <= (grade.parts["brevity"] or 0) <= 1
    assert grade.valid == (grade.parts["format"] == 4)
    assert not (grade.correct and not grade.valid)
    assert not (truncated and grade.valid)


@given(st.text(ALPHABET, max_size=MAX_LENGTH - 2), st.sampled_from(ALPHABET))
def test_a_longer_response_never_earns_more_brevity(text: str, more: str) -> None:
    problem = TASKS.problems("train", "add", 1, 0)[0]
    shorter, longer = (TASKS.grade(problem, t, False).parts["brevity"] for t in (text, text + more))
    assert shorter is not None and longer is not None and shorter > longer


@pytest.mark.parametrize(
    ("response", "points"),
    [
        ("85", 3),
        ("5,8#", 2),
        ("5,8#85#85", 3),
        ("5,8#8,5", 3),
        ("#1234567", 3),
        ("", 1),
        ("#\u0665", 3),
        ("#-5", 3),
    ],
)
def test_a_broken_format_keeps_the_points_it_has(response: str, points: int) -> None:
    problem = Problem("add/47+38", "add", "47+38=", "85")
    grade = TASKS.grade(problem, response, False)
    assert not grade.valid and not grade.correct
    assert grade.parts["format"] == points


def test_a_truncated_response_is_invalid_even_with_the_right_answer() -> None:
    grade = TASKS.grade(Problem("add/47+38", "add", "47+38=", "85"), "#85", True)
    assert not grade.valid and not grade.correct and grade.parts["brevity"] == 0.0


def test_the_tiny_tasks_are_a_task_set_and_their_overall_weights_sum_to_one() -> None:
    tasks = load_taskset("tiny")
    assert isinstance(tasks, TaskSet)
    assert sum(tasks.weights.values()) == pytest.approx(1.0)
    assert [tasks.weights[name] for name in tasks.hard] == [0.2, 0.2]


def test_options_change_single_weights_and_the_pool() -> None:
    tasks = load_taskset("tiny", {"part_weights": {"brevity": 0.05}, "pool_size": 5})
    assert tasks.part_weights["brevity"] == 0.05
    assert tasks.part_weights["correct"] == TASKS.part_weights["correct"]
    assert tasks.pool_size == 5


@pytest.mark.parametrize(
    "options",
    [
        {"pool": 3},
        {"pool_size": 0},
        {"pool_size": "9"},
        {"part_weights": {"luck": 1}},
        {"part_weights": {"format": "x"}},
    ],
)
def test_an_unusable_option_is_refused_in_one_line(options: dict[str, object]) -> None:
    with pytest.raises(PoiseError) as caught:
        load_taskset("tiny", options)
    assert "\n" not in str(caught.value)
