"""What a training will take in memory, before it runs, and the settings that make it fit a card.

Figures of activations are those that autograd keeps of transformers' Llama and Qwen2 with LoRA, counted on CPU
(tests/profiles/test_forecast.py counts again); nothing here was measured on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from engine.generation.choice import MEMORY_SHARE
from engine.profiles.shapes import Shape

GIB = 1 << 30
USABLE = 0.92
"""Of a card's memory; the rest goes to the allocator's fragments and to whatever else draws on it."""
USABLE_RAM = 0.8
"""Of a machine's memory, for trainings on CPU."""
CONTEXT = GIB * 6 // 10
"""Of a process on a GPU: the CUDA context and its libraries; about this on recent cards."""
INTERPRETER = GIB * 9 // 10
"""Of a trainer's process on a CPU: torch, transformers, TRL, and what the allocator keeps."""
LOGIT_COLUMNS = 32768
"""TRL 1.16 makes log-probabilities in tiles of at most so many columns of the vocabulary."""
LOGIT_COPIES = 3
"""Of such a tile: logits, probabilities, gradient; float32."""
PROMPT = 64
"""Tokens of a prompt, where the profile sets no bound."""
VLLM_ROWS = 256
"""Completions that vLLM works on at once, see `engine.generation.colocated`."""
MICRO_TOKENS = 16384
"""Of a micro-batch that is only a part of an update; this many keep a GPU busy."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one training, part by part.

    Attributes:
        base: the base model in float32, and what the process itself takes.
        adapter: LoRA's weights and gradients, float32.
        optimizer: Adam's two moments of them.
        activations: kept for the backward pass of one micro-batch.
        generation: the sampler: vLLM's share of the card, or transformers' cache of keys and values.
        asleep: the sampler gives its memory back before the optimizer works, as transformers does, and vLLM asleep.
    """

    base: int
    adapter: int
    optimizer: int
    activations: int
    generation: int
    asleep: bool = False

    @property
    def total(self) -> int:
        """At the peak."""
        fixed, both = self.base + self.adapter + self.optimizer, (self.activations, self.generation)
        return fixed + (max(both) if self.asleep else sum(both))

    def parts(self) -> dict[str, int]:
        """By name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "asleep"}


@dataclass(frozen=True)
class Machine:
    """Where a training runs.

    Attributes:
        memory: bytes of the card, or of the machine where there is none.
        gpu: its name; "" on a CPU.
    """

    memory: int
    gpu: str = ""

    @property
    def usable(self) -> int:
        """Bytes that trainings may take together."""
        return int(self.memory * (USABLE if self.gpu else USABLE_RAM))


def update_rows(train: Mapping[str, Any]) -> int:
    """Completions that one optimizer update is made from."""
    return int(train["prompts_per_batch"] * train["group_size"] // train["updates_per_batch"])


def row_tokens(train: Mapping[str, Any]) -> int:
    """Tokens of the longest row: prompt and completion."""
    return int(train.get("max_prompt_length") or PROMPT) + int(train["max_completion_length"])


def training_memory(profile: Mapping[str, Any], shape: Shape, machine: Machine, rows: int | None = None) -> Memory:
    """What one training takes at its peak, every completion being as long as it may be.

    Args:
        profile: resolved.
        rows: of a micro-batch; the profile's by default, else a whole update.
    """
    train = profile["train"]
    rows = rows or train.get("micro_rows") or update_rows(train)
    rank = profile["model"]["lora_r"]
    adapter = shape.adapter_parameters(rank)
    element = 2 if machine.gpu else 4  # autocast to bfloat16 on a GPU
    share = vllm_share(profile, machine)
    if share:
        generation = int(share * machine.memory)
    else:
        generated = train["prompts_per_batch"] * train["group_size"]
        cache = generated * row_tokens(train) * 2 * shape.kv * shape.layers * element
        generation = cache + LOGIT_COPIES * 4 * generated * shape.vocabulary
    return Memory(
        base=4 * shape.parameters + (CONTEXT if machine.gpu else INTERPRETER),
        adapter=8 * adapter,
        optimizer=8 * adapter,
        activations=activations(shape, rank, train, rows, element),
        generation=generation,
        asleep=not share or bool(profile["generation"]["sleep"]),
    )


def activations(shape: Shape, rank: int, train: Mapping[str, Any], rows: int, element: int) -> int:
    """Bytes that the backward pass of one micro-batch needs.

    A layer keeps, for a token, 6 float32 of the hidden width (norms, residuals; with autocast 4 and 4 half as wide),
    and in the element's width 4 of the MLP's, 2 of the keys', 7 of LoRA's rank. With autocast it also keeps its weights
    as they were cast. Checkpointed, a layer keeps its input alone, and one layer at a time is made again.
    """
    tokens = rows * row_tokens(train)
    layer = tokens * (24 * shape.hidden + element * (4 * shape.intermediate + 2 * shape.kv + 7 * rank))
    if element == 2:
        layer += 2 * shape.layer_parameters
    kept = layer + shape.layers * tokens * 4 * shape.hidden if checkpointed(train) else shape.layers * layer
    columns = min(LOGIT_COLUMNS, shape.vocabulary)
    return kept + LOGIT_COPIES * 4 * rows * int(train["max_completion_length"]) * columns


def checkpointed(train: Mapping[str, Any]) -> bool:
    """Whether layers are made again in the backward pass."""
    return bool(train.get("gradient_checkpointing"))


def vllm_share(profile: Mapping[str, Any], machine: Machine) -> float:
    """Of the card's memory; 0 where transformers samples."""
    table = profile.get("generation") or {}
    return float(table.get("memory_share", MEMORY_SHARE)) if machine.gpu and table.get("engine") == "vllm" else 0.0


