"""The six benchmarks of the paper (arXiv 2603.23951), as the task set `math-benchmarks`: for confirmation alone.

Each comes from a local folder of JSONL files (`<name>.jsonl`), or from the hub at a pinned revision. How many rows a
set has is checked: sets of the same name differ (AMC has 83 here, the set called AMC23 has 40).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import PoiseError
from engine.tasks import load_taskset, prompting
from engine.tasks.interface import Grade, Problem, Split, of_task
from engine.tasks.math_grading import grade_boxed
from engine.tasks.math_problems import PART_WEIGHTS
from engine.tasks.options import part_weights, refuse_unknown
from engine.tasks.sources import Hub, Row, read_hub, read_jsonl
from engine.tasks.splits import check_split

NAME = "math-benchmarks"
SAMPLES = 32
MOST_TOKENS = 4096
OPTIONS = ("folder", "part_weights", "template")


@dataclass(frozen=True)
class Benchmark:
    """One of the six.

    Attributes:
        title: as the paper calls it.
        rows: how many questions it has.
        hub: where it lies on the hub.
        hub_rows: how many it has there, where that differs.
        weight: in Overall.
        hard: scored by pass@k of samples, else by one greedy answer.
    """

    title: str
    rows: int
    hub: Hub
    weight: float = 0.15
    hard: bool = False
    hub_rows: int | None = None


BENCHMARKS: Mapping[str, Benchmark] = {
    "aime24": Benchmark(
        "AIME24", 30, Hub("math-ai/aime24", "83a7f387baaa524a8bda0022eac0541582297103", "test"), 0.2, True
    ),
    "aime25": Benchmark(
        "AIME25", 30, Hub("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "test"), 0.2, True
    ),
    "amc": Benchmark(
        "AMC", 83, Hub("AI-MO/aimo-validation-amc", "69d78a4a2c840e82d69af6bc742bda09005f6316", "train"), hard=True
    ),
    "math500": Benchmark(
        "MATH500", 500, Hub("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "test")
    ),
    "minerva": Benchmark(
        "Minerva", 272, Hub("math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96", "test")
    ),
    "olympiadbench": Benchmark(
        "Olympiad",
        675,
        Hub("math-ai/olympiadbench", "4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84", "test"),
        hub_rows=674,
    ),
}
"""Weights of Overall: 0.2 for each AIME, 0.15 for each other one."""
WEIGHTS: Mapping[str, float] = {name: benchmark.weight for name, benchmark in BENCHMARKS.items()}

GSM8K = Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", "test", "main")
"""1,319 grade-school problems; no part of Overall. Read with `engine.tasks.sources.read_hub`."""


def read_benchmark(name: str, folder: Path | None = None) -> list[Row]:
    """The questions of a benchmark.

    Args:
        folder: with `<name>.jsonl` in it; None takes the hub's, which is fetched once.

    Raises:
        PoiseError: no such benchmark, it is not there, or has another number of rows than it should.
    """
    if name not in BENCHMARKS:
        raise PoiseError(f"no benchmark {name!r}: use one of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    if folder is not None:
        place, rows, wanted = str(folder / f"{name}.jsonl"), read_jsonl(folder / f"{name}.jsonl"), benchmark.rows
    else:
        place, rows, wanted = benchmark.hub.name, read_hub(benchmark.hub), benchmark.hub_rows or benchmark.rows
    if len(rows) != wanted:
        raise PoiseError(f"{place} has {len(rows)} rows and {benchmark.title} has {wanted}: it is another set, or cut")
    return rows


def on_benchmarks(profile: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A profile that scores on the six as the paper does: pass@32 at temperature 1 for AIME and AMC, one greedy answer
    for the others, 4,096 tokens.

    Args:
        profile: resolved; model, template and limits stay.
        folder: of the JSONL files; "" takes the hub's.

    Raises:
        PoiseError: a benchmark is not there.
    """
    template = profile["tasks"].get("options", {}).get("template")
    options = ({"folder": str(Path(folder).absolute())} if folder else {}) | (
        {"template": template} if template else {}
    )
    taskset(options).ready()
    score = {
        **profile["score"],
        "problems": {name: len(_read(name, Path(options["folder"]) if folder else None)) for name in BENCHMARKS},
        "samples": {name: SAMPLES if benchmark.hard else 1 for name, benchmark in BENCHMARKS.items()},
        "k": SAMPLES,
        "temperature": {name: 1.0 if benchmark.hard else 0.0 for name, benchmark in BENCHMARKS.items()},
        "max_completion_length": MOST_TOKENS,
    }
    more = _tokens(score, tuple(BENCHMARKS)) / _tokens(profile["score"], load_taskset(**profile["tasks"]).names)
    limits = {**profile["limits"], "score_seconds": profile["limits"]["score_seconds"] * max(1.0, more)}
    return {**profile, "tasks": {"name": NAME, "options": options}, "score": score, "limits": limits}


