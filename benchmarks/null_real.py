"""Discoveries really run in which no candidate is better than the root: does the engine announce one?

    python -P -m benchmarks.null_real [--discoveries 4] [--candidates 16] [--out FILE.json]

Whole runs of the profile tiny, from `poise run --headless` to the last look of the confirmation. Their proposals come
over HTTP from a model that always proposes the root with `Jitter`: each advantage is multiplied by one plus a little
noise of mean zero, drawn anew for every sample. So a candidate acts, differs from all others, as verification asks, and
takes another path than the root from its first update on, towards the same aim: in the mean its gradient is the root's.

A discovery of 16 takes some five minutes of two idle cores. Resumable: a seed that is in the file is not run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from engine.errors import PoiseError
from engine.stats.noise import gain, seed_correlation
from tests.search.model_server import serving

JITTER = '''"""GRPO, and noise that aims nowhere."""

from torch import Tensor, randn

from engine.contract import Algorithm, Inner, Mechanism, Rollouts


class Jitter{number}(Mechanism):
    """Advantages times one plus a little noise of mean zero: another path, the same aim."""

    local = True
    ordered = True
    size: float = 0.1

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * (1 + self.size * randn(a.shape, generator=r.generator, dtype=a.dtype))


algorithm = Algorithm(name="Root-{number}", mechanisms=(Jitter{number}(size={size}),))
'''
FIRST_SEED = 100


def answers() -> Callable[[dict[str, Any]], str]:
    """A model that proposes the root under ever new names, agrees with itself, and learns nothing."""
    numbers = count(1)

    def answer(request: dict[str, Any]) -> str:
        first, last = (request["messages"][i]["content"] for i in (0, -1))
        if "You analyse one training" in first:
            return json.dumps({"verdict": "None.", "reading": "Noise of the root.", "suggestion": "Nothing."})
        if "readings" in last:
            return json.dumps({"readings": []})
        if "mismatches" in last:
            return json.dumps({"consistent": True, "mismatches": []})
        number = next(numbers)
        code = JITTER.format(number=number, size=round(0.1 + 0.0001 * number, 4))
        hypothesis = "Noise of mean zero on advantages changes the path of a training and not its aim."
        return json.dumps({"name": f"Root-{number}", "hypothesis": hypothesis, "code": code})

    return answer


async def discovery(runs: Path, seed: int, candidates: int, workers: int) -> dict[str, Any]:
    """One whole run, and what it says.

    Raises:
        PoiseError: it did not come to its end.
    """
    async with serving(reply_to=answers()) as server:
        own = {"OPENAI_API_KEY": "none", "OPENAI_API_BASE": server.url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        name = f"null-{seed}"
        options = {"profile": "tiny", "llm": "openai/root", "name": name, "seed": seed, "runs-dir": runs}
        options |= {"candidates": candidates, "workers": workers}
        given = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        await poise(own, "run", "--headless", *given)
        exported = await poise(own, "export", name, "--format", "json", "--runs-dir", str(runs))
    return read(json.loads(exported), seed)


async def poise(environment: dict[str, str], *arguments: str) -> str:
    """What a command of the program prints."""
    command = (sys.executable, "-P", "-m", "poise_tui", *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=pipe, env={**os.environ, **environment}
    )
    out, err = await process.communicate()
    if process.returncode:
        raise PoiseError(
            f"poise {arguments[0]} ended with {process.returncode}: {(err or out).decode().strip()[-400:]}"
        )
    return out.decode()


def read(export: dict[str, Any], seed: int) -> dict[str, Any]:
    """What a run announces, by each way of reading it."""
    root = [t["overall"] for t in export["trials"] if t["purpose"] == "baseline" or t["id"] == "c000-search-0"]
    nulls = [c for c in export["candidates"] if c["parent"] is not None]
    ended = {c["id"]: c["overall"] for c in nulls if c["fidelity"] == 1.0}
    firsts = [t["overall"] for t in export["trials"] if t["id"].endswith("-search-0") and t["candidate"] in ended]
    best = gain([max(firsts)], root) if firsts else None
    verdicts = {c["id"]: c["confirmed"] for c in nulls if c["confirmed"]}
    statuses = [c["status"] for c in nulls]
    fresh: dict[str, dict[int, float]] = {}
    for t in (t for t in export["trials"] if t["purpose"] == "confirm" and t["overall"] is not None):
        fresh.setdefault(t["candidate"], {})[t["seed"]] = t["overall"]
    alike = [seed_correlation(fresh[node], fresh.get("c000", {})) for node in verdicts if node in fresh]
    return {
        "seed": seed,
        "candidates": len(nulls),
        "statuses": {s: statuses.count(s) for s in sorted(set(statuses))},
        "root_mean": fmean(root),
        "root_std": stdev(root),
        "ends": [round(score, 3) for score in firsts],
        "best_above_the_root": best is not None and best.value > 0,
        "best_interval_above_0": best is not None and best.low > 0,
        "verdicts": {node: {k: v[k] for k in ("verdict", "gain", "p", "seeds")} for node, v in verdicts.items()},
        "confirmed": any(v["verdict"] == "confirmed" for v in verdicts.values()),
        "correlations_by_seed_with_the_root": [None if c is None else round(c, 3) for c in alike],
        "wall_seconds": round(export["run"]["spent"]["wall_seconds"], 1),
    }


def markdown(found: list[dict[str, Any]]) -> str:
    """For the docs."""
    head = "| seed | copies of the root | reached the end | best score against the root's mean, noise-stds | "
    lines = [head + "its interval above 0 | gains when confirmed (p) | confirmed |", "|---" * 7 + "|"]
    for f in found:
        best = f"{(max(f['ends']) - f['root_mean']) / f['root_std']:+.1f}" if f["ends"] else ""
        gains = ", ".join(f"{v['gain']:+.1f} ({v['p']:.2g})" for v in f["verdicts"].values())
        said = ["no", "yes"]
        lines.append(
            f"| {f['seed']} | {f['candidates']} | {len(f['ends'])} | {best} | {said[f['best_interval_above_0']]} | "
            f"{gains} | {said[f['confirmed']]} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what the file lacks, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--discoveries", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "null_real.json")
    options = parser.parse_args()
    found = json.loads(options.out.read_text()) if options.out.exists() else []
    try:
        for seed in range(FIRST_SEED, FIRST_SEED + options.discoveries):
            if any((f["seed"], f["candidates"]) == (seed, options.candidates) for f in found):
                continue
            with tempfile.TemporaryDirectory(prefix="poise-null-") as runs:
                found.append(asyncio.run(discovery(Path(runs), seed, options.candidates, options.workers)))
            options.out.write_text(json.dumps(found, indent=1) + "\n")
            print(f"seed {seed}: {'CONFIRMED' if found[-1]['confirmed'] else 'nothing confirmed'}", file=sys.stderr)
    except PoiseError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
    print(markdown(found))


if __name__ == "__main__":
    main()