def largest_share(profile: Mapping[str, Any], shape: Shape, machine: Machine) -> float:
    """Share of the card that vLLM needs to hold all completions that it works on at once, in steps of 0.05; less where
    the smallest training does not leave as much.
    """
    smallest = training_memory(profile, shape, machine, 1)
    left = machine.usable - smallest.base - smallest.adapter - smallest.optimizer
    if not profile["generation"]["sleep"]:
        left -= smallest.activations
    rows = min(VLLM_ROWS, profile["train"]["prompts_per_batch"] * profile["train"]["group_size"])
    wanted = 2 * shape.parameters + rows * row_tokens(profile["train"]) * 4 * shape.kv * shape.layers
    return float(max(math.floor(20 * min(left, wanted) / machine.memory) / 20, 0.05))


def largest_rows(profile: Mapping[str, Any], shape: Shape, machine: Machine) -> int | None:
    """Rows of a micro-batch with which one training fits; None if not even one row does.

    The whole update where it fits; else the largest part of it that does, of no more than `MICRO_TOKENS`: larger ones
    are no faster, and leave no room for another training.
    """
    train = profile["train"]
    whole = update_rows(train)
    for parts in range(1, whole + 1):
        rows = whole // parts
        small = parts == 1 or rows == 1 or rows * row_tokens(train) <= MICRO_TOKENS
        if whole % parts == 0 and small and training_memory(profile, shape, machine, rows).total <= machine.usable:
            return rows
    return None


def fitted(profile: Mapping[str, Any], shape: Shape | None, machine: Machine) -> dict[str, Any]:
    """The resolved profile with what depends on the machine, where it is unset: `train.micro_rows` if the whole update
    does not fit, and vLLM's `generation.memory_share`. They are the same however many workers there are, so that a seed
    gives the same run.
    """
    made = dict(profile)
    if shape is None:
        return made
    if vllm_share(profile, machine) and "memory_share" not in profile["generation"]:
        share = largest_share(profile, shape, machine)
        made["generation"] = {**profile["generation"], "memory_share": share}
    if "micro_rows" not in profile["train"]:
        rows = largest_rows(made, shape, machine)
        if rows is not None and rows != update_rows(profile["train"]):
            made["train"] = {**profile["train"], "micro_rows": rows}
    return made


def trainings_at_once(profile: Mapping[str, Any], shape: Shape, machine: Machine, taken: int = 0) -> int:
    """How many trainings of a profile fit side by side on one card, or in a machine's memory.

    Args:
        taken: bytes that others use there.
    """
    each = training_memory(profile, shape, machine).total
    return max(0, (machine.usable - taken) // each)
