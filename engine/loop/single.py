"""One job in the foreground, through the same launcher, limits and grader as a run: verify, train, score, control."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from engine.algorithms.lint import read_source
from engine.archive.files import folder_sha256, write_json
from engine.archive.folder import TrialFolder
from engine.archive.tail_metrics import MetricsTail
from engine.errors import Exit, PoiseError
from engine.generation.choice import require, settled, told
from engine.loop.config import job_limits
from engine.loop.confinement import floor_of, sandbox_for
from engine.loop.graders import Graders
from engine.loop.machine import gpu_names
from engine.loop.report import read_report
from engine.loop.seeds import score_seed, train_seed
from engine.process.executor import LocalExecutor, Result
from engine.process.launch import TRAINER_IMPORTS, Launcher
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.sandbox.layers import Sandbox
from engine.scoring.plausible import against
from engine.tasks.benchmarks import on_benchmarks

LIGHT_IMPORTS = ("torch",)
"""What a verification needs; TRL would cost four more seconds."""


async def run_single(command: str, request: dict[str, Any]) -> Result:
    """Run one command of the engine's command line.

    Returns:
        the job's result.

    Raises:
        PoiseError: the request is wrong; nothing ran.
    """
    return await {"verify": _verify, "train": _train, "score": _score, "control": _control}[command](request)


async def _verify(request: dict[str, Any]) -> Result:
    path = Path(request["algorithm"]).absolute()
    profile = load_profile(request.get("profile") or "tiny").resolved()
    with tempfile.TemporaryDirectory(prefix="poise-verify-") as folder:
        sandbox = sandbox_for(profile, floor_of(request), [Path(folder)], [path])
        async with _launcher(LIGHT_IMPORTS, sandbox) as launcher:
            job: dict[str, Any] = {"id": "verify", "kind": "verify", "folder": folder, "algorithm": str(path)}
            job |= {"profile": profile, "limits": job_limits(profile, "verify")}
            result = await LocalExecutor(launcher).run(job)
    if result["status"] != "done":
        return result
    report = read_report(result["data"])
    if not report["passed"]:
        return {**result, "status": "failed", "cause": report.get("cause"), "data": report}
    return {**result, "data": report}


async def _train(request: dict[str, Any]) -> Result:
    profile = settled(load_profile(request.get("profile") or "tiny").resolved(), bool(gpu_names()))
    model_dir(profile["model"])
    path = Path(request["algorithm"]).absolute()
    read_source(path)
    out = TrialFolder(Path(request["out"]).absolute())
    if out.adapter.exists():
        raise PoiseError(f"{out.path} holds a finished training: choose another --out", Exit.REFUSED)
    seed = int(request.get("seed") or 0)
    if line := told(profile, bool(gpu_names())):
        print(line, file=sys.stderr, flush=True)
    job = {
        "id": "train",
        "kind": "train",
        "folder": str(out.path),
        "algorithm": str(path),
        "profile": profile,
        "seed": train_seed(seed, "search", 0),
        "off": [],
        "resume": out.checkpoints.is_dir(),
        "limits": {**job_limits(profile, "train"), "step_seconds": profile["limits"]["step_seconds"]},
        "progress": out.metrics.name,
    }
    sandbox = sandbox_for(profile, floor_of(request), [out.path], [path])
    async with _launcher(TRAINER_IMPORTS, sandbox) as launcher:
        with closing(Graders(profile, seed)) as graders:
            executor = LocalExecutor(launcher, graders.connect, graded=graders.kinds)
            graders.on_flood = executor.kill
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, _stop, executor)
            following = asyncio.create_task(_follow(out.metrics, profile["train"]["updates"]))
            try:
                result = await executor.run(job)
            finally:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
    if result["status"] == "done":
        # The process could write there, and must not know the seed that `poise score` takes the problems from.
        write_json(out.job, {**job, "run_seed": seed})
    return result


async def _score(request: dict[str, Any]) -> Result:
    folder = TrialFolder(Path(request["folder"]).absolute())
    try:
        trained = json.loads(folder.job.read_text())
        profile, seed = trained["profile"], int(trained.get("run_seed", 0))
    except FileNotFoundError:
        raise PoiseError(f"{folder.path} holds no training: there is no job.json in it", Exit.NOT_FOUND) from None
    except (ValueError, KeyError, TypeError) as e:
        raise PoiseError(f"{folder.job} is damaged ({e})") from None
    if not folder.adapter.is_dir():
        raise PoiseError(f"{folder.path} holds no adapter: its training has not finished", Exit.NOT_FOUND)
    require(profile)
    place, split = folder.path / "score", "development"
    if request.get("benchmarks") is not None:
        profile, place, split = (
            on_benchmarks(profile, request["benchmarks"]),
            folder.path / "benchmarks",
            "confirmation",
        )
    sandbox = sandbox_for(profile, floor_of(request), [place], [folder.adapter])
    async with _launcher(TRAINER_IMPORTS, sandbox) as launcher:
        with closing(Graders(profile, seed)) as graders:
            return await LocalExecutor(launcher, graders.connect, graded=graders.kinds).run(
                {
                    "id": "score",
                    "kind": "score",
                    "folder": str(place),
                    "profile": profile,
                    "adapter": str(folder.adapter),
                    "split": split,
                    "score_seed": score_seed(seed, split, 1.0),
                    "limits": job_limits(profile, "score"),
                }
            )


async def _control(request: dict[str, Any]) -> Result:
    """Train the root on rewards without information, and score it beside the base it began as."""
    name, seed = request["control"], int(request.get("seed") or 0)
    profile = settled(load_profile(request.get("profile") or "tiny").resolved(), bool(gpu_names()))
    model = model_dir(profile["model"])
    job: dict[str, Any] = {"profile": profile, "seed": train_seed(seed, "control", 0), "off": [], "resume": False}
    scoring: dict[str, Any] = {"kind": "score", "profile": profile, "split": "development"}
    scoring |= {"score_seed": score_seed(seed, "development", 1.0), "base_sha256": folder_sha256(model)}
    scoring |= {"limits": job_limits(profile, "score")}
    with tempfile.TemporaryDirectory(prefix="poise-control-") as place:
        folder = Path(place)
        sandbox = sandbox_for(profile, floor_of(request), [folder])
        async with _launcher(TRAINER_IMPORTS, sandbox) as launcher:
            with closing(Graders(profile, seed, control=name)) as graders:
                executor = LocalExecutor(launcher, graders.connect, graded=graders.kinds)
                trained = TrialFolder(folder / "train")
                job |= {"id": "control", "kind": "train", "folder": str(trained.path), "algorithm": None}
                job |= {"limits": job_limits(profile, "train"), "progress": trained.metrics.name}
                following = asyncio.create_task(_follow(trained.metrics, profile["train"]["updates"]))
                try:
                    jobs = [
                        {**scoring, "id": "base", "folder": str(folder / "base"), "adapter": None},
                        job,
                        {**scoring, "id": "score", "folder": str(folder / "score"), "adapter": str(trained.adapter)},
                    ]
                    results = []
                    for one in jobs:
                        results.append(await executor.run(one))
                        if results[-1]["status"] != "done":
                            return results[-1]
                finally:
                    following.cancel()
                    with suppress(asyncio.CancelledError):
                        await following
    base, _, after = (result["data"] for result in results)
    return {**results[-1], "data": {"control": name, "seed": seed, **against(base, after)}}


def _stop(executor: LocalExecutor) -> None:
    """Ctrl-C: end at a checkpoint, which the same command goes on from."""
    with suppress(PoiseError):
        executor.control("train", "pause")


async def _follow(metrics: Path, updates: int) -> None:
    """A progress line on stderr every few updates."""
    tail = MetricsTail(metrics)
    while True:
        await asyncio.sleep(0.5)
        for point in tail.read():
            if point["step"] % 5 == 0 or point["step"] == updates:
                shown = "".join(f"  {k} {point[k]:.3f}" for k in ("reward", "correct") if point.get(k) is not None)
                print(f"update {point['step']}/{updates}{shown}", file=sys.stderr, flush=True)


@asynccontextmanager
async def _launcher(imports: tuple[str, ...], sandbox: Sandbox) -> AsyncIterator[Launcher]:
    launcher = Launcher(imports, sandbox=sandbox)
    try:
        yield launcher
    finally:
        await launcher.close()
