"""Archives for the tests of the search: real compositions with drawn scores, and a valid algorithm file."""

from __future__ import annotations

import json
import random
from functools import cache

from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.algorithms.render import render
from engine.search.answers import read_algorithm
from engine.search.composer import compose
from engine.search.context import Request, evidence_block
from engine.search.evidence import Benchmark, Evidence
from engine.search.select import select_round

TASKS = ("add", "chain", "mod", "reverse", "sort", "count")
ROOT_CODE = '"""GRPO."""\n\nfrom engine.contract import Algorithm\n\nalgorithm = Algorithm(name="GRPO")\n'


def scored(
    id: str, parent: str | None, mechanisms: tuple[MechanismChoice, ...] = (), overall: float = 30.0
) -> Evidence:
    """A scored candidate whose tasks all have its Overall, give or take 2."""
    tasks = {t: Benchmark(overall, overall - 2, overall + 2, "pass@4" if t == "add" else "avg@4") for t in TASKS}
    return Evidence(id, f"{id}-GRPO", parent, "scored", mechanisms, overall, tasks)


def choice(name: str, **params: float) -> MechanismChoice:
    """A mechanism of the library."""
    return catalogue()[name].choice(**params)


ROOT = scored("c000", None)


@cache
def archive(seed: int, candidates: int) -> list[Evidence]:
    """What select and compose make of drawn scores, a tenth of them failures. Shared: do not change it."""
    rng = random.Random(f"archive {seed}")
    found = [ROOT]
    for k in range(1, candidates + 1):
        parent = select_round(found, seed=seed, round=k, parents=1)[0].parent
        name, mechanisms = read_algorithm(compose(evidence_block(Request(parent, found, "")), seed * 1000 + k)["code"])
        if rng.random() < 0.1:
            found.append(Evidence(f"c{k:03d}", name, parent, "failed", mechanisms, cause="diverged: loss is nan"))
            continue
        tasks = {t: (v := rng.gauss(30, 4), v - 3, v + 3) for t in TASKS}
        rows = {t: Benchmark(*row, "avg@4") for t, row in tasks.items()}
        overall = sum(b.value for b in rows.values()) / len(rows)
        found.append(Evidence(f"c{k:03d}", name, parent, "scored", mechanisms, overall, rows))
    return found


def answer_text(name: str = "Model-GRPO", mechanism: str = "NoStd", **params: float) -> str:
    """The JSON a well-behaved model returns."""
    hypothesis = f"{mechanism} removes the bias of dividing by the spread, so that hard prompts count."
    code = render(name, hypothesis, [choice(mechanism, **params)])
    return json.dumps({"name": name, "hypothesis": hypothesis, "code": code})
