"""What the sandbox costs: a child's start, and a training's speed, with every layer and with none, side by side.

    python -P -m benchmarks.sandbox_overhead [--pairs 5] [--starts 100] [--updates 24]

Both have a fork server of their own; trainings alternate, since a machine's speed drifts. Ratios of processor time are
the figure to go by where other work runs on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from engine.loop.confinement import sandbox_for
from engine.loop.seeds import train_seed
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from engine.sandbox.layers import level
from engine.tasks.grader_client import GraderProcess


def start(job: dict[str, Any]) -> dict[str, Any]:
    """A child that does nothing: called inside it."""
    return {}


async def measure(pairs: int, starts: int, updates: int) -> dict[str, Any]:
    """Both kinds in turns.

    Returns:
        `{"level", "start_ms": {...}, "train_cpu_seconds": {...}, "train_wall_seconds": {...}, ...}`
    """
    profile = load_profile("tiny").resolved()
    profile["train"]["updates"] = updates
    root = Path(tempfile.mkdtemp(prefix="poise-sandbox-"))
    full = sandbox_for(profile, "none", [root], [Path(__file__).parent])
    launchers = {"bare": Launcher(sandbox=None, allow_calls=True), "sandbox": Launcher(sandbox=full, allow_calls=True)}
    servers = {name: await launcher.start() for name, launcher in launchers.items()}
    tasks = profile["tasks"]
    found: dict[str, dict[str, list[float]]] = {key: {"bare": [], "sandbox": []} for key in ("start", "cpu", "wall")}
    with GraderProcess() as grader:
        executors = {
            name: LocalExecutor(launcher, lambda _: grader.connect(tasks["name"], tasks["options"], 1))
            for name, launcher in launchers.items()
        }

        async def run(name: str, id: str, kind: str, **more: Any) -> dict[str, Any]:
            job = {"id": id, "kind": kind, "folder": str(root / name / id), "limits": {}, "profile": profile, **more}
            result = await executors[name].run(job)
            assert result["status"] == "done", result["cause"]
            return result

        for i in range(starts):
            for name in executors:
                result = await run(name, f"start{i}", "call:benchmarks.sandbox_overhead:start")
                found["start"][name].append(1000 * result["wall_seconds"])
        for i in range(pairs):
            for name in sorted(executors, reverse=bool(i % 2)):
                seed = train_seed(0, "search", i)
                result = await run(name, f"train{i}", "train", algorithm=None, seed=seed, off=[], resume=False)
                found["cpu"][name].append(result["cpu_seconds"])
                found["wall"][name].append(result["wall_seconds"])
    for launcher in launchers.values():
        await launcher.close()
    return {
        "level": level(full.layers),
        "fork_server_seconds": servers,
        "start_ms_median": {name: statistics.median(row) for name, row in found["start"].items()},
        "train_cpu_seconds": found["cpu"],
        "train_wall_seconds": found["wall"],
        "cpu_ratio": _ratios(found["cpu"]),
        "wall_ratio": _ratios(found["wall"]),
    }


def _ratios(rows: dict[str, list[float]]) -> dict[str, float]:
    """Sandboxed over bare, pair by pair."""
    each = [inside / bare for inside, bare in zip(rows["sandbox"], rows["bare"], strict=True)]
    return {"median": statistics.median(each), "least": min(each), "most": max(each)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--updates", type=int, default=24)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.pairs, options.starts, options.updates)), indent=1))


if __name__ == "__main__":
    main()
