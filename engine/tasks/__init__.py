"""Tasks: problems with a gold answer, and the process that grades completions."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import Exit, PoiseError
from engine.tasks.interface import Grade, Problem, Split, TaskSet

__all__ = ["SHIPPED", "Grade", "Problem", "Split", "TaskSet", "check_taskset", "load_taskset"]

SHIPPED: Mapping[str, str] = {
    "tiny": "engine.tasks.tiny",
    "grade-school": "engine.tasks.grade_school",
    "math": "engine.tasks.math_problems",
    "math-benchmarks": "engine.tasks.benchmarks",
    "reasoning-gym": "engine.tasks.gym_tasks",
}
"""Task sets that come with the program, by name: the module of each."""


def load_taskset(name: str, options: Mapping[str, Any] | None = None) -> TaskSet:
    """The task set called `name`: one of `SHIPPED`, a dotted module, or a path to a `.py` file with `taskset(options)`.

    Raises:
        PoiseError: it is not there, does not load, or is no task set.
    """
    module = _module(SHIPPED.get(name, name))
    make = getattr(module, "taskset", None)
    if not callable(make):
        raise PoiseError(f"tasks {name!r} have no function taskset(options): add one that returns the task set")
    try:
        made = make(dict(options or {}))
    except PoiseError:
        raise
    except Exception as error:
        raise PoiseError(f"tasks {name!r}: taskset(options) failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, TaskSet):
        raise PoiseError(f"tasks {name!r}: taskset(options) did not return a task set (see engine/tasks/interface.py)")
    return made


def check_taskset(name: str, options: Mapping[str, Any] | None = None) -> TaskSet:
    """The task set, once all that it needs is there.

    Raises:
        PoiseError: as `load_taskset`, or what is missing.
    """
    tasks = load_taskset(name, options)
    if callable(ready := getattr(tasks, "ready", None)):
        ready()
    return tasks


def _module(name: str) -> ModuleType:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        path = Path(name)
        if not path.is_file():
            raise PoiseError(f"no task file {name!r}: check the path", Exit.NOT_FOUND)
        spec = importlib.util.spec_from_file_location(f"poise_tasks_{path.stem}", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except PoiseError:
        raise
    except ModuleNotFoundError as error:
        raise PoiseError(f"tasks {name!r} do not load: no module {error.name!r}", Exit.NOT_FOUND) from error
    except Exception as error:
        raise PoiseError(f"tasks {name!r} do not load: {type(error).__name__}: {error}") from error
