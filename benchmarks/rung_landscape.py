"""How well an early score tells the final one: real trainings of the tiny profile, scored on their way.

    python -P -m benchmarks.rung_landscape run OUT.jsonl [--seeds 2] [--workers 2]   # about 40 minutes on 2 idle cores
    python -P -m benchmarks.rung_landscape table OUT.jsonl

Resumable: a line a training. The same trainings as a run's: through the launcher, from rung to rung from checkpoints.
Each is scored at every rung with the profile's own figures and with fewer problems, on the same seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.tiny_ranking import ALGORITHMS, ROOT, M, changed, rows, trainings
from engine.algorithms.render import render
from engine.loop.seeds import score_seed, train_seed
from engine.profiles.schema import load_profile

UPDATES = (4, 6, 8, 12, 16, 24)
"""Where a training is scored besides its end."""
SIZES = {"small": (40, 8), "middle": (80, 8), "whole": (120, 16)}
"""Problems of each task and completions of each problem."""
AT_THE_END = ("whole",)
SCORED = ("small", "middle")

MORE = {
    "Gate+NoStd": (M("CorrectnessGate", {}), M("NoStd", {})),
    "Gate+DAPO": (M("CorrectnessGate", {}), M("TokenMean", {}), M("ClipHigher", {})),
    "Mask+NoStd": (M("ValidityMask", {}), M("NoStd", {})),
    "Silence+NoStd": (M("SilenceAllFail", {}), M("NoStd", {})),
    "Silence+TokenMean": (M("SilenceAllFail", {}), M("TokenMean", {})),
    "ClipHigher": (M("ClipHigher", {}),),
    "LeaveOneOut": (M("LeaveOneOut", {}),),
    "MeanScale+Drop": (M("MeanScale", {}), M("DropUniform", {})),
    "Gate+KL x3": (M("CorrectnessGate", {}), M("KlScale", {"factor": 3.0})),
    "Silence+Clip": (M("SilenceAllFail", {}), M("ClipHigher", {})),
}
"""Beside those of `tiny_ranking`, so that the good end has more than three."""


async def run(out: Path, seeds: int, workers: int, changes: dict[str, Any]) -> None:
    """Train and score whatever `out` lacks."""
    profile = changed(load_profile("tiny").resolved(), changes)
    algorithms = {**ALGORITHMS, **MORE}
    done = {(r["name"], r["seed"]) for r in rows(out)}
    work = [(s, n) for s in range(seeds) for n in algorithms if (n, s) not in done]
    async with trainings(profile, "poise-landscape-") as (executor, root):

        async def worker() -> None:
            while work:
                seed, name = work.pop(0)
                folder = root / f"{name.replace(' ', '_').replace('+', '_')}-{seed}"
                folder.mkdir()
                (folder / "algorithm.py").write_text(render(f"{name}-GRPO", name, algorithms[name]))
                row = await trained(folder, name, seed)
                if row is not None:
                    with out.open("a") as f:
                        f.write(json.dumps(row) + "\n")
                    told = " ".join(f"{r['updates']}:{next(iter(r['scores'].values())):.1f}" for r in row["rungs"])
                    print(f"{name} seed {seed}: {told}", flush=True)
                shutil.rmtree(folder)

        async def trained(folder: Path, name: str, seed: int) -> dict[str, Any] | None:
            job = {"id": f"{name}-{seed}", "profile": profile, "limits": {}, "off": [], "run": 0, "folder": str(folder)}
            job |= {"algorithm": str(folder / "algorithm.py"), "seed": train_seed(0, "rank", seed), "kind": "train"}
            found = []
            for until in (*UPDATES, profile["train"]["updates"]):
                result = await executor.run({**job, "until": until, "resume": True})
                if result["status"] != "done":
                    print(f"{name} seed {seed}: {result['cause']}", flush=True)
                    return None
                last = until == profile["train"]["updates"]
                scores, seconds = {}, {}
                for size in AT_THE_END if last else SCORED:
                    scored = await executor.run(_scoring(folder, profile, size, 1.0 if last else until / 1000))
                    if scored["status"] != "done":
                        print(f"{name} seed {seed}: {scored['cause']}", flush=True)
                        return None
                    scores[size], seconds[size] = scored["data"]["overall"], scored["wall_seconds"]
                found.append(
                    {
                        "updates": until,
                        "scores": scores,
                        "score_seconds": seconds,
                        "train_seconds": result["wall_seconds"],
                    }
                )
            return {"name": name, "seed": seed, "rungs": found}

        await asyncio.gather(*(worker() for _ in range(workers)))


def _scoring(folder: Path, profile: dict[str, Any], size: str, label: float) -> dict[str, Any]:
    problems, samples = SIZES[size]
    return {
        "id": f"{folder.name}-score",
        "kind": "score",
        "folder": str(folder / "score"),
        "profile": {**profile, "score": {**profile["score"], "problems": problems, "samples": samples}},
        "limits": {},
        "run": 0,
        "adapter": str(folder / "adapter"),
        "split": "development",
        "score_seed": score_seed(0, "development", label),
    }


def table(out: Path) -> str:
    """Markdown: for each update and size, the rank correlation with the final score, and what is kept of the best."""
    found = rows(out)
    means: dict[str, list[dict[str, Any]]] = {}
    for r in found:
        means.setdefault(r["name"], []).append(r)
    text = f"{len(found)} trainings of {len(means)} algorithms\n\n"
    text += "| updates | size | Spearman, one seed | with the mean over seeds | best 3 in the top quarter | "
    text += "root's std | train s | score s |\n|---|---|---|---|---|---|---|---|\n"
    end = {n: sum(r["rungs"][-1]["scores"]["whole"] for r in rs) / len(rs) for n, rs in means.items()}
    for i, updates in enumerate(UPDATES):
        for size in SCORED:
            one, kept = [], []
            for seed in sorted({r["seed"] for r in found}):
                at = {r["name"]: r["rungs"][i]["scores"][size] for r in found if r["seed"] == seed}
                one.append(float(stats.spearmanr([at[n] for n in at], [end[n] for n in at]).statistic))
                top = sorted(at, key=lambda n: -at[n])[: -(-len(at) // 4)]
                kept.append(sum(n in top for n in sorted(at, key=lambda n: -end[n])[:3]))
            mean = {n: sum(r["rungs"][i]["scores"][size] for r in rs) / len(rs) for n, rs in means.items()}
            both = float(stats.spearmanr([mean[n] for n in end], list(end.values())).statistic)
            spread = [r["rungs"][i]["scores"][size] for r in means.get(ROOT, ())]
            noise = float(stats.tstd(spread)) if len(spread) > 1 else float("nan")
            train = sum(sum(p["train_seconds"] for p in r["rungs"][: i + 1]) for r in found) / len(found)
            score = sum(r["rungs"][i]["score_seconds"][size] for r in found) / len(found)
            text += (
                f"| {updates} | {size} | {sum(one) / len(one):.2f} | {both:.2f} | {sum(kept) / len(kept):.1f} of 3 | "
            )
            text += f"{noise:.1f} | {train:.1f} | {score:.1f} |\n"
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE")
    options = parser.parse_args()
    if options.command == "table":
        print(table(options.file))
        return
    pairs = (setting.split("=", 1) for setting in options.set)
    changes = {k: tomllib.loads(f"v = {v}")["v"] for k, v in pairs}
    asyncio.run(run(options.file, options.seeds, options.workers, changes))


if __name__ == "__main__":
    main()
