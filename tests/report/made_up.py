"""A run that never took place: documents made up to test how a report shows them, written through the archive itself.

The scores are drawn from a seeded generator; gains, verdicts and attributions come from `engine.stats`, to fit them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

from engine.algorithms.recipes import recipes
from engine.archive.events import Event
from engine.archive.folder import RunFolder, create_run
from engine.archive.store import Archive, Change
from engine.profiles.schema import load_profile
from engine.stats.attribution import attribute
from engine.stats.confirm import Plan, judge
from engine.stats.noise import gain

Document = dict[str, Any]
RUNGS = ((4 / 48, 4), (0.25, 12), (1.0, 48))
LEVEL, NOISE = (30.0, 33.0, 50.0), (1.0, 1.8, 3.0)
TASKS = ("add", "sort", "mul")
MECHANISMS: tuple[Document, ...] = (
    {"name": "ClipHigher", "params": {"low": 0.2, "high": 0.28}},
    {"name": "SilenceAllFail", "params": {"factor": 0.0}},
    {"name": "TokenMean", "params": {}},
    {"name": "SoftOverlong", "params": {"band": 0.25}},
)
WINNER, LOSER, UNCLEAR = "c005", "c002", "c004"
FAILED, DUPLICATE, REFUSED = "c007", "c009", "c011"


def make_run(runs: Path, name: str = "made-up", *, count: int = 20, seed: int = 1, **fields: Any) -> RunFolder:
    """A run of `count` candidates and three at random, with rungs, a confirmation and an ablation.

    Args:
        fields: of the run's document, to replace ours.
    """
    folder, luck = create_run(runs, name), Random(seed)
    profile = load_profile("tiny").resolved()
    config = {
        "id": name,
        "created": 1.7e9,
        "seed": 7,
        "candidates": count,
        "workers": 2,
        "lag": 4,
        "llm": "poise/composer",
    }
    folder.config.write_text(tomli_w.dumps({**config, "directive": "", "controls": 3, "profile": profile}))
    folder.knowledge.write_text("# Knowledge\n\n## Helps\n- SilenceAllFail: **+5.2** ± 1.1 (8 trainings)\n")
    run = {
        "id": name, "profile": "tiny", "status": "finished", "created": 1.7e9, "seed": 7, "directive": None,
        "budget": {"candidates": count, "hours": None, "gpu_hours": None, "usd": None}, "reserved": None,
        "spent": {"wall_seconds": 1500.0, "gpu_seconds": 0.0, "llm_usd": 0.25}, "workers": 2, "lag": 4,
        "protocol": "0123456789abcdef", "llm": "poise/composer", "sandbox": "full",
        "rungs": [{"rung": rung, "updates": updates} for rung, updates in RUNGS], "studies": [], **fields,
    }  # fmt: skip
    trials = [_trial("c000", "search" if i == 0 else "baseline", i, _scores(luck, 0.0)) for i in range(6)]
    candidates = [_candidate("c000", "GRPO", None, 0, trials, trials, [])]
    for index in range(1, count + 1):
        node = f"c{index:03d}"
        parent = candidates[luck.randrange(index)] if index > 3 else candidates[0]
        own = _trained(luck, node, "search", 9.0 if node == WINNER else luck.gauss(0.0, 2.0))
        trials += own
        mechanisms = [dict(m) for m in (MECHANISMS if node == WINNER else luck.sample(MECHANISMS, luck.randint(1, 3)))]
        parent = parent if parent["depth"] < 5 and parent["rungs"] else candidates[0]
        candidates.append(_candidate(node, f"Variant-{index}", parent, index, own, trials[:6], mechanisms))
    for index in range(1, 4):
        own = _trained(luck, f"r{index:03d}", "control", luck.gauss(0.0, 2.0))
        trials += own
        candidates.append(
            _candidate(
                f"r{index:03d}", f"Random-{index}", candidates[0], 5 * index, own, trials[:6], [dict(MECHANISMS[index])]
            )
        )
    by_id = {c["id"]: c for c in candidates}
    by_id[FAILED] |= {
        "status": "failed",
        "cause": "the loss is not finite at update 17",
        "overall": None,
        "rungs": [],
        "gain": None,
    }
    by_id[DUPLICATE] |= {"status": "duplicate", "cause": "equal to c002", "overall": None, "rungs": [], "gain": None}
    by_id[REFUSED] |= {
        "status": "infeasible",
        "cause": "no mechanism is inert: TokenMean",
        "overall": None,
        "rungs": [],
        "gain": None,
    }
    if not fields.get("studies"):
        run["studies"] = [_confirm(luck, by_id, trials), _ablate(luck, by_id[WINNER], trials)]
    write(folder, run, candidates, trials)
    for trial in [t for t in trials if t["purpose"] in ("search", "baseline")]:
        _curve(folder, trial, luck)
    for candidate in candidates:
        path = folder.candidate(candidate["id"]).algorithm
        path.parent.mkdir()
        path.write_text(recipes()["DAPO"].file())
    return folder


def write(folder: RunFolder, run: Document, candidates: Iterable[Document], trials: Iterable[Document]) -> None:
    """Every document through the archive, one commit each."""
    archive = Archive.open(folder.archive)
    archive.commit([Change("run", run["id"], run)], [Event("run.created", None, run)])
    for candidate in candidates:
        change = Change("candidates", candidate["id"], candidate)
        archive.commit([change], [Event("candidate.created", candidate["id"], candidate)])
    for trial in trials:
        archive.commit([Change("trials", trial["id"], trial)], [Event("trial.created", trial["candidate"], trial)])
    archive.close()


def _scores(luck: Random, better: float, upto: int = len(RUNGS)) -> list[tuple[float, int, float]]:
    """(rung, updates, Overall) of one training; a true gain shows only little at an early rung."""
    return [
        (rung, updates, luck.gauss(LEVEL[i] + better * (0.1, 0.4, 1.0)[i], NOISE[i]))
        for i, (rung, updates) in enumerate(RUNGS[:upto])
    ]


def _trained(luck: Random, node: str, purpose: str, better: float) -> list[Document]:
    upto = 3 if node in (WINNER, LOSER, UNCLEAR) else luck.choice((1, 1, 2, 3))
    seeds = 4 if node == WINNER else 2 if upto == 3 else 1
    return [_trial(node, purpose, i, _scores(luck, better, upto)) for i in range(seeds)]


def _benchmarks(overall: float) -> Document:
    return {
        task: {"metric": "avg@8", "value": overall + i, "n": 40, "ci": [overall + i - 4, overall + i + 4]}
        for i, task in enumerate(TASKS)
    }


def _trial(node: str, purpose: str, index: int, scores: list[tuple[float, int, float]], **fields: Any) -> Document:
    rung, updates, overall = scores[-1]
    return {
        "id": f"{node}-{purpose}-{index}", "candidate": node, "purpose": purpose, "seed": 1000 + index, "off": [],
        "rung": rung, "rungs": [{"rung": r, "updates": u, "overall": o, "standard_error": 1.0} for r, u, o in scores],
        "split": "development", "overall": overall, "benchmarks": _benchmarks(overall), "protocol": "0123456789abcdef",
        "cost": {"train_seconds": 0.8 * updates, "score_seconds": 2.0 * len(scores), "gpu_seconds": 0.0},
        "status": "scored" if rung == 1.0 else "stopped", "starts": 1, **fields,
    }  # fmt: skip


def _candidate(
    node: str,
    name: str,
    parent: Document | None,
    index: int,
    own: list[Document],
    root: list[Document],
    mechanisms: list[Document],
) -> Document:
    at: dict[float, Document] = {}
    for trial in own:
        for r in trial["rungs"]:
            entry = at.setdefault(r["rung"], {"rung": r["rung"], "updates": r["updates"], "seeds": [], "overalls": []})
            entry["seeds"].append(trial["seed"])
            entry["overalls"].append(r["overall"])
    last = list(at.values())[-1]
    there = [r["overall"] for t in root for r in t["rungs"] if r["rung"] == last["rung"]]
    found = None if parent is None else gain(last["overalls"], there)
    overall = sum(last["overalls"]) / len(last["overalls"])
    why = f"{overall:.1f} at {last['updates']} of 48 updates is rank 9 of 14; a chance of 8 % to end in the top quarter"
    stopped = last["rung"] < 1.0
    return {
        "id": node, "name": name, "parent": parent["id"] if parent else None,
        "depth": parent["depth"] + 1 if parent else 0,
        "arm": "control" if node.startswith("r") else "search", "status": "stopped" if stopped else "scored",
        "cause": f"stopped: {why}" if stopped else None,
        "proposal": {"hypothesis": "It is made up to be shown.", "mechanisms": mechanisms},
        "code_sha256": "0" * 64, "verification": None, "overall": overall, "benchmarks": _benchmarks(overall),
        "fidelity": last["rung"], "rungs": list(at.values()), "seeds": last["seeds"],
        "gain": None if found is None else {"rung": last["rung"], **asdict(found)},
        "promotions": [{"rung": last["rung"], "promoted": False, "probability": 0.1, "why": why, "by": "rule"}]
        * stopped,
        "reflection": None, "attribution": None, "confirmed": None, "flags": [], "sandbox": "full", "pinned": False,
        "cost": {"train_seconds": sum(t["cost"]["train_seconds"] for t in own), "gpu_seconds": 0.0, "llm_usd": 0.01},
        "provenance": {"proposer": "composer", "model": "poise/composer"}, "created": 1.7e9 + index,
        "finished": 1.7e9 + 60 * index, "decision": None,
    }  # fmt: skip


def _confirm(luck: Random, by_id: dict[str, Document], trials: list[Document]) -> Document:
    """Ten fresh seeds of the root, of a better one, a worse one and one in between."""
    plan = Plan((4, 7, 10), 0.0133)
    better = {WINNER: 9.0, UNCLEAR: 1.5, LOSER: -1.0}
    own = {node: [luck.gauss(LEVEL[2] + b, NOISE[2]) for _ in range(10)] for node, b in {"c000": 0.0, **better}.items()}
    for node, scores in own.items():
        trials += [
            _trial(node, "confirm", 100 + i, [(1.0, 48, o)], study="confirm-1", split="confirmation")
            for i, o in enumerate(scores)
        ]
    judged: Document = {}
    for node in better:
        looks = []
        for look, seeds in enumerate(plan.looks):
            looks.append(asdict(judge(own[node][:seeds], own["c000"][:seeds], plan, look)))
            if looks[-1]["verdict"] != "continue":
                break
        judged[node], last = looks, looks[-1]
        by_id[node]["confirmed"] = {
            **{k: last[k] for k in ("verdict", "gain", "low", "high", "p", "nominal", "seeds", "power", "line")},
            "study": "confirm-1", "root_seeds": last["seeds"], "alpha": plan.alpha, "looks": looks,
            "bootstrap": {"low": last["low"] + 0.5, "high": last["high"] - 0.5},
        }  # fmt: skip
    return {
        "id": "confirm-1", "number": 1, "kind": "confirm", "nodes": list(better), "by": "end of the search",
        "status": "done", "cause": None, "created": 1.7e9, "finished": 1.7e9, "split": "confirmation", "seeds": 10,
        "looks": list(plan.looks),
        "arms": [{"candidate": node, "off": []} for node in own], "alpha": dict.fromkeys(better, plan.alpha), "look": 2,
        "judged": judged, "dropped": {},
    }  # fmt: skip


def _ablate(luck: Random, candidate: Document, trials: list[Document]) -> Document:
    """All subsets of the winner's mechanisms, four seeds each."""
    names = [m["name"] for m in candidate["proposal"]["mechanisms"]]
    worth = dict(zip(names, (0.0, 8.0, -3.0, 1.0), strict=True))
    subsets = [frozenset(on) for size in range(len(names) + 1) for on in combinations(names, size)]
    arms = {on: [luck.gauss(LEVEL[2] + sum(worth[m] for m in on), 1.5) for _ in range(4)] for on in subsets}
    for number, (on, scores) in enumerate(arms.items()):
        off, node = [m for m in names if m not in on], candidate["id"] if on else "c000"
        trials += [
            _trial(node, "ablate", 20000 + 100 * i + number, [(1.0, 48, o)], study="ablate-2", off=off if on else [])
            for i, o in enumerate(scores)
        ]
    by_task = dict.fromkeys(TASKS, arms)
    found = attribute(names, arms, by_task, margin=1.5)
    candidate["attribution"] = {
        "study": "ablate-2", "margin": 1.5, "seconds": 2600.0, "line": "SilenceAllFail pays, TokenMean is harmful",
        "mechanisms": [
            asdict(one) | {"shapley": {"value": one.shapley.effect, "low": one.shapley.low, "high": one.shapley.high}}
            for one in found
            if one.shapley
        ],
        "subsets": [{"on": sorted(on), "mean": sum(s) / 4, "std": 1.5, "n": 4} for on, s in arms.items()],
    }  # fmt: skip
    return {
        "id": "ablate-2", "number": 2, "kind": "ablate", "nodes": [candidate["id"]], "by": "user", "status": "done",
        "cause": None, "created": 1.7e9, "finished": 1.7e9, "split": "confirmation", "seeds": 4, "looks": [4],
        "alpha": {},
        "arms": [{"candidate": candidate["id"], "off": []}], "look": 0, "judged": {}, "dropped": {},
    }  # fmt: skip


def _curve(folder: RunFolder, trial: Document, luck: Random) -> None:
    """A metrics.jsonl as long as the training."""
    path = folder.trial(trial["id"]).metrics
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for step in range(1, trial["rungs"][-1]["updates"] + 1):
            rise = 1 - math.exp(-step / 20)
            point = {
                "step": step, "reward": 2 + rise + luck.gauss(0, 0.05), "correct": 0.2 + 0.5 * rise, "kl": 0.1 * rise,
                "entropy": 1 - 0.6 * rise + luck.gauss(0, 0.03), "length": 9 - 2 * rise, "grad_norm": None,
            }  # fmt: skip
            file.write(json.dumps(point) + "\n")
