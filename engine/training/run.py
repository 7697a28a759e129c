"""The `train` job: one training of one algorithm, from the profile to an adapter.

Runs in its own process: it imports a candidate's file. The job's extra keys: `grader_fd` (a connected socket to the
grader), `off` (mechanisms switched off), `resume` (go on from the newest checkpoint of the folder that is whole),
`micro_batches` (parts that an update's rows are split into, 1 by default: more of them take less memory), `until` (the
update to train to; the end by default, and a schedule counts on the end in any case).
"""

from __future__ import annotations

import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils as trl_utils
from datasets import Dataset
from peft import LoraConfig
from transformers import set_seed
from trl import GRPOConfig

from engine.algorithms.loader import load_algorithm
from engine.algorithms.pipeline import Pipeline
from engine.archive.files import sync_files
from engine.contract import Algorithm
from engine.errors import PoiseError
from engine.generation.choice import uses_vllm
from engine.process.child import Failure, Paused, Stopped
from engine.profiles.load_model import load_base, lora_settings
from engine.tasks.grader_client import GraderClient
from engine.training import checkpoints
from engine.training.figures import SAMPLER_CAP
from engine.training.recording import Recorder, cut_after
from engine.training.trainer import PoiseTrainer

VERSIONED = ("torch", "transformers", "trl", "peft")
"""Packages whose version may change a number."""


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Train and leave `adapter/` in the job's folder.

    Returns:
        `{"updates", "train_seconds", "adapter", "resumed"}`; resumed is None, "exact" (bit for bit as if it had never
        stopped) or "inexact".

    Raises:
        Paused, Stopped: the control word ended it; a checkpoint is there.
        PoiseError: the algorithm is broken or the training diverged.
    """
    if job.get("gpu") is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(job["gpu"])  # in time: nothing has touched CUDA in this process
    folder = Path(job["folder"])
    profile, until = job["profile"], job.get("until")
    train = profile["train"]
    algorithm = load_algorithm(Path(job["algorithm"])) if job.get("algorithm") else Algorithm("GRPO")
    algorithm = algorithm.without(job.get("off") or [])
    split = int(job.get("micro_batches") or 1)
    refuse_split(profile, algorithm, split)
    pipeline = Pipeline(algorithm, seed=job["seed"])
    grader = GraderClient(job["grader_fd"])
    started = time.monotonic()
    recorder = Recorder(folder, pipeline, train["updates_per_batch"], train["sample_every"], until)
    try:
        trainer = build_trainer(profile, job["seed"], folder, pipeline, grader, recorder, split)
        recorder.facts = {"device": str(trainer.accelerator.device.type)} | {name: version(name) for name in VERSIONED}
        if not job.get("resume"):
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        checkpoint = checkpoints.newest(folder / "checkpoints")
        recorder.resume(checkpoint)
        step = int(checkpoint.name.split("-")[1]) if checkpoint else 0
        cut_after(folder / "metrics.jsonl", step)
        cut_after(folder / "samples.jsonl", step - 1)  # the batch that begins with this update is generated again
        if (
            until is not None and step >= until and checkpoint is not None
        ):  # it was done, and died before it could say so
            trainer._load_from_checkpoint(str(checkpoint))
            trainer.state.global_step = step
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except PoiseError as error:
        if "the grader is gone" in str(error):
            raise Failure(str(error), "grader") from error
        raise
    if recorder.ended_by == "pause":
        raise Paused({"updates": trainer.state.global_step, "train_seconds": time.monotonic() - started})
    if recorder.ended_by == "stop":
        raise Stopped(f"stopped after update {trainer.state.global_step}", {"updates": trainer.state.global_step})
    save_adapter(trainer, folder / "adapter")
    return {
        "updates": trainer.state.global_step,
        "train_seconds": time.monotonic() - started,
        "adapter": "adapter",
        "resumed": recorder.facts.get("resumed"),
    }


def refuse_split(profile: dict[str, Any], algorithm: Algorithm, split: int) -> None:
    """Raise unless an update's rows may be split into so many micro-batches without changing the algorithm.

    Raises:
        Failure: "indivisible".
    """
    train = profile["train"]
    rows = train["prompts_per_batch"] * train["group_size"] // train["updates_per_batch"]
    local = [m.name for m in algorithm.mechanisms if m.local]
    why = None
    if split > 1 and local:
        why = f"{', '.join(local)} works on a micro-batch as a whole"
    elif split > 1 and any(m.whole_groups for m in algorithm.mechanisms) and rows // split % train["group_size"]:
        why = f"a micro-batch must hold whole groups, and {rows} rows cannot be split into {split} parts of them"
    elif rows % split:
        why = f"the {rows} rows of an update cannot be split into {split} equal parts"
    if why is not None:
        raise Failure(f"a smaller micro-batch is not possible: {why}", "indivisible")


def save_adapter(trainer: PoiseTrainer, target: Path) -> None:
    """Write the adapter, whole or not at all, and on disk: the engine takes the training for done after this.

    Raises:
        Failure: "diverged", some of its numbers are not finite.
    """
    for name, value in trainer.model.named_parameters():
        if value.requires_grad and not torch.isfinite(value).all():
            raise Failure(f"diverged: {name} is not finite after update {trainer.state.global_step}", "diverged")
    made = target.with_name(".adapter")
    shutil.rmtree(made, ignore_errors=True)
    trainer.model.save_pretrained(str(made), safe_serialization=True)
    sync_files(made)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    sync_files(target.parent)  # the curves too: what is decided from them must not depend on a power cut


def build_trainer(
    profile: dict[str, Any],
    seed: int,
    folder: Path,
    pipeline: Pipeline,
    grader: GraderClient,
    recorder: Recorder,
    split: int = 1,
) -> PoiseTrainer:
    """The trainer of a profile, ready to run; draws the adapter's initial weights from `seed`."""
    torch.set_num_threads(profile["train"]["threads"])
    torch.use_deterministic_algorithms(True, warn_only=True)
    set_seed(seed)
    model, tokenizer = load_base(profile["model"])
    narrow_logprob_tile(model.config.vocab_size)
    prompts, part_weights = grader.prompts()
    args = grpo_config(profile, seed, folder / "checkpoints", split)
    if args.use_vllm:  # what its cache of keys and values must be able to hold; the model's own limit may be far more
        longest = max(len(ids) for ids in tokenizer([row["prompt"] for row in prompts])["input_ids"])
        args.vllm_max_model_length = longest + args.max_completion_length
    trainer = PoiseTrainer(
        pipeline=pipeline,
        grader=grader,
        part_weights=part_weights,
        on_batch=recorder.on_batch,
        model=model,
        args=args,
        train_dataset=Dataset.from_list(prompts),
        processing_class=tokenizer,
        peft_config=lora_config(profile["model"]),
        callbacks=[recorder],
    )
    recorder.trainer = trainer
    return trainer


