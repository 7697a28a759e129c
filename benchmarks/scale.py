"""What a large run costs its engine, with trainings that only take virtual time.

    python -P -m benchmarks.scale --candidates 1000 --workers 500     # minutes of a core; --profile shows on what

The engine, its archive, its decisions and its composer are the real ones. What is made up are the jobs: a verification
gives the candidate's own mechanisms and a signature drawn from its code, a training writes one line of metrics an
update and takes hours of a virtual clock, a score is a sum of hidden effects of mechanisms and noise. What looks around
every second does so every minute here (`TICK`): with hundreds of trainings over days it would be most of what is done.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import hashlib
import json
import pstats
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.virtual_time import VirtualLoop
from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.algorithms.render import render
from engine.archive.folder import RunFolder
from engine.archive.store import Archive
from engine.loop import engine, guard, runner
from engine.loop.book import Book
from engine.loop.config import RunConfig, new_run
from engine.loop.engine import Engine
from engine.loop.service import run_document
from engine.profiles.schema import FOLDER
from engine.search.answers import BadAnswer, read_algorithm
from engine.tasks.tiny import TinyTasks
from engine.verify.verify import verify

TICK = 60.0
"""Seconds between two looks at metrics, disk and budgets."""
HOURS = 2.0
"""Of a whole training, on average."""
NOISE = 1.0
"""Standard deviation of a score's noise, in points of Overall."""
ROWS = 10
"""Of the table."""


