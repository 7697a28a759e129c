"""How long one candidate will take: an estimate from rates of the hardware, until a run has measured it.

Decoding waits for memory (the weights and the cache of keys and values are read once a token), all else for matrix
products. Both are taken at a share of the rates that the machine showed, or that a card's data sheet states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.profiles.forecast import Machine, checkpointed, row_tokens, update_rows, vllm_share
from engine.profiles.shapes import Shape

LENGTH = 0.5
"""Mean length of a completion, of what it may have at most: the estimate's weakest point."""
ACHIEVED = {"product": 0.4, "memory": 0.6}
"""Of the rates; usual for models of this size, and coarse."""
LAYER_SECONDS = {"gpu": 1e-3, "cpu": 1e-4}
"""Of transformers' decoding a layer and token, whatever the batch: Python and the start of kernels."""
VLLM_STEP_SECONDS = 3e-3
"""Of vLLM's decoding a token, whatever the batch."""
MICRO_BATCH_SECONDS = 5e-3
"""Of a layer and micro-batch on a GPU, all passes together, whatever its size: the start of kernels."""
START_SECONDS = {"vllm": 60.0, "transformers": 10.0}
"""Of a process: loading the model, and vLLM's own preparations."""


@dataclass(frozen=True)
class Rates:
    """What hardware does in a second.

    Attributes:
        product: floating-point operations of matrix products, bfloat16 on a GPU and float32 on a CPU.
        memory: bytes.
        source: where the figures come from.
    """

    product: float
    memory: float
    source: str


@dataclass(frozen=True)
class Card:
    """A usual card of a size of memory, by its data sheet: dense bfloat16 products and memory."""

    name: str
    gib: int
    rates: Rates


CARDS = tuple(
    Card(name, gib, Rates(teraflops * 1e12, gigabytes * 1e9, "its data sheet"))
    for name, gib, teraflops, gigabytes in (
        ("RTX 4080", 16, 97, 717),
        ("RTX 4090", 24, 165, 1008),
        ("RTX A6000", 48, 155, 768),
        ("A100", 80, 312, 2039),
    )
)


@dataclass(frozen=True)
class Duration:
    """Seconds of one candidate that trains to its end."""

    generation: float
    training: float
    scoring: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.generation + self.training + self.scoring


def candidate_seconds(
    profile: Mapping[str, Any], tasks: Sequence[str], shape: Shape, machine: Machine, rates: Rates
) -> Duration:
    """One candidate, alone on the machine, with completions of `LENGTH` of what they may have.

    Args:
        profile: resolved.
        tasks: names of its tasks.
    """
    train, score = profile["train"], profile["score"]
    batches = -(-train["updates"] // train["updates_per_batch"])
    rows = train["prompts_per_batch"] * train["group_size"]
    tokens = train["updates"] * update_rows(train) * LENGTH * row_tokens(train)
    # Forward and backward through frozen weights take 2 + 2 operations a weight and token, layers that are made again 2
    # more, and the old and the reference log-probabilities 2 each.
    passes = 4 + 2 * checkpointed(train) + 2 + 2 * (train["beta"] > 0)
    completions = sum(_of(score["problems"], task) * _of(score["samples"], task) for task in tasks)
    at_once = min(int(score["batch_size"]), completions)
    length = LENGTH * score["max_completion_length"]
    parts = train["updates"] * update_rows(train) // (train.get("micro_rows") or update_rows(train))
    launches = parts * shape.layers * MICRO_BATCH_SECONDS if machine.gpu else 0.0
    start = START_SECONDS["vllm" if vllm_share(profile, machine) else "transformers"]
    return Duration(
        generation=batches * decoding(profile, shape, machine, rates, rows, LENGTH * train["max_completion_length"]),
        training=start + launches + passes * shape.parameters * tokens / (ACHIEVED["product"] * rates.product),
        scoring=start + completions / at_once * decoding(profile, shape, machine, rates, at_once, length),
    )


def _of(figure: int | Mapping[str, int], task: str) -> int:
    return figure if isinstance(figure, int) else figure[task]


def decoding(
    profile: Mapping[str, Any], shape: Shape, machine: Machine, rates: Rates, rows: int, length: float
) -> float:
    """Seconds to sample one batch.

    Args:
        rows: completions at once, as many of them as the sampler's cache holds.
        length: of each, in tokens.
    """
    element = 2 if machine.gpu else 4
    token = 2 * shape.kv * shape.layers * element
    share = vllm_share(profile, machine)
    weights = shape.parameters * (2 if share else 4)
    if share:
        room = max(share * machine.memory - weights, 0.0)
        at_once = max(1, min(rows, int(room / (token * max(length, 1.0)))))
        fixed = VLLM_STEP_SECONDS
    else:
        at_once, fixed = rows, LAYER_SECONDS["gpu" if machine.gpu else "cpu"] * shape.layers
    read = (weights + at_once * token * length / 2) / (ACHIEVED["memory"] * rates.memory)
    made = 2 * shape.parameters * at_once / (ACHIEVED["product"] * rates.product)
    return rows / at_once * length * (max(read, made) + fixed)
