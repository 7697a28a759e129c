"""A training of the tiny profile through our trainer, its completions sampled by the real vLLM in this process."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import tests.vllm.cpu  # noqa: F401 - before anything imports vLLM
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderClient, GraderProcess
from engine.training.recording import Recorder
from engine.training.run import build_trainer
from engine.training.trainer import PoiseTrainer


def profile(**train: Any) -> dict[str, Any]:
    """Tiny, sampled by vLLM: three batches of completions, two updates each."""
    made: dict[str, Any] = copy.deepcopy(load_profile("tiny").resolved())
    made["train"] |= {"updates": 6, "checkpoint_every": 6, "prompts_per_batch": 8, **train}
    made["generation"] = {"engine": "vllm", "memory_share": 0.3, "sleep": True}
    return made


@dataclass
class Training:
    """One that has ended, and what it held at every batch."""

    trainer: PoiseTrainer
    folder: Path
    base: dict[str, torch.Tensor]
    """Before the first update, as it was loaded."""
    batches: list[dict[str, Any]] = field(default_factory=list)
    """TRL's tensors of each batch of completions."""


def train(folder: Path, seed: int = 7, algorithm: Algorithm | None = None, **settings: Any) -> Training:
    """Train with the real grader, in a process of its own as ever."""
    chosen = profile(**settings)
    pipeline = Pipeline(algorithm or Algorithm("GRPO"), seed=seed)
    recorder = Recorder(folder, pipeline, chosen["train"]["updates_per_batch"], chosen["train"]["sample_every"])
    grader = GraderProcess()
    try:
        connection = grader.connect("tiny", chosen["tasks"]["options"], 1, name="t")
        trainer = build_trainer(chosen, seed, folder, pipeline, GraderClient(connection.detach()), recorder)
        found = Training(trainer, folder, base(trainer))
        ship = trainer._ship

        def kept(output: dict[str, Any], *more: Any) -> None:
            found.batches.append({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in output.items()})
            ship(output, *more)

        trainer._ship = kept  # type: ignore[method-assign]
        trainer.train()
        return found
    finally:
        grader.close()


def base(trainer: PoiseTrainer) -> dict[str, torch.Tensor]:
    """A copy of every weight that is not the adapter's."""
    return {k: v.detach().clone() for k, v in trainer.model.named_parameters() if "lora_" not in k}