class Simulated:
    """An executor whose jobs take virtual time.

    Args:
        template: a real verification's report.
        seed: of effects, times and noise.
    """

    def __init__(self, template: dict[str, Any], seed: int) -> None:
        self._template = template
        self._seed = seed
        self.started = 0
        """Trainings."""

    async def run(self, job: dict[str, Any], on_start: Callable[[int], None] | None = None) -> dict[str, Any]:
        """See `engine.process.executor.Executor`."""
        folder = Path(job["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        if on_start is not None:
            on_start(0)
        began = time.monotonic()
        data = await {"verify": self._verify, "train": self._train, "score": self._score}[job["kind"]](job, folder)
        ended = {"status": "done", "cause": None, "reason": None, "exit": 0, "cpu_seconds": 0.0, "data": data}
        (folder / "result.json").write_text(json.dumps(ended))
        return {"id": job["id"], "wall_seconds": time.monotonic() - began, **ended}

    def control(self, job_id: str, word: str) -> None:
        """Nobody steers here."""

    def kill(self, job_id: str, cause: str = "killed") -> None:
        """Nobody steers here."""

    async def _verify(self, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        await asyncio.sleep(2.0)
        code = Path(job["algorithm"]).read_text()
        name, mechanisms = named(code)
        draw = self._draw("verify", digest_of(code))
        same = {"doc": "", "ranges": {}, "stages": ["advantages"], "acts": ["plain"], "acts_on_profile": 4}
        rows = [{"name": m.name, "params": dict(m.params), **same} for m in mechanisms]
        signature = {
            case: {**entry, "policy": redrawn(entry["policy"], draw), "rest": redrawn(entry["rest"], draw)}
            for case, entry in self._template["signature"].items()
        }
        print_of = f"{draw.getrandbits(128):032x}"
        return self._template | {
            "algorithm": name,
            "mechanisms": [{**row, "acts": ["plain"], "acts_on_profile": 4} for row in rows],
            "fingerprint": print_of,
            "profile_fingerprint": print_of,
            "signature": signature,
        }

    async def _train(self, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        self.started += 1
        draw = self._draw("train", job["id"])
        updates, until = job["profile"]["train"]["updates"], job["until"]
        metrics = folder / "metrics.jsonl"
        done = sum(1 for _ in metrics.open()) if metrics.exists() else 0
        pace = HOURS * 3600 / updates * draw.lognormvariate(0.0, 0.3)
        for step in range(done + 1, until + 1):
            await asyncio.sleep(pace)
            with metrics.open("a") as file:
                file.write(json.dumps(metrics_of(step, updates, draw)) + "\n")
        (folder / "adapter").mkdir(exist_ok=True)
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(draw.randbytes(64))
        return {"updates": until, "train_seconds": 0.0, "adapter": "adapter", "resumed": None}

    async def _score(self, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        await asyncio.sleep(300.0)
        code = (folder.parents[2] / "candidates" / job["id"].split("-")[0] / "algorithm.py").read_text()
        _, mechanisms = named(code)
        draw = self._draw("score", job["id"])
        gain = sum(self._draw("effect", m.name).gauss(0.0, 1.0) for m in mechanisms)
        tasks = TinyTasks().weights
        overall = min(max(45.0 + gain + draw.gauss(0.0, NOISE), 0.0), 100.0)
        row = {"metric": "avg@8", "value": overall, "n": 40, "ci": [overall - 3.0, overall + 3.0]}
        outcomes = {task: [[draw.getrandbits(1) for _ in range(8)] for _ in range(40)] for task in tasks}
        told = {"length": 12.0, "truncated": 0.0, "invalid": 0.0}
        return {
            "overall": overall,
            "standard_error": 0.8,
            "benchmarks": dict.fromkeys(tasks, row),
            "outcomes": outcomes,
            "responses": told,
            "seconds": 300.0,
        }

    def _draw(self, what: str, whose: str) -> random.Random:
        return random.Random(f"{self._seed}:{what}:{whose}")


def named(code: str) -> tuple[str, Sequence[MechanismChoice]]:
    """An algorithm's name and mechanisms; the root has none."""
    try:
        return read_algorithm(code)
    except BadAnswer:
        return "GRPO", ()


def digest_of(code: str) -> str:
    """Of what an algorithm does, whatever it is called: its mechanisms and their constants."""
    _, mechanisms = named(code)
    return hashlib.sha256(json.dumps([m.document() for m in mechanisms], sort_keys=True).encode()).hexdigest()


def redrawn(numbers: list[float], draw: random.Random) -> list[float]:
    """As many others."""
    return [draw.gauss(0.0, 1.0) for _ in numbers]


def metrics_of(step: int, updates: int, draw: random.Random) -> dict[str, Any]:
    """One line as a training writes it."""
    drawn = ("loss", "reward", "reward_std", "kl", "entropy", "clip_fraction", "correct", "grad_norm", "all_fail")
    made = {name: draw.random() for name in (*drawn, "mixed", "all_pass", "length", "length_std")}
    made |= dict.fromkeys(("truncated", "invalid", "advantage_mean", "advantage_std", "advantage_max"), 0.0)
    parts = {"correct": draw.random(), "format": 1.0, "brevity": 0.5}
    return {"step": step, "time": time.time(), "epoch_progress": step / updates, "parts": parts, **made}


class Watch:
    """What the engine used while the run grew, in `ROWS` parts of it."""

    def __init__(self, book: Book, folder: RunFolder, candidates: int) -> None:
        self._book = book
        self._folder = folder
        self._every = max(candidates // ROWS, 1)
        self._rows: list[tuple[int, float, float, int]] = []
        self._mark()
        heads = (("candidates", 10), ("ms a decision", 14), ("events", 9), ("a virtual h", 12), ("MB archive", 11))
        print(*(name.rjust(width) for name, width in (*heads, ("MiB RSS", 8))))

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(TICK)
            if len(self._book.candidates) - 1 - self._rows[-1][0] >= self._every:
                self.tell()

    def tell(self) -> None:
        """One row more."""
        before = self._rows[-1]
        now = self._mark()
        made, cpu, hours = now[0] - before[0], now[1] - before[1], (now[2] - before[2]) / 3600
        size = sum(p.stat().st_size for p in self._folder.path.glob("archive*")) / 1e6
        events = now[3] - before[3]
        rss = psutil.Process().memory_info().rss >> 20
        print(
            f"{now[0]:>10} {1000 * cpu / max(made, 1):>14.0f} {now[3]:>9} {events / max(hours, 1e-9):>12.0f} "
            f"{size:>11.1f} {rss:>8}",
            flush=True,
        )

    def _mark(self) -> tuple[int, float, float, int]:
        events = sum(p.read_bytes().count(b"\n") for p in self._folder.path.glob("events*.jsonl"))
        row = (len(self._book.candidates) - 1, time.process_time(), time.monotonic(), events)
        self._rows.append(row)
        return row


async def simulate(candidates: int, workers: int, lag: int, seed: int, runs: Path) -> RunFolder:
    """One run, from its first decision to its last."""
    text = (FOLDER / "tiny.toml").read_text().replace("lag = 4 ", f"lag = {lag} ")
    text = text.replace("candidates = 3", "candidates = 0")  # nobody is confirmed
    (runs / "scale.toml").write_text(text)
    asked = {"profile": str(runs / "scale.toml"), "name": "scale", "candidates": candidates, "workers": workers}
    folder, config = new_run({**asked, "seed": seed, "runs_dir": str(runs)})
    assert isinstance(config, RunConfig) and config.lag == lag
    archive = Archive.open(folder.archive)
    book = Book(archive)
    book.open_run(run_document(config, "0" * 16, "full"))
    executor = Simulated(template(runs), seed)
    watch = Watch(book, folder, candidates)
    began, cpu = time.perf_counter(), time.process_time()
    watching = asyncio.create_task(watch.watch())
    try:
        await Engine(folder, config, book, executor, "0" * 16).run()
    finally:
        watching.cancel()
        watch.tell()
        archive.close()
    print(
        f"{candidates} candidates, {workers} workers, lag {lag}: {executor.started} trainings in "
        f"{time.monotonic() / 86400:.1f} virtual days, {time.process_time() - cpu:.0f} s of a core, "
        f"{time.perf_counter() - began:.0f} s on the clock"
    )
    return folder


def template(folder: Path) -> dict[str, Any]:
    """A real verification's report."""
    path = folder / "template.py"
    path.write_text(render("Template", "", (catalogue()["NoStd"].choice(),)))
    found = verify(path)
    assert found["passed"], found["cause"]
    return found


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--lag", type=int, default=None, help="default: as many as workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="show CPU time by function")
    given = parser.parse_args()
    runner.TAIL_SECONDS = TICK
    for module in (guard, engine):
        module.TICK_SECONDS = TICK
    loop = VirtualLoop()
    loop.install()
    profiler = cProfile.Profile(time.process_time) if given.profile else None
    with tempfile.TemporaryDirectory(prefix="poise-scale-") as runs:
        asyncio.set_event_loop(loop)
        if profiler is not None:
            profiler.enable()
        lag = given.lag or given.workers
        loop.run_until_complete(simulate(given.candidates, given.workers, lag, given.seed, Path(runs)))
        if profiler is not None:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(60).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
