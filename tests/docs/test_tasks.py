"""The worked example of docs/tasks.md is run: it trains, with its own rewards, and its options table is true."""

import re
from pathlib import Path
from typing import Any

import pytest

from engine.tasks import SHIPPED, TaskSet, load_taskset
from engine.tasks.grader_client import GraderClient, GraderProcess
from tests.docs.commands import ROOT

TEXT = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "tasks.py").write_text(code)
    return str(tmp_path / "tasks.py")


def test_the_example_is_a_task_set(path: str) -> None:
    tasks = load_taskset(path)
    assert isinstance(tasks, TaskSet)
    assert sum(tasks.weights.values()) == pytest.approx(1.0)
    train, held_out = (tasks.problems(split, "short", 60, 0) for split in ("train", "development"))  # type: ignore[arg-type]
    assert not {p.prompt for p in train} & {p.prompt for p in held_out}
    assert all(p.gold == p.prompt.removesuffix(":")[::-1] for p in train)


@pytest.mark.parametrize(
    ("response", "truncated", "parts"),
    [
        ("|cba|", False, {"correct": 1.0, "format": 1.0, "brief": 1.0}),
        ("a b c then |cba|", False, {"correct": 1.0, "format": 1.0, "brief": 0.45}),
        ("|abc|", False, {"correct": 0.0, "format": 1.0, "brief": None}),
        ("|cba", False, {"correct": 0.0, "format": 0.0, "brief": None}),
        ("|cba|", True, {"correct": 0.0, "format": 0.0, "brief": None}),
        ("|cba|!", False, {"correct": 0.0, "format": 0.0, "brief": None}),
    ],
)
def test_the_example_pays_what_it_says(
    path: str, response: str, truncated: bool, parts: dict[str, float | None]
) -> None:
    from engine.tasks import Problem

    grade = load_taskset(path).grade(Problem("short/abc", "short", "abc:", "cba"), response, truncated)
    assert grade.parts == {k: v if v is None else pytest.approx(v) for k, v in parts.items()}
    assert (grade.valid, grade.correct) == (parts["format"] == 1.0, parts["correct"] == 1.0)


def test_a_grader_serves_the_example(path: str) -> None:
    with GraderProcess() as process:
        client = GraderClient(process.connect(path, {}, 1).detach())
        prompts, weights = client.prompts()
        assert len(prompts) == 100 and weights == {"correct": 1.0, "format": 0.1, "brief": 0.2}
        items: list[Any] = [
            {"id": p["id"], "completion": f"|{p['prompt'][-2::-1]}|", "truncated": False} for p in prompts
        ]
        assert all(grade.correct for grade in client.grade(items))


def test_the_table_names_every_task_set_and_every_option() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| (.*?) \|$", TEXT, re.MULTILINE))
    assert set(rows) == set(SHIPPED)
    for name, told in rows.items():
        with pytest.raises(Exception, match="unknown option") as caught:
            load_taskset(name, {"no such option": 1})
        listed = str(caught.value).rpartition(": use ")[2]
        assert set(re.findall(r"`(\w+)`", told)) == set(re.findall(r"\w+", listed)), name
