"""Rank library algorithms on the tiny profile by real trainings, over seeds: the source of docs/profiles.md.

    python -m benchmarks.tiny_ranking run OUT.jsonl [--seeds 8] [--only NAME ...] [--workers 2] [--set train.beta=0.1]
    python -m benchmarks.tiny_ranking table OUT.jsonl

Resumable: a line a training, those that are there are not repeated. Uses the engine's own launcher, grader and scorer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from scipy import stats

from engine.algorithms.catalogue import MechanismChoice
from engine.algorithms.render import render
from engine.loop.confinement import sandbox_for
from engine.loop.seeds import score_seed, train_seed
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderProcess

M = MechanismChoice
ROOT = "GRPO"
ALGORITHMS: dict[str, tuple[MechanismChoice, ...]] = {
    ROOT: (),
    "Dr.GRPO": (M("NoStd", {}), M("ConstantLength", {})),
    "NoStd": (M("NoStd", {}),),
    "RLOO": (M("NoStd", {}), M("LeaveOneOut", {})),
    "BatchStd": (M("BatchStd", {}),),
    "FlooredStd": (M("FlooredStd", {"sigma_min": 0.4}),),
    "MaxRL": (M("MeanScale", {}),),
    "TokenMean": (M("TokenMean", {}),),
    "DAPO": (M("TokenMean", {}), M("ClipHigher", {}), M("DropUniform", {})),
    "GSPO": (M("SequenceRatio", {}), M("SequenceClip", {})),
    "CISPO": (M("ClippedWeight", {}), M("TokenMean", {})),
    "SAPO": (M("SoftGate", {}),),
    "GDPO": (M("PartNormalization", {}),),
    "ValidityMask": (M("ValidityMask", {}),),
    "CorrectnessGate": (M("CorrectnessGate", {}),),
    "Gate+DropUniform": (M("CorrectnessGate", {}), M("DropUniform", {})),
    "Gate+NoStd+TokenMean": (M("CorrectnessGate", {}), M("NoStd", {}), M("TokenMean", {})),
    "SilenceAllFail": (M("SilenceAllFail", {}),),
    "DropUniform": (M("DropUniform", {}),),
    "InvalidPenalty": (M("InvalidPenalty", {"penalty": 0.5}),),
    "NegativeWeight 0.25": (M("NegativeWeight", {"factor": 0.25}),),
    "NegativeWeight 2": (M("NegativeWeight", {"factor": 2.0}),),
    "EntropyBonus x10": (M("EntropyBonusScale", {"factor": 10.0}),),
    "Narrow sequence clip": (M("SequenceClip", {}),),
    "GDPO+TokenMean": (M("PartNormalization", {}), M("TokenMean", {})),
    "Gate+TopEntropy": (M("CorrectnessGate", {}), M("TopEntropyTokens", {})),
    "KL x3": (M("KlScale", {"factor": 3.0}),),
    "SoftOverlong 50 %": (M("SoftOverlong", {"band": 0.5}),),
    "SolvedLength 0.4": (M("SolvedLengthPenalty", {"weight": 0.4}),),
    "TopEntropy 20 %": (M("TopEntropyTokens", {}),),
}


@asynccontextmanager
async def trainings(profile: dict[str, Any], prefix: str) -> AsyncIterator[tuple[LocalExecutor, Path]]:
    """An executor with a grader for trainings of a profile, and a folder for them that is removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix=prefix))
    launcher = Launcher(sandbox=sandbox_for(profile, "none", [root]))
    grader = GraderProcess()
    tasks = profile["tasks"]
    try:
        yield (
            LocalExecutor(
                launcher, lambda job: grader.connect(tasks["name"], tasks["options"], train_seed(job["run"], "pool", 0))
            ),
            root,
        )
    finally:
        await launcher.close()
        grader.close()
        shutil.rmtree(root, ignore_errors=True)


