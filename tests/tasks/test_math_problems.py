"""The task set `math`: levels and splits of a local file, and what a response earns there and under a control."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoiseError
from engine.tasks import TaskSet, check_taskset, load_taskset
from engine.tasks.controls import grading
from engine.tasks.grader_client import GraderClient, GraderProcess
from engine.tasks.splits import SHARES


def row(i: int, level: int) -> dict[str, Any]:
    return {
        "problem": f"Find the sum of the first {i} odd numbers, level {level}.",
        "solution": f"It is a square: $\\boxed{{{i * i}}}$.",
        "level": f"Level {level}",
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """300 problems of each level, and some that are there twice."""
    rows = [row(i, level) for level in (1, 2, 3, 4, 5) for i in range(1, 301)]
    rows += [{**row(7, 3), "problem": "  find the SUM of the first 7 odd numbers; level 3"}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def tasks_of(data: Path, **options: Any) -> TaskSet:
    return check_taskset("math", {"data": str(data), "examples": 500, **options})


def test_each_level_asked_for_is_a_task(data: Path) -> None:
    tasks = tasks_of(data)
    assert isinstance(tasks, TaskSet)
    assert list(tasks.names) == ["level3", "level4", "level5"] and not tasks.hard
    assert sum(tasks.weights.values()) == pytest.approx(1.0)
    for name in tasks.names:
        problem = tasks.problems("train", name, 1, 0)[0]
        assert f"level {name[-1]}." in problem.prompt and re.fullmatch(rf"{name}/[0-9a-f]{{16}}", problem.id)


def test_the_training_examples_sum_to_what_was_asked_for(data: Path) -> None:
    sizes = tasks_of(data, examples=501).pool_size
    assert isinstance(sizes, dict) and sum(sizes.values()) == 501 and max(sizes.values()) - min(sizes.values()) < 30


def test_no_problem_is_in_two_splits_nor_twice_in_one(data: Path) -> None:
    tasks = tasks_of(data)
    seen: dict[str, set[str]] = {}
    for split in SHARES:
        whole = [p for name in tasks.names for p in tasks.problems(split, name, 5, 0)]
        seen[split] = {" ".join(re.findall(r"\w+", p.prompt.lower())) for p in whole}
        assert len(seen[split]) == 15
    assert not seen["train"] & seen["development"] and not seen["development"] & seen["confirmation"]
    assert sum(tasks.pool_size.values()) == 500  # type: ignore[union-attr]


def test_nine_in_ten_are_for_training(data: Path) -> None:
    with pytest.raises(PoiseError, match=r"have only 8[0-3][0-9] training problems, 900 were asked for"):
        tasks_of(data, examples=900)


def test_without_levels_there_is_one_task(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"question": f"{i} + 1?", "answer": i + 1}) + "\n" for i in range(400)))
    tasks = tasks_of(path, levels=[], examples=300)
    assert list(tasks.names) == ["math"] and tasks.pool_size == {"math": 300}
    problem = tasks.problems("development", "math", 1, 1)[0]
    assert tasks.grade(problem, f"\\boxed{{{problem.gold}}}", False).parts == {"correct": 1.0, "format": 1.0}
    assert tasks.grade(problem, "\\boxed{no idea}", False).parts == {"correct": 0.0, "format": 1.0}
    assert tasks.grade(problem, problem.gold, False).parts == {"correct": 0.0, "format": 0.0}


def test_the_same_seed_draws_the_same_and_a_longer_draw_begins_with_the_shorter(data: Path) -> None:
    tasks = tasks_of(data)
    first = tasks.problems("train", "level4", 60, 3)
    assert first == tasks_of(data).problems("train", "level4", 60, 3)
    assert first[:20] == tasks.problems("train", "level4", 20, 3) != tasks.problems("train", "level4", 20, 4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"data": "/nowhere.jsonl"}, "no data file /nowhere.jsonl"),
        ({"data": "nowhere.jsonl"}, "give the whole path, or ./nowhere.jsonl beside the profile"),
        ({"data": "owner/name"}, "needs a revision"),
        ({"data": 3}, "give a JSONL file"),
        ({"levels": "5"}, "give a list"),
        ({"examples": 0}, "examples"),
        ({"template": "alpaca"}, "template"),
        ({"colour": 1}, "unknown option 'colour'"),
        ({}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_cannot_be_used_is_one_line(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(PoiseError, match=reason) as caught:
        check_taskset("math", options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["math", "grade-school"])
@pytest.mark.parametrize("control", ["random-reward", "shuffled-answers"])
def test_under_a_control_right_answers_earn_what_wrong_ones_do(data: Path, name: str, control: str) -> None:
    tasks = tasks_of(data) if name == "math" else load_taskset(name)
    pool = {p.id: p for task in tasks.names for p in tasks.problems("train", task, 60, 0)}
    grade = grading(control, tasks, pool, seed=3)
    rng = random.Random(1)
    paid: dict[str, list[float]] = {"right": [], "other": [], "none": []}
    for problem in pool.values():
        said = {"right": problem.gold, "other": rng.choice([p.gold for p in pool.values() if p.task == problem.task])}
        pattern = "\\boxed{{{}}}" if name == "math" else "It is {}."
        for kind, text in [*((k, pattern.format(v)) for k, v in said.items()), ("none", "no answer")]:
            found = grade(problem, text, False)
            assert set(found.parts) == {"correct"} and found.valid == (kind != "none")
            paid[kind].append(found.parts["correct"] or 0.0)
    means = {kind: sum(values) / len(values) for kind, values in paid.items()}
    if control == "random-reward":
        assert all(0.35 < mean < 0.65 for mean in means.values()), means
    else:
        assert max(means.values()) < 0.1, "nobody is held against its own answer, nor an equal one"


def test_a_trainer_gets_the_pool_and_its_grades_from_the_grader(data: Path) -> None:
    options = {"data": str(data), "examples": 40}
    with GraderProcess() as process:
        client = GraderClient(process.connect("math", options, 1).detach())
        prompts, weights = client.prompts()
        assert len(prompts) == 40 and weights == {"correct": 1.0, "format": 0.1}
        number = {p["id"]: int(re.findall(r"first (\d+) odd", p["prompt"])[0]) for p in prompts}
        # Half by reading, half by algebra.
        texts = {
            id: f"\\boxed{{{n * n}}}" if i % 2 else f"\\boxed{{\\sqrt{{{n**4}}}}}"
            for i, (id, n) in enumerate(number.items())
        }
        grades = client.grade([{"id": id, "completion": text, "truncated": False} for id, text in texts.items()])
        assert all(grade.correct for grade in grades)
        wrong = client.grade([{"id": id, "completion": "\\boxed{\\sqrt{3}}", "truncated": False} for id in number])
        assert all(grade.valid and not grade.correct for grade in wrong)