def narrow_logprob_tile(vocabulary: int) -> None:
    """Let TRL's log-probability buffer be as wide as the vocabulary instead of 32,768 columns.

    The numbers are the same; with 40 characters an update takes 0.6 of the time, since rows no longer lie 128 KB apart.
    """
    trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE = min(vocabulary, trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE)


def lora_config(model: dict[str, Any]) -> LoraConfig:
    """The profile's adapter."""
    return LoraConfig(**lora_settings(model))


def grpo_config(profile: dict[str, Any], seed: int, output: Path, split: int = 1) -> GRPOConfig:
    """TRL's settings for the root: paper GRPO, off-policy by `updates_per_batch`.

    Args:
        split: micro-batches that make up one update.
    """
    train = profile["train"]
    rows = train["prompts_per_batch"] * train["group_size"]
    cuda = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(output),
        seed=seed,
        max_steps=train["updates"],
        learning_rate=train["learning_rate"],
        lr_scheduler_type="constant",
        per_device_train_batch_size=rows // train["updates_per_batch"] // split,
        gradient_accumulation_steps=split,
        steps_per_generation=train["updates_per_batch"] * split,
        num_generations=train["group_size"],
        num_iterations=1,
        loss_type="grpo",
        scale_rewards="group",
        epsilon=train["clip_epsilon"],
        beta=train["beta"],
        entropy_coef=train["entropy_coef"],
        use_bias_correction_kl=False,
        temperature=train["temperature"],
        top_p=1.0,
        top_k=0,
        max_completion_length=train["max_completion_length"],
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=train["checkpoint_every"],
        save_total_limit=None,  # TRL goes by file times, which a clock that is set confuses: see checkpoints.py
        report_to=[],
        disable_tqdm=True,
        use_cpu=not cuda,
        bf16=cuda,
        fp16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=cuda,
        **vllm_settings(profile),
    )


def vllm_settings(profile: dict[str, Any]) -> dict[str, Any]:
    """TRL's settings for sampling with vLLM in the trainer's process; none where transformers samples.

    The trainer corrects for the sampler's other arithmetic token by token, cut off above: TRL's own default multiplies
    the ratios of a whole completion, and drops long ones for many small differences.
    """
    if not uses_vllm(profile):
        return {}
    table = profile["generation"]
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": table["memory_share"],
        "vllm_enable_sleep_mode": table["sleep"],
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": SAMPLER_CAP,
    }