async def run(out: Path, seeds: list[int], only: list[str], workers: int, changes: dict[str, Any]) -> None:
    """Train and score whatever `out` lacks."""
    profile = changed(load_profile("tiny").resolved(), changes)
    label = json.dumps(changes, sort_keys=True)
    done = {(r["name"], r["seed"], r["changes"]) for r in rows(out)}
    work = [(s, n) for s in seeds for n in (only or ALGORITHMS) if (n, s, label) not in done]
    async with trainings(profile, "poise-ranking-") as (executor, root):

        async def worker() -> None:
            while work:
                seed, name = work.pop(0)
                folder = root / f"{name.replace(' ', '_').replace('+', '_')}-{seed}"
                folder.mkdir()
                file = folder / "algorithm.py"
                file.write_text(render(f"{name}-GRPO", name, ALGORITHMS[name]))
                job = {"id": f"{name}-{seed}", "profile": profile, "limits": {}, "off": [], "run": 0, "resume": False}
                trained = await executor.run(
                    {
                        **job,
                        "kind": "train",
                        "folder": str(folder),
                        "algorithm": str(file),
                        "seed": train_seed(0, "rank", seed),
                    }
                )
                scored = await executor.run(
                    {
                        **job,
                        "kind": "score",
                        "folder": str(folder / "score"),
                        "adapter": str(folder / "adapter"),
                        "split": "development",
                        "score_seed": score_seed(0, "development", 1.0),
                    }
                )
                if trained["status"] != "done" or scored["status"] != "done":
                    print(f"{name} seed {seed}: {trained['cause'] or scored['cause']}", flush=True)
                    continue
                last = (folder / "metrics.jsonl").read_text().splitlines()[-1]
                row = {
                    "name": name,
                    "seed": seed,
                    "changes": label,
                    "overall": scored["data"]["overall"],
                    "tasks": {k: b["value"] for k, b in scored["data"]["benchmarks"].items()},
                    "train_seconds": trained["wall_seconds"],
                    "score_seconds": scored["wall_seconds"],
                    "last": {
                        k: v
                        for k, v in json.loads(last).items()
                        if k in ("reward", "correct", "length", "invalid", "kl", "entropy")
                    },
                }
                with out.open("a") as f:
                    f.write(json.dumps(row) + "\n")
                print(f"{name} seed {seed}: {row['overall']:.2f} in {row['train_seconds']:.0f} s", flush=True)
                shutil.rmtree(folder)

        await asyncio.gather(*(worker() for _ in range(workers)))


def changed(profile: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The profile with `table.key` (or deeper) set to other values."""
    for path, value in changes.items():
        *tables, key = path.split(".")
        table = profile
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
    return profile


def rows(out: Path) -> list[dict[str, Any]]:
    """The lines of a results file."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def table(out: Path) -> str:
    """Markdown: every algorithm with its mean, std over seeds, distance to the root in noise-stds, and Welch's p.

    The noise-std is that of one training of the root: its std over seeds.
    """
    text = ""
    for label in dict.fromkeys(r["changes"] for r in rows(out)):
        by: dict[str, list[dict[str, Any]]] = {}
        for r in rows(out):
            if r["changes"] == label:
                by.setdefault(r["name"], []).append(r)
        root = [r["overall"] for r in by.get(ROOT, [])]
        noise = statistics.stdev(root) if len(root) > 1 else float("nan")
        columns = ["algorithm", "seeds", "Overall", "std", "minus root", "noise-stds", "Welch p"]
        columns += ["reward", "correct", "length", "train s"]
        text += f"\nChanges to the profile: {label}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        for name, found in sorted(by.items(), key=lambda x: -statistics.mean(r["overall"] for r in x[1])):
            scores = [r["overall"] for r in found]
            gain = statistics.mean(scores) - statistics.mean(root or [float("nan")])
            p = (
                stats.ttest_ind(scores, root, equal_var=False).pvalue
                if len(scores) > 1 and len(root) > 1
                else float("nan")
            )
            last = [statistics.mean(r["last"][k] for r in found) for k in ("reward", "correct", "length")]
            spread = statistics.stdev(scores) if len(scores) > 1 else float("nan")
            seconds = statistics.mean(r["train_seconds"] for r in found)
            text += (
                f"| {name} | {len(scores)} | {statistics.mean(scores):.2f} | {spread:.2f} "
                f"| {gain:+.2f} | {gain / noise:+.1f} | {p:.3g} | {last[0]:.2f} | {100 * last[1]:.0f} % "
                f"| {last[2]:.1f} | {seconds:.0f} |\n"
            )
    return text


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="table.key=TOML value")
    a = parser.parse_args()
    if a.command == "table":
        print(table(a.out))
        return
    changes = {k: tomllib.loads(f"x = {v}")["x"] for k, v in (s.split("=", 1) for s in a.set)}
    seeds = list(range(a.first_seed, a.first_seed + a.seeds))
    asyncio.run(run(a.out, seeds, a.only, a.workers, changes))


if __name__ == "__main__":
    main()
