"""A toy world for trainer tests: a random character Llama and a grader of three reward parts, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig

from engine.tasks.grader_client import Item
from engine.tasks.interface import Grade

torch.set_num_threads(1)  # a tiny model gains nothing from more, and loses much on a busy machine

ALPHABET = "0123456789+-*=#;. abc"
WEIGHTS = {"digits": 1.0, "short": 0.5, "sparse": 0.3}


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {c: i for i, c in enumerate(["<pad>", "<eos>", *ALPHABET])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left")


def model(seed: int = 0) -> LlamaForCausalLM:
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(ALPHABET) + 2,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config)


def parts(completion: str) -> dict[str, float | None]:
    """Three parts on different scales; `sparse` is missing on some rows."""
    return {
        "digits": float(sum(c.isdigit() for c in completion)) / 4,
        "short": 1.0 - len(completion) / 16,
        "sparse": None if "a" in completion else float("1" in completion),
    }


class ToyGrader:
    def grade(self, items: Sequence[Item]) -> list[Grade]:
        return [
            Grade(
                parts=parts(i["completion"]),
                valid="#" in i["completion"] or "1" in i["completion"],
                correct="1" in i["completion"] and "2" in i["completion"],
            )
            for i in items
        ]


def dataset() -> Dataset:
    prompts = [f"{a}+{b}=" for a in range(4) for b in (1, 12, 7)]
    return Dataset.from_list([{"id": f"p{i}", "task": "toy", "prompt": p} for i, p in enumerate(prompts)])


def reward_functions() -> list[Any]:
    """The same parts as TRL reward functions."""

    def make(name: str) -> Any:
        def function(completions: list[str], **_: Any) -> list[float | None]:
            return [parts(c)[name] for c in completions]

        function.__name__ = name
        return function

    return [make(name) for name in WEIGHTS]


def lora() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")


def config(folder: Path, **changes: Any) -> GRPOConfig:
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "seed": 7,
        "max_steps": 8,
        "learning_rate": 5e-2,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": 2,
        "num_generations": 8,
        "loss_type": "grpo",
        "epsilon": 0.2,
        "beta": 0.05,
        "entropy_coef": 0.01,
        "use_bias_correction_kl": False,
        "max_completion_length": 8,
        "top_k": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "remove_unused_columns": False,
    }
    return GRPOConfig(**{**settings, **changes})


def adapter(trainer: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in trainer.model.named_parameters() if "lora" in k}
