"""What the trainer of an exported file has instead of a grader and a recorder: reward functions and TRL's checkpoints.

`assemble.py` writes the methods of `PlainTrainer` and those of `engine.training.trainer.PoiseTrainer` into one class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Hyper
from engine.training.groups import refuse_torn_groups

algorithm = Algorithm("GRPO")
"""Stands for the exported one."""

PARTS_KEY = "poise_"
"""Prefix of this trainer's own tensors among TRL's inputs."""
STATE_FILE = "mechanisms.json"
"""The mechanisms' state beside TRL's own files in a checkpoint."""
BATCH_FILE = "half_used_batch.pt"
"""Completions that are not used up yet, which TRL's own checkpoints lack."""


@dataclass
class Batch:
    """One generation batch as it was rewarded."""

    parts: dict[str, Tensor]
    """Each (B,), NaN where a part does not apply."""
    valid: Tensor
    correct: Tensor
    truncated: Tensor
    lengths: Tensor
    rewards: Tensor


class PlainTrainer(GRPOTrainer):  # type: ignore[misc]
    """Trains with the algorithm above.

    Args:
        model, reward_funcs, args, kwargs: GRPOTrainer's own; without args those of `grpo_config()`. The parts of the
            reward are called as the reward functions are (`__name__`), their weights are args.reward_weights.
        correct: name of the reward function whose value is above 0 for a correct completion; None: those whose whole
            reward is above 0 are correct.
        valid: the same for completions that could be read; None: all of them.

    A function named for `correct` or `valid` whose weight is 0 is no part of the reward.

    Raises:
        ValueError: several processes, names that do not fit, or settings that the algorithm cannot work with.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any,
        args: GRPOConfig | None = None,
        *,
        correct: str | None = None,
        valid: str | None = None,
        **kwargs: Any,
    ) -> None:
        args = grpo_config() if args is None else args
        if args.logging_steps != 1:
            raise ValueError("set logging_steps=1: the mechanisms follow every update through the log")
        self.pipeline = Pipeline(algorithm, seed=args.seed)
        refuse_torn_groups(self.pipeline, args.per_device_train_batch_size, args.num_generations)
        super().__init__(model=model, reward_funcs=reward_funcs, args=args, **kwargs)
        if self.accelerator.num_processes != 1:
            raise ValueError(
                f"{self.accelerator.num_processes} processes: this trainer works in one process only, since its "
                "mechanisms see the whole batch"
            )
        names = list(self.reward_func_names)
        if len(set(names)) < len(names):
            raise ValueError(f"reward functions need different names, and these are {', '.join(names)}")
        for keyword, name in (("correct", correct), ("valid", valid)):
            if name is not None and name not in names:
                raise ValueError(f"{keyword}={name!r} is no reward function; they are {', '.join(names)}")
        weights = dict(zip(names, args.reward_weights or [1.0] * len(names), strict=True))
        self.correct, self.valid = correct, valid
        self.part_weights = {n: w for n, w in weights.items() if w != 0 or n not in (correct, valid)}
        if not self.part_weights:
            raise ValueError("no reward function has a weight other than 0")
        self.hyper = Hyper(
            group_size=args.num_generations,
            max_length=args.max_completion_length,
            beta=args.beta,
            entropy_coef=args.entropy_coef,
            clip_low=self.epsilon_low,
            clip_high=self.epsilon_high,
            accumulation=args.gradient_accumulation_steps,
        )
        self._buffered_inputs: Any
        self.batch: Batch | None = None
        self.update: dict[str, float] = {}
        self._loss_stats: list[dict[str, Tensor]] = []
        self.resumed_at = 0

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> Tensor:
        """TRL's table (B, reward functions); what the mechanisms need to know of it is kept."""
        table: Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        columns = dict(zip(self.reward_func_names, table.unbind(dim=1), strict=True))
        chosen = torch.stack([columns[name] for name in self.part_weights], dim=1)
        weights = torch.tensor(list(self.part_weights.values()), dtype=torch.float32, device=table.device)
        rewards = (chosen * weights.unsqueeze(0)).nansum(dim=1)
        rewards[torch.isnan(chosen).all(dim=1)] = torch.nan
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        truncated = [not ids or ids[-1] not in ends for ids in completion_ids_list]
        self.batch = Batch(
            parts={name: columns[name] for name in self.part_weights},
            valid=torch.ones_like(rewards, dtype=torch.bool) if self.valid is None else columns[self.valid] > 0,
            correct=(rewards if self.correct is None else columns[self.correct]) > 0,
            truncated=torch.tensor(truncated, device=table.device),
            lengths=torch.tensor([float(len(ids)) for ids in completion_ids_list], device=table.device),
            rewards=rewards,
        )
        return table

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """TRL's checkpoint, with the mechanisms' state and the completions that are not used up."""
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        (folder / STATE_FILE).write_text(json.dumps(self.pipeline.state_dict()))
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            torch.save(self.half_used_batch(), folder / BATCH_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """TRL's checkpoint, and what `_save_checkpoint` put beside it."""
        folder = Path(resume_from_checkpoint)
        if not (folder / STATE_FILE).is_file():
            raise ValueError(f"{folder} has no {STATE_FILE}: it is not whole, or another trainer wrote it")
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.pipeline.load_state_dict(json.loads((folder / STATE_FILE).read_text()))
        self.resumed_at = int(folder.name.rpartition("-")[2])
        if (folder / BATCH_FILE).is_file():
            self.load_batch(torch.load(folder / BATCH_FILE, weights_only=True))


def grpo_config(**overrides: Any) -> GRPOConfig:
    """Stands for the exported file's own, whose defaults are the profile's."""
    return GRPOConfig(**overrides)
