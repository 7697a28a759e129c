"""The seam to TRL 1.16: GRPOTrainer with rewards from a grader and advantages and loss from a `Pipeline`.

Six methods are overridden, all private to TRL, which is why it is pinned and the seam has a contract test:
`_calculate_rewards` asks the grader, `_generate_and_score_completions` replaces the advantages,
`_generate_single_turn` is timed, `_prepare_inputs`
puts torn groups together again for mechanisms that need whole ones, `_compute_loss` runs the loss stages,
`_get_train_sampler` finds the order of the problems again when a training goes on from a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import set_seed
from trl import GRPOTrainer

from engine.algorithms.pipeline import Advantages, Pipeline
from engine.contract import Hyper, Minibatch, Norm, Rollouts, StepStats
from engine.generation.colocated import ours_in_trl
from engine.tasks.grader_client import Item
from engine.tasks.interface import Grade
from engine.training.figures import sampler_means, token_means, token_sums
from engine.training.groups import refuse_torn_groups, whole_groups

PARTS_KEY = "poise_"
"""Prefix of our per-row tensors in TRL's buffered inputs."""


class Grader(Protocol):
    """Whoever grades completions of the training split; gold stays with it."""

    def grade(self, items: Sequence[Item]) -> list[Grade]:
        """One grade an item, in order."""
        ...


@dataclass
class Batch:
    """One generation batch as it was graded; kept for recording."""

    prompts: list[str]
    ids: list[str]
    tasks: list[str]
    completions: list[str]
    parts: dict[str, Tensor]
    """Each (B,), NaN where a part does not apply."""
    valid: Tensor
    correct: Tensor
    truncated: Tensor
    lengths: Tensor
    rewards: Tensor
    advantages: Tensor | None = None
    sampling: dict[str, float] = field(default_factory=dict)
    """How it was sampled: tokens a second, and where the sampler is not the trainer, how far the two are apart."""


class PoiseTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO whose stages come from an algorithm.

    Args:
        pipeline: the algorithm, made executable.
        grader: gives reward parts for completions.
        part_weights: weight of each reward part, by name; their order is the order of reward columns.
        on_batch: told of every generation batch once its advantages are known.
        kwargs: GRPOTrainer's own arguments (model, args, train_dataset, processing_class, peft_config, callbacks).

    The dataset has the columns `prompt`, `id` and `task`, and `remove_unused_columns` must be False.

    Raises:
        PoiseError: a mechanism needs whole groups and the micro-batch cannot hold them.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        grader: Grader,
        part_weights: dict[str, float],
        on_batch: Callable[[Batch], None] = lambda batch: None,
        **kwargs: Any,
    ) -> None:
        args = kwargs["args"]
        refuse_torn_groups(pipeline, args.per_device_train_batch_size, args.num_generations)
        args.reward_weights = list(part_weights.values())
        with ours_in_trl() if args.use_vllm else nullcontext():
            super().__init__(reward_funcs=[_named(name) for name in part_weights], **kwargs)
        if args.use_vllm:
            # The trainer's own ends: those of vLLM come from the model's files, which may say otherwise.
            self.vllm_generation.generation_kwargs |= {"stop_token_ids": self.eos_token_ids, "detokenize": False}
            set_seed(args.seed)  # building vLLM has drawn from the generators that it samples with
        if self.accelerator.num_processes != 1:
            raise ValueError("one process per candidate: distributed training is not supported")
        self.pipeline = pipeline
        self.grader = grader
        self.part_weights = part_weights
        self.on_batch = on_batch
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
        """Token means of the last optimizer update: entropy, kl, ratio_mean, clip_fraction."""
        self._loss_stats: list[dict[str, Tensor]] = []
        self._sampling_seconds = 0.0
        self.resumed_at = 0
        """The update a checkpoint was made after, from which `train` will go on."""

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[str],
        completions: list[str],
        completion_ids_list: list[list[int]],
    ) -> Tensor:
        """(B, parts) as the grader gave them, in the order of `part_weights`."""
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        truncated = [not ids or ids[-1] not in ends for ids in completion_ids_list]
        grades = self.grader.grade(
            [
                {"id": x["id"], "completion": c, "truncated": t}
                for x, c, t in zip(inputs, completions, truncated, strict=True)
            ]
        )
        device = self.accelerator.device
        columns = [[_number(g.parts.get(name)) for g in grades] for name in self.part_weights]
        table = torch.tensor(columns, dtype=torch.float32, device=device).T.contiguous()
        rewards = (table * self.reward_weights.to(device).unsqueeze(0)).nansum(dim=1)
        rewards[torch.isnan(table).all(dim=1)] = torch.nan
        self.batch = Batch(
            prompts=prompts,
            ids=[x["id"] for x in inputs],
            tasks=[x["task"] for x in inputs],
            completions=completions,
            parts={name: table[:, i] for i, name in enumerate(self.part_weights)},
            valid=torch.tensor([g.valid for g in grades], device=device),
            correct=torch.tensor([g.correct for g in grades], device=device),
            truncated=torch.tensor(truncated, device=device),
            lengths=torch.tensor([float(len(ids)) for ids in completion_ids_list], device=device),
            rewards=rewards,
        )
        return table

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's generation, timed; weights are synchronised in it."""
        begun = time.perf_counter()
        try:
            return super()._generate_single_turn(*args, **kwargs)
        finally:
            self._sampling_seconds += time.perf_counter() - begun

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch with the pipeline's advantages and our per-row tensors."""
        self._sampling_seconds = 0.0
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        batch, mask = self.batch, output["completion_mask"]
        assert batch is not None
        batch.sampling["tokens_per_second"] = batch.lengths.sum().item() / max(self._sampling_seconds, 1e-9)
        old_logp: Tensor | None = output.get("old_per_token_logps")
        entropy: Tensor | None = None
        if self.pipeline.needs_entropy or (self.pipeline.needs_logp and old_logp is None):
            logp, entropy = self._extra_pass(output)
            old_logp = logp if old_logp is None else old_logp
        rollouts = Rollouts(
            hyper=self.hyper,
            step=self.state.global_step,
            progress=self.state.global_step / max(self.state.max_steps, 1),
            rewards=batch.rewards,
            parts=batch.parts,
            part_weights=self.part_weights,
            valid=batch.valid,
            correct=batch.correct,
            truncated=batch.truncated,
            group=torch.arange(len(batch.ids), device=mask.device) // self.hyper.group_size,
            lengths=batch.lengths,
            mask=mask,
            old_logp=old_logp,
            sampler_logp=output.get("sampling_per_token_logps"),
            ref_logp=output.get("ref_per_token_logps"),
            entropy=entropy,
            sampler_ratio=output.get("importance_sampling_ratio"),
        )
        with torch.no_grad():
            batch.sampling |= sampler_means(rollouts)
            made = self.pipeline.advantages(rollouts)
        output["advantages"] = made.values
        self._ship(output, rollouts, made)
        batch.advantages = made.values
        self._logs["advantages"].clear()
        self.on_batch(batch)
        return output

    def _ship(self, output: dict[str, Any], r: Rollouts, made: Advantages) -> None:
        """Put what the loss needs beside TRL's own tensors; every one is shuffled and split with its row."""
        rows = {"rewards": r.rewards, "correct": r.correct, "valid": r.valid, "truncated": r.truncated}
        rows |= {"pass_rate": r.pass_rate(), "group": r.group, "row": torch.arange(len(r.group), device=r.group.device)}
        if made.dropped.any():
            rows["keep"] = ~made.dropped
        if made.sampler_weight is not None:
            rows["sampler_weight"] = made.sampler_weight
        rows.update({f"ship_{k}": v for k, v in r.shipped.items()})
        output.update({PARTS_KEY + k: v for k, v in rows.items()})
        # Counts of the generation batch, rescaled to one optimizer step: TRL's own convention for `dapo`.
        output["poise_rows"] = (~made.dropped).sum().float()
        output["poise_tokens"] = (r.mask * (~made.dropped).unsqueeze(1)).sum().float()

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """TRL's micro-batch; of whole groups where a mechanism needs them."""
        before = self._buffered_inputs
        inputs: dict[str, Any] = super()._prepare_inputs(generation_batch)
        made = self._buffered_inputs
        if made is None or made is before or not self.pipeline.needs_whole_groups:
            return inputs
        chunks = self._buffered_inputs = whole_groups(made, PARTS_KEY)
        turn: int = self._step % self.args.steps_per_generation
        return chunks[turn]

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """TRL's sampler, which shuffles anew in every epoch; those that are over are shuffled here, or all would repeat
        the first one after a resume.
        """
        sampler = super()._get_train_sampler(dataset)
        batches = sampler.num_samples // sampler.batch_size * sampler.repeat_count
        for _ in range(self.resumed_at * self.args.gradient_accumulation_steps // max(batches, 1)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    def half_used_batch(self) -> dict[str, Any]:
        """The batch of completions that is not used up yet: with TRL's own state it makes a whole checkpoint."""
        assert self.batch is not None
        return {"turn": self._step, "inputs": self._buffered_inputs, "batch": vars(self.batch)}

    def load_batch(self, saved: dict[str, Any]) -> Batch:
        """Take back what `half_used_batch` gave, before `train`."""
        device = self.accelerator.device
        self._step = saved["turn"]
        self._buffered_inputs = [{k: _moved(v, device) for k, v in part.items()} for part in saved["inputs"]]
        fields = saved["batch"]
        parts = {k: v.to(device) for k, v in fields["parts"].items()}
        self.batch = Batch(**{**{k: _moved(v, device) for k, v in fields.items()}, "parts": parts})
        return self.batch

    def _extra_pass(self, output: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies (B,T) of the policy that generated, for mechanisms that ask for them."""
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        with torch.no_grad():
            logp, entropy, _ = self._get_per_token_logps_and_entropies(
                self.model,
                ids,
                attention,
                output["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
                compute_entropy=True,
            )
        return logp, entropy

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """The pipeline's loss on one micro-batch."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        keep = inputs.get("poise_keep")
        mask = inputs["completion_mask"]
        attention = torch.cat([inputs["prompt_mask"], mask], dim=1)
        if keep is not None:
            mask = mask * keep.unsqueeze(1).to(mask.dtype)
        logp, entropy, _ = self._get_per_token_logps_and_entropies(
            model, ids, attention, inputs["completion_ids"].size(1), compute_entropy=True
        )
        old = inputs.get("old_per_token_logps")
        advantages = inputs["advantages"]
        # The last window of an epoch may be shorter than the others.
        accumulation = self.current_gradient_accumulation_steps
        # Multiplied before it is divided, as TRL does: exact in any precision.
        rows, tokens = (
            inputs[name].item() * accumulation / self.args.steps_per_generation
            for name in ("poise_rows", "poise_tokens")
        )
        minibatch = Minibatch(
            hyper=replace(self.hyper, accumulation=accumulation),
            step=self.state.global_step,
            progress=self.state.global_step / max(self.state.max_steps, 1),
            logp=logp,
            old_logp=logp.detach() if old is None else old,
            ref_logp=inputs.get("ref_per_token_logps"),
            entropy=entropy,
            mask=mask,
            advantages=advantages.unsqueeze(1) if advantages.dim() == 1 else advantages,
            group=inputs["poise_group"],
            rewards=inputs["poise_rewards"],
            correct=inputs["poise_correct"],
            valid=inputs["poise_valid"],
            truncated=inputs["poise_truncated"],
            pass_rate=inputs["poise_pass_rate"],
            keep=keep,
            norm=Norm(rows=rows, tokens=tokens),
            shipped={k[len("poise_ship_") :]: v for k, v in inputs.items() if k.startswith("poise_ship_")},
        )
        loss = self.pipeline.loss(minibatch, inputs.get("poise_sampler_weight"))
        self._loss_stats.append(token_sums(minibatch, loss.ratio, loss.kl))
        return loss.value

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """After each optimizer update (logging_steps is 1): the update's means, then the controllers."""
        if "loss" in logs and self.batch is not None:
            self.update, self._loss_stats = token_means(self._loss_stats), []
            self.pipeline.on_optimizer_step(
                StepStats(
                    step=self.state.global_step,
                    progress=self.state.global_step / max(self.state.max_steps, 1),
                    reward=torch.nanmean(self.batch.rewards).item(),
                    correct=self.batch.correct.float().mean().item(),
                    entropy=self.update["entropy"],
                    kl=self.update["kl"],
                    length=self.batch.lengths.mean().item(),
                    clip_fraction=self.update["clip_fraction"],
                    grad_norm=float(logs.get("grad_norm") or 0.0),
                )
            )
        super().log(logs, start_time)


def _named(name: str) -> Callable[..., list[float]]:
    """A reward function that only lends its name to a column: `_calculate_rewards` fills it."""

    def part(**_: Any) -> list[float]:
        raise RuntimeError("rewards come from the grader")

    part.__name__ = name
    return part


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
