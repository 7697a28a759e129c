"""A user's own tasks, in one file."""

from pathlib import Path

import pytest

from engine.errors import PoiseError
from engine.tasks import load_taskset

OWN = """
from engine.tasks.interface import Grade, Problem

class Echo:
    names = ("echo",)
    hard = ()
    weights = {"echo": 1.0}
    part_weights = {"correct": 2.0}
    pool_size = 3
    def problems(self, split, task, count, seed):
        return [Problem(f"echo/{i}", "echo", f"{i}=", str(i)) for i in range(count)]
    def grade(self, problem, completion, truncated):
        right = completion == problem.gold
        return Grade({"correct": float(right)}, True, right)

def taskset(options):
    return Echo()
"""


def test_a_file_with_a_taskset_function_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "echo.py"
    path.write_text(OWN)
    tasks = load_taskset(str(path))
    assert tasks.grade(tasks.problems("train", "echo", 1, 0)[0], "0", False).correct


def test_a_dotted_module_is_loaded() -> None:
    assert load_taskset("engine.tasks.tiny", {"pool_size": 2}).pool_size == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "no function taskset"),
        ("def taskset(options): return 3", "did not return a task set"),
        ("def taskset(options): return options['a']", "KeyError"),
        ("def taskset(:", "SyntaxError"),
        ("import no_such_thing", "no module 'no_such_thing'"),
    ],
)
def test_a_broken_task_file_says_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(PoiseError, match=reason):
        load_taskset(str(path))


@pytest.mark.parametrize("name", ["no_such_tasks", "nowhere/tasks.py"])
def test_missing_tasks_are_named(name: str) -> None:
    with pytest.raises(PoiseError, match=name):
        load_taskset(name)
