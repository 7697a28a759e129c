"""The real vLLM trains and scores inside the real sandbox, every layer on, as a run starts it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.loop.config import job_limits
from engine.loop.graders import Graders
from engine.process.executor import LocalExecutor
from engine.process.launch import TRAINER_IMPORTS, Launcher
from engine.profiles.load_model import model_dir
from engine.sandbox.layers import Sandbox
from engine.sandbox.probe import available
from tests.vllm import world

TESTS = Path(__file__).parents[1]
ROOT_FILE = "from engine.contract import Algorithm\n\nalgorithm = Algorithm(name='GRPO', mechanisms=())\n"


async def test_a_training_and_a_scoring_inside_every_layer_of_the_sandbox(tmp_path: Path) -> None:
    if "namespaces" not in available():
        pytest.skip("no bubblewrap here: vLLM is refused without")
    profile = world.profile()
    profile["score"] |= {"problems": 6, "samples": 4, "k": 2}
    profile["limits"] |= {"memory_mb": 12_000, "train_seconds": 300, "score_seconds": 300}
    algorithm = tmp_path / "grpo.py"
    algorithm.write_text(ROOT_FILE)
    trials = tmp_path / "trials"
    trials.mkdir()
    readable = (TESTS, algorithm, model_dir(profile["model"]))
    sandbox = Sandbox(available(), (trials,), readable, samplers=True)
    launcher = Launcher(("tests.vllm.cpu", *TRAINER_IMPORTS), sandbox=sandbox)
    common: dict[str, Any] = {"profile": profile, "seed": 3}
    with closing(Graders(profile, 0)) as graders:
        executor = LocalExecutor(launcher, graders.connect)
        try:
            trained = await executor.run(
                {
                    **common,
                    "id": "t",
                    "kind": "train",
                    "folder": str(trials / "t"),
                    "algorithm": str(algorithm),
                    "limits": job_limits(profile, "train"),
                }
            )
            assert trained["status"] == "done", (trained, _log(trials / "t" / "train.log"))
            scored = await executor.run(
                {
                    **common,
                    "id": "s",
                    "kind": "score",
                    "folder": str(trials / "s"),
                    "adapter": str(trials / "t" / "adapter"),
                    "split": "development",
                    "score_seed": 5,
                    "limits": job_limits(profile, "score"),
                }
            )
            assert scored["status"] == "done", (scored, _log(trials / "s" / "score.log"))
        finally:
            await launcher.close()
    rows = [json.loads(line) for line in (trials / "t" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 7)) and all(row["sampler_gap"] > 0 for row in rows)
    assert 10 < scored["data"]["overall"] < 90, "a model that does what tiny does"
    assert all(len(row) == 4 for rows in scored["data"]["outcomes"].values() for row in rows)


def _log(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.exists() else "no log"
