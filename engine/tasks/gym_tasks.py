r"""The task set `reasoning-gym`: seeded puzzles of the package of that name (extra `.[tasks]`), answers in `\boxed{}`.

Its scorers give some wrong answers a little, 0.01 or 0.05, and some raise on garbage: here an answer is right when it
earns everything, else wrong.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import PoiseError
from engine.tasks import prompting
from engine.tasks.interface import Grade, Problem, Split
from engine.tasks.math_answers import last_box
from engine.tasks.options import part_weights, refuse_unknown, whole
from engine.tasks.splits import draw

NAME = "reasoning-gym"
INSTRUCTION = "Think step by step, then put nothing but the final answer in \\boxed{}."
PART_WEIGHTS: Mapping[str, float] = {"correct": 1.0, "format": 0.2}
POOL_SIZE = 200
TASKS = ("chain_sum", "basic_arithmetic", "gcd", "simple_equations", "lcm", "products")
HARD = ("lcm", "products")
KNOWN = (
    *TASKS,
    *(
        "base_conversion",
        "binary_alternation",
        "calendar_arithmetic",
        "count_bits",
        "countdown",
        "fraction_simplification",
    ),
    *("leg_counting", "letter_counting", "number_sequence", "power_function", "prime_factorization"),
    *("propositional_logic", "spell_backward"),
)
"""Those whose scorers were tried: the answer earns 1, and what is put through JSON still does."""
OPTIONS = ("hard", "part_weights", "pool_size", "tasks", "template")


@dataclass(frozen=True)
class GymTasks:
    """The task set `reasoning-gym`."""

    names: tuple[str, ...] = TASKS
    hard: tuple[str, ...] = HARD
    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))
    pool_size: int = POOL_SIZE
    template: str = "chatml"

    @property
    def weights(self) -> dict[str, float]:
        """A hard task counts as 0.2 to 0.15 of another one, as in the paper (arXiv 2603.23951)."""
        each = {name: 0.2 if name in self.hard else 0.15 for name in self.names}
        return {name: weight / sum(each.values()) for name, weight in each.items()}

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """See `TaskSet.problems`. The gold is the package's own entry, as JSON."""
        if task not in self.names:
            raise PoiseError(f"unknown task {task!r}: use one of {', '.join(self.names)}")
        gym = _package()

        def make(rng: random.Random) -> tuple[Problem, str]:
            entry = gym.create_dataset(task, size=1, seed=rng.getrandbits(31))[0]
            prompt = prompting.TEMPLATES[self.template](entry["question"], INSTRUCTION)
            name = f"{task}/{hashlib.sha256(entry['question'].encode()).hexdigest()[:16]}"
            return Problem(name, task, prompt, json.dumps(entry, default=str)), entry["question"]

        return draw(make, task, split, count, seed)

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """See `TaskSet.grade`. Parts: `correct`, and `format` for a boxed answer in a response that was not cut off."""
        answer = None if truncated else last_box(completion)
        correct = answer is not None and self._score(problem, answer) >= 1.0
        parts = {"correct": float(correct), "format": float(answer is not None)}
        return Grade(parts, answer is not None, correct)

    @staticmethod
    def _score(problem: Problem, answer: str) -> float:
        try:
            entry = json.loads(problem.gold)
            return float(_package().create_dataset(problem.task, size=1, seed=0).score_answer(answer, entry))
        except PoiseError:
            raise
        except Exception:  # the package's scorers raise on some garbage
            return 0.0


def _package() -> Any:
    try:
        return importlib.import_module("reasoning_gym")
    except ModuleNotFoundError as error:
        raise PoiseError(f"tasks {NAME!r} need the package reasoning-gym: pip install 'poise-tui[tasks]'") from error


def taskset(options: Mapping[str, Any]) -> GymTasks:
    """The task set from a profile's options.

    tasks: names of the package's, of `KNOWN`. hard: those of them scored by pass@k. part_weights: of `correct` and
    `format`. pool_size: training problems of each task. template: see `engine.tasks.prompting`.

    Raises:
        PoiseError: an option is unknown or has an unusable value, or the package is not installed.
    """
    refuse_unknown(NAME, options, OPTIONS)
    names = _names(options, "tasks", TASKS, KNOWN)
    hard = _names(options, "hard", tuple(name for name in HARD if name in names), names)
    template = options.get("template", "chatml")
    prompting.template(template, NAME)
    _package()
    weights = part_weights(NAME, options, PART_WEIGHTS)
    return GymTasks(names, hard, weights, whole(NAME, options, "pool_size", POOL_SIZE, 2000), template)


def _names(options: Mapping[str, Any], key: str, default: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    given = options.get(key, list(default))
    if not isinstance(given, list) or not all(name in known for name in given) or (key == "tasks" and not given):
        raise PoiseError(f"{key} of tasks {NAME!r} is {given!r}: give a list of {', '.join(known)}")
    return tuple(dict.fromkeys(given))