def _tokens(score: Mapping[str, Any], tasks: Sequence[str]) -> int:
    """What a scoring generates at most."""
    samples = sum(of_task(score["problems"], task) * of_task(score["samples"], task) for task in tasks)
    return int(samples * score["max_completion_length"])


@dataclass(frozen=True)
class MathBenchmarks:
    """The task set `math-benchmarks`."""

    folder: Path | None = None
    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))
    template: str = "qwen-boxed"
    names: tuple[str, ...] = tuple(BENCHMARKS)
    hard: tuple[str, ...] = tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.hard)
    pool_size: int = 0
    outside: bool = True

    @property
    def weights(self) -> dict[str, float]:
        """See `WEIGHTS`."""
        return dict(WEIGHTS)

    def ready(self) -> None:
        """Read all six, fetching them if need be.

        Raises:
            PoiseError: one is not there, or is not what it should be.
        """
        for name in self.names:
            _read(name, self.folder)

    def problems(self, split: Split, task: str, count: int, seed: int) -> list[Problem]:
        """See `TaskSet.problems`; with `count` at its number of rows a benchmark is taken whole.

        Raises:
            PoiseError: too few, or a split other than confirmation: nothing may be chosen by these problems.
        """
        check_split(split)
        if split != "confirmation":
            raise PoiseError(f"the benchmarks are for confirmation alone: no {split} problems are taken from them")
        rows = list(_read(task, self.folder))
        if len(rows) < count:
            raise PoiseError(f"benchmark {task!r} has {len(rows)} problems, {count} were asked for: ask for fewer")
        random.Random(f"{task}:{seed}").shuffle(rows)
        return [self._problem(task, row) for row in rows[:count]]

    def grade(self, problem: Problem, completion: str, truncated: bool) -> Grade:
        """See `TaskSet.grade`; the grader is that of the training."""
        return grade_boxed(problem.gold, completion, truncated)

    def _problem(self, task: str, row: Row) -> Problem:
        prompt = prompting.TEMPLATES[self.template](row.question, prompting.BOXED)
        return Problem(f"{task}/{hashlib.sha256(row.question.encode()).hexdigest()[:16]}", task, prompt, row.gold)


@cache
def _read(name: str, folder: Path | None) -> tuple[Row, ...]:
    return tuple(read_benchmark(name, folder))


def taskset(options: Mapping[str, Any]) -> MathBenchmarks:
    """The task set from its options.

    folder: with the six JSONL files; without it they come from the hub. part_weights and template: as in `math`.

    Raises:
        PoiseError: an option is unknown or has an unusable value.
    """
    refuse_unknown(NAME, options, OPTIONS)
    folder, template = options.get("folder"), options.get("template", "qwen-boxed")
    if folder is not None and not (isinstance(folder, str) and Path(folder).expanduser().is_dir()):
        raise PoiseError(f"folder of tasks {NAME!r} is {folder!r}: give a folder with {', '.join(BENCHMARKS)}.jsonl")
    prompting.template(template, NAME)
    place = None if folder is None else Path(folder).expanduser()
    return MathBenchmarks(place, part_weights(NAME, options, PART_WEIGHTS), template)
