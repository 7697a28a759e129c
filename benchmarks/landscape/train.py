"""Train what the landscape lacks, or train entries again.

    python -P -m benchmarks.landscape.train pilot|run|check|seal [--workers 2] [--entry SUBSET SEED]

Through the engine's own launcher, grader and scorer, from rung to rung from checkpoints, as in a run. Resumable: each
training is kept as soon as it is scored. `check` trains three entries drawn at random, or the one named, and compares
every single completion's outcome, and the adapter's weights to the bit where their hash is known.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.landscape import table
from benchmarks.landscape.design import RUNGS, SEEDS, SMALL, Entry, order, pilot, source
from benchmarks.tiny_ranking import trainings
from engine.errors import PoiseError
from engine.loop.protocol import protocol_hash
from engine.loop.seeds import score_seed, train_seed
from engine.process.executor import LocalExecutor
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.scoring.adapter import adapter_sha256

RUN = 0
"""The run whose problems, prompts and seeds these are."""


async def train(work: Sequence[Entry], folder: Path, workers: int) -> list[dict[str, Any]]:
    """Train and score the entries, keeping each in `folder` as it comes; all of them, in the order they came."""
    profile = load_profile("tiny").resolved()
    protocol = protocol_hash(profile, model_dir(profile["model"]), "cpu")
    left, done = list(work), []
    async with trainings(profile, "poise-landscape-") as (executor, root):

        async def worker() -> None:
            while left:
                entry = left.pop(0)
                own = root / f"{entry.subset}-{entry.seed}"
                own.mkdir()
                row = await one(executor, profile, entry, own) | {"protocol": protocol}
                table.append(row, folder)
                done.append(row)
                told = " ".join(f"{s['updates']}:{s['overall']:.1f}" for s in row["scores"])
                print(f"{entry.subset:3d} seed {entry.seed}: {row['cause'] or told}  ({len(left)} left)", flush=True)
                shutil.rmtree(own)

        await asyncio.gather(*(worker() for _ in range(workers)))
    return done


async def one(executor: LocalExecutor, profile: dict[str, Any], entry: Entry, folder: Path) -> dict[str, Any]:
    """A training, scored at every rung and at its end; a training that fails has a cause and the scores up to there."""
    file = folder / "algorithm.py"
    file.write_text(source(entry.subset))
    end = profile["train"]["updates"]
    job = {"id": folder.name, "profile": profile, "limits": {}, "off": [], "run": RUN, "folder": str(folder)}
    job |= {"kind": "train", "algorithm": str(file), "seed": train_seed(RUN, "landscape", entry.seed), "resume": True}
    row: dict[str, Any] = {"subset": entry.subset, "seed": entry.seed, "status": "scored", "cause": None}
    row |= {"adapter": "", "updates": [], "train_seconds": [], "scores": [], "curves": []}
    spent = 0.0
    for until in (*RUNGS, end):
        result = await executor.run({**job, "until": until})
        if result["status"] != "done":
            return row | {"status": result["status"], "cause": result["cause"]}
        spent += result["cpu_seconds"]
        row["updates"].append(until)
        row["train_seconds"].append(spent)
        for split in ("development", "confirmation") if until == end else ("development",):
            row["scores"].append(await scored(executor, profile, folder, split, until))
    return row | {"adapter": adapter_sha256(folder / "adapter"), "curves": curves(folder / "metrics.jsonl")}


async def scored(
    executor: LocalExecutor, profile: dict[str, Any], folder: Path, split: str, updates: int
) -> dict[str, Any]:
    """The outcome of every completion of one scoring."""
    last = updates == profile["train"]["updates"]
    sizes = {k: profile["score"][k] for k in SMALL} if last else SMALL
    job = {"id": f"{folder.name}-score", "kind": "score", "folder": str(folder / "score"), "limits": {}, "run": RUN}
    job |= {"profile": {**profile, "score": {**profile["score"], **sizes}}, "adapter": str(folder / "adapter")}
    job |= {"split": split, "score_seed": score_seed(RUN, split, updates / profile["train"]["updates"])}
    result = await executor.run(job)
    if result["status"] != "done":
        raise PoiseError(f"scoring {folder.name} after {updates} updates: {result['cause']}")
    data = result["data"]
    return {
        "split": split,
        "updates": updates,
        **sizes,
        "overall": data["overall"],
        "correct": table.pack(data["outcomes"]),
        "seconds": result["cpu_seconds"],
    }


def curves(metrics: Path) -> list[dict[str, Any]]:
    """Every number of `metrics.jsonl` that says something of the training rather than of the machine."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    lines = [{**line, **{f"part_{k}": v for k, v in line.get("parts", {}).items()}} for line in lines]
    rates = ("samples_per_second", "tokens_per_second")
    machine = ("step", "time", "epoch_progress", "learning_rate", "memory_mb", *rates)
    names = [k for k, v in lines[0].items() if isinstance(v, (int, float)) and k not in machine]
    return [{"name": k, "values": [line.get(k, float("nan")) for line in lines]} for k in names]


async def check(entries: Sequence[Entry], workers: int, scratch: Path) -> bool:
    """Whether these entries, trained again, come out as they are in the landscape."""
    kept = {t.entry: t for t in table.load()}
    if missing := [e for e in entries if e not in kept]:
        raise PoiseError(f"not in the landscape: {', '.join(f'{e.subset} seed {e.seed}' for e in missing)}")
    await train(entries, scratch, workers)
    equal = True
    for again in table.load(scratch):
        before = kept[again.entry]
        same = before.adapter in ("", again.adapter) and all(
            a.overall == b.overall and (a.correct == b.correct).all()
            for a, b in zip(again.scores, before.scores, strict=True)
        )
        why = "" if again.protocol == before.protocol else f": protocol {again.protocol} is not {before.protocol}"
        print(f"{again.entry.subset} seed {again.entry.seed}: {'equal' if same else 'DIFFERENT'}{why}")
        equal &= same
    return equal


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("pilot", "run", "check", "seal"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--entry", type=int, nargs=2, metavar=("SUBSET", "SEED"))
    options = parser.parse_args()
    there = {t.entry for t in table.load()}
    if options.command == "seal":
        table.seal()
    elif options.command == "check":
        entries = [Entry(*options.entry)] if options.entry else random.sample(sorted(there), 3)
        scratch = Path(tempfile.mkdtemp(prefix="poise-check-"))
        try:
            sys.exit(not asyncio.run(check(entries, options.workers, scratch)))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    else:
        wanted = [Entry(s, seed) for seed in range(SEEDS) for s in pilot()] if options.command == "pilot" else order()
        asyncio.run(train([e for e in wanted if e not in there], table.PARTS, options.workers))


if __name__ == "__main__":
    main()
