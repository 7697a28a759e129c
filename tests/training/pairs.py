"""One toy training through TRL's own trainer, and one through ours."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.training.trainer import PoiseTrainer
from tests.training import toy

UPDATES = 30
FOLDER = tempfile.TemporaryDirectory(prefix="poise-pairs-")
Ours = TypeVar("Ours", bound=PoiseTrainer)

gc.freeze()  # the trainer collects garbage when it ends; what was imported is none, and makes that slow


@dataclass
class Training:
    """What a training left behind."""

    losses: list[float] = field(default_factory=list)
    """One an update, as logged: not rounded."""
    grad_norms: list[float] = field(default_factory=list)
    adapter: dict[str, torch.Tensor] = field(default_factory=dict)

    def equals(self, other: Training) -> bool:
        """To the last bit."""
        same = self.losses == other.losses and self.grad_norms == other.grad_norms
        return same and all(torch.equal(self.adapter[name], x) for name, x in other.adapter.items())

    def parted(self, other: Training) -> int | None:
        """The first update in which the two differ."""
        pairs = zip(self.losses, self.grad_norms, other.losses, other.grad_norms, strict=True)
        return next((i for i, (a, b, c, d) in enumerate(pairs, start=1) if (a, b) != (c, d)), None)


def through_trl(trainer: type[GRPOTrainer] = GRPOTrainer, **settings: Any) -> Training:
    """TRL's trainer, free-running."""
    return _run(theirs(trainer, **settings))


def through_ours(algorithm: Algorithm, **settings: Any) -> Training:
    """Our trainer with the same settings, free-running."""
    return _run(ours(algorithm, **settings))


def theirs(trainer: type[GRPOTrainer] = GRPOTrainer, **settings: Any) -> GRPOTrainer:
    """TRL's trainer in the toy world, ready to run; nothing is written."""
    args = toy.config(Path(FOLDER.name), **{"max_steps": UPDATES, **settings})
    args.reward_weights = list(toy.WEIGHTS.values())
    return trainer(model=toy.model(), reward_funcs=toy.reward_functions(), args=args, **_world())


def ours(algorithm: Algorithm, trainer: type[Ours] = PoiseTrainer, **settings: Any) -> Ours:  # type: ignore[assignment]
    """Our trainer in the toy world, ready to run; nothing is written."""
    return trainer(
        pipeline=Pipeline(algorithm, seed=7),
        grader=toy.ToyGrader(),
        part_weights=dict(toy.WEIGHTS),
        model=toy.model(),
        args=toy.config(Path(FOLDER.name), **{"max_steps": UPDATES, **settings}),
        **_world(),
    )


class _Log(TrainerCallback):
    def __init__(self) -> None:
        self.seen = Training()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if "loss" in logs:
            self.seen.losses.append(logs["loss"])
            self.seen.grad_norms.append(float(logs["grad_norm"]))


def _world() -> dict[str, Any]:
    return {"train_dataset": toy.dataset(), "processing_class": toy.tokenizer(), "peft_config": toy.lora()}


def _run(trainer: GRPOTrainer) -> Training:
    log = _Log()
    trainer.add_callback(log)
    trainer.train()
    log.seen.adapter = toy.adapter(trainer)
    return log.seen
