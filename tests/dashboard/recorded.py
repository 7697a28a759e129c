"""A recorded run: a folder in the real file formats, with fixed times, that no engine runs any more."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.archive.events import Event
from engine.archive.folder import RunFolder

START = 1_790_000_000.0
TASKS = ("add", "sort", "mod", "chain", "mul", "hop")
HOSTILE = "quick\x1b[31m [bold]fix[/] \u202e"


def benchmarks(overall: float) -> dict[str, Any]:
    return {
        t: {
            "metric": "pass@4" if t in ("mul", "hop") else "avg@16",
            "value": overall,
            "n": 120,
            "ci": [overall - 3, overall + 3],
        }
        for t in TASKS
    }


def candidate(node: str, name: str, parent: str | None, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": node,
        "name": name,
        "parent": parent,
        "depth": 0 if parent is None else 1,
        "status": status,
        "cause": None,
        "proposal": {
            "hypothesis": f"{name} keeps work alive.",
            "mechanisms": [{"name": "Gate", "params": {"keep": 0.1}}],
        },
        "code_sha256": "0" * 64,
        "verification": {"passed": True, "checks": [{"name": "loads", "passed": True, "detail": "1 mechanism"}]},
        "overall": None,
        "benchmarks": {},
        "fidelity": 0.0,
        "seeds": [],
        "reflection": None,
        "attribution": None,
        "confirmed": None,
        "cost": {"train_seconds": 20.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "provenance": {"proposer": "composer", "model": "poise/composer"},
        "sandbox": "full",
        "created": START,
        "finished": None,
        "pinned": False,
        "decision": {
            "saw": ["c000"],
            "terms": {"c000": {"performance": 0.5, "diversity": 0.2, "pareto": 1.0, "score": 0.6}},
        },
        **more,
    }


def events(status: str = "finished") -> list[Event]:
    """A short history with one candidate of every interesting kind."""
    found: list[tuple[float, str, str | None, dict[str, Any]]] = []
    run = {
        "id": "recorded",
        "profile": "tiny",
        "status": "running",
        "created": START,
        "seed": 1,
        "directive": None,
        "budget": {"candidates": 5, "hours": None, "usd": None},
        "spent": {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "workers": 2,
        "lag": 4,
        "protocol": "0" * 16,
        "llm": "poise/composer",
        "sandbox": "full",
        "rungs": [{"rung": 0.25, "updates": 12, "seeds": 1}, {"rung": 1.0, "updates": 48, "seeds": 1}],
    }
    found.append((0, "run.created", None, run))
    found.append((0.1, "run.status", None, {"status": "running", "reason": "engine started"}))
    found += scored("c000", "GRPO", None, 52.5, 1, seeds=[52.5, 50.1, 54.9], by_rung=31.0)
    found += scored("c001", "Gate-GRPO", "c000", 79.0, 20, gain=[26.5, 20.5, 32.5, "better"], confirmed=CONFIRMED)
    found.append((41, "candidate.created", "c002", candidate("c002", "Clip-GRPO", "c001", "queued")))
    found += trial("c002", 42, "training")
    found.append((43, "candidate.status", "c002", {"status": "training", "cause": None}))
    found += [metrics("c002", 44 + i / 10, i) for i in range(1, 13)]
    found.append((46, "candidate.created", "c003", candidate("c003", HOSTILE, "c000", "queued")))
    found.append((47, "candidate.status", "c003", {"status": "failed", "cause": "diverged: loss is nan at update 3"}))
    found.append((48, "candidate.created", "c004", candidate("c004", "Pruned-GRPO", "c001", "queued")))
    found.append((49, "steering", "c004", {"command": "prune", "node": "c004", "by": "cli"}))
    found.append((49, "candidate.status", "c004", {"status": "pruned", "cause": "pruned by the user with c004"}))
    found += stopped("c005", "Brevity-GRPO", "c000", 49)
    found.append((50, "log", None, {"level": "warning", "message": "disk is filling"}))
    if status != "running":
        found.append((51, "run.status", None, {"status": status, "reason": "enough"}))
    return [Event(kind, node, data, seq, START + at) for seq, (at, kind, node, data) in enumerate(found, start=1)]


def trial(node: str, at: float, status: str) -> list[tuple[float, str, str | None, dict[str, Any]]]:
    document = {"id": f"{node}-search-0", "candidate": node, "purpose": "search", "status": status, "overall": None}
    return [(at, "trial.created", node, {**document, "seed": 1, "off": [], "rung": 1.0, "steps": 48})]


def metrics(node: str, at: float, step: int) -> tuple[float, str, str | None, dict[str, Any]]:
    point = {
        "step": step,
        "reward": 1.5 + 0.5 * math.sin(step / 5) + step / 50,
        "correct": step / 48,
        "kl": 0.001 * step,
        "entropy": None if step == 5 else 1.0 / step,
        "length": 8.0,
        "grad_norm": 0.3,
        "clip_fraction": 0.01,
    }
    return (at, "trial.metrics", node, {"trial": f"{node}-search-0", "points": [point]})


CONFIRMED = {
    "verdict": "confirmed",
    "study": "confirm-1",
    "line": "gain +26.1 (+22.0 to +30.2) over 4 seeds of each, p 0.0001 below 0.0002",
}


def scored(
    node: str,
    name: str,
    parent: str | None,
    overall: float,
    at: float,
    *,
    seeds: list[float] | None = None,
    by_rung: float | None = None,
    gain: list[Any] | None = None,
    confirmed: dict[str, Any] | None = None,
) -> list[tuple[float, str, str | None, dict[str, Any]]]:
    """Wholly trained; `by_rung` is its Overall after 12 updates."""
    found: list[tuple[float, str, str | None, dict[str, Any]]] = []
    found.append((at, "candidate.created", node, candidate(node, name, parent, "queued")))
    found += trial(node, at, "training")
    found += [metrics(node, at + i / 10, i) for i in range(1, 49)]
    found.append(
        (at + 18, "trial.updated", node, {"trial": f"{node}-search-0", "status": "scored", "overall": overall})
    )
    figures = {"overall": overall, "benchmarks": benchmarks(overall), "reflection": f"## Verdict\n{name} works."}
    early = [] if by_rung is None else [{"rung": 0.25, "updates": 12, "seeds": [1], "overalls": [by_rung]}]
    own = seeds or [overall]
    whole = {"rung": 1.0, "updates": 48, "seeds": list(range(len(own))), "overalls": own}
    result = [] if by_rung is None else [{"rung": 0.25, "overall": by_rung, "benchmarks": benchmarks(by_rung)}]
    figures |= {"rungs": [*early, whole], "result": {"rung": 1.0, "rungs": result}, "gain": _gain(1.0, gain)}
    figures["confirmed"] = confirmed
    found.append((at + 18, "candidate.updated", node, figures))
    found.append((at + 18, "candidate.status", node, {"status": "scored", "cause": None, "finished": START + at + 18}))
    return found


def stopped(node: str, name: str, parent: str, at: float) -> list[tuple[float, str, str | None, dict[str, Any]]]:
    """Judged after 12 updates, and not let on."""
    why = "28.4 at 12 of 48 updates is rank 3 of 3; a chance of 2 % to end in the top quarter"
    figures = {
        "overall": 28.4,
        "benchmarks": benchmarks(28.4),
        "fidelity": 0.25,
        "rungs": [{"rung": 0.25, "updates": 12, "seeds": [1], "overalls": [28.4]}],
        "gain": _gain(0.25, [-2.6, -4.2, -1.0, "worse"]),
        "promotions": [{"rung": 0.25, "promoted": False, "probability": 0.02, "why": why, "by": "rule"}],
    }
    return [
        (at, "candidate.created", node, candidate(node, name, parent, "queued")),
        (at + 0.2, "candidate.updated", node, figures),
        (at + 0.3, "candidate.status", node, {"status": "stopped", "cause": why}),
    ]


def _gain(rung: float, found: list[Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    value, low, high, mark = found
    return {"rung": rung, "value": value, "low": low, "high": high, "mark": mark, "seeds": 1, "root_seeds": 3}


def write(runs: Path, status: str = "finished", name: str = "recorded") -> RunFolder:
    """The folder of the recorded run."""
    folder = RunFolder(runs / name)
    folder.path.mkdir(parents=True)
    folder.config.write_text('id = "recorded"\n')
    folder.events.write_bytes(b"".join(e.line() for e in events(status)))
    sample = {"time": START + 50, "cpu": [40.0, 60.0], "memory_used": 4096, "memory_total": 24000, "engine_rss": 300}
    folder.telemetry.write_text(json.dumps({**sample, "gpus": [], "processes": []}) + "\n")
    for node in ("c000", "c001", "c002", "c003"):
        place = folder.candidate(node)
        place.path.mkdir(parents=True)
        place.algorithm.write_text(
            f'"""{node}."""\n\nfrom engine.contract import Algorithm\n\nalgorithm = Algorithm("X")\n'
        )
        place.reflection.write_text(f"## Verdict\n{node} works.\n")
    samples = folder.trial("c000-search-0")
    samples.path.mkdir(parents=True)
    with samples.samples.open("w") as f:
        for i in range(8):
            row = {
                "step": 4,
                "task": "add",
                "problem": "add/4+5",
                "prompt": "4+5=",
                "completion": f"9#{i}",
                "reward": 1.0,
                "parts": {"correct": float(i == 0), "format": 4.0, "brevity": 0.8},
                "correct": i == 0,
                "valid": True,
                "truncated": False,
                "advantage": 1.5 - i / 4,
                "length": 4,
            }
            f.write(json.dumps(row) + "\n")
    return folder


def screen(app: Any) -> str:
    """What the screen says, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join(s.text for s in strips[:height])[: (width + 1) * height]


async def until(pilot: Pilot[Any], true: Callable[[], bool], why: str) -> None:
    """Let the application work until something holds; fail after many rounds."""
    for _ in range(400):
        if true():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never happened: {why}\n{screen(pilot.app)}")
