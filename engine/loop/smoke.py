"""Smoke training: two real updates before the real training, for code with a mechanism that is not the library's.

The library's mechanisms are trained by its own tests; a mechanism of a model's or a user's own has so far met
synthetic batches alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from engine.algorithms.catalogue import own_mechanisms
from engine.loop.config import job_limits
from engine.process.executor import Executor

UPDATES = 2
NOT_THE_CODE = ("memory", "disk", "killed", "server", "asked")
"""Reasons why a job ended that the real training's supervision deals with: again, in smaller parts, or later."""


async def smoke(
    executor: Executor,
    *,
    node: str,
    code: str,
    algorithm: Path,
    folder: Path,
    profile: dict[str, Any],
    seed: int,
    gpu: int | None = None,
) -> str | None:
    """Train two updates, as the real training would begin, and throw the result away.

    Args:
        executor: runs the job; it connects training jobs to a grader.
        node: id of the candidate; names the job.
        code: the file's text; one with mechanisms of the library alone is not trained.
        algorithm: the file.
        folder: the job's own; it is removed afterwards.
        profile: resolved, of the run.
        seed: of the training.
        gpu: its device; None: the one there is, or the processor.

    Returns:
        None if it went well or was not needed, else in one line what went wrong.
    """
    if not own_mechanisms(code):
        return None
    train = {**profile["train"], "updates": UPDATES, "checkpoint_every": UPDATES}
    try:
        result = await executor.run(
            {
                "id": f"{node}-smoke",
                "kind": "train",
                "folder": str(folder),
                "algorithm": str(algorithm),
                "profile": {**profile, "train": train},
                "seed": seed,
                "gpu": gpu,
                "limits": job_limits(profile, "train"),
            }
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if result["status"] == "done" or result["reason"] in NOT_THE_CODE:
        return None
    return f"smoke training of {UPDATES} updates: {result['cause']}"
