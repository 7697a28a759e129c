"""vLLM in the process that trains or scores: how it is built, and how TRL's trainer samples with it.

vLLM itself is imported when an engine is built, or by TRL where it is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import trl.trainer.grpo_trainer as grpo_trainer
from torch import Tensor
from trl.generation.vllm_generation import VLLMGeneration

from engine.generation.merged import merged_parameters

ROWS_AT_ONCE = 256
"""Completions that vLLM works on at once; more wait. Its buffers grow with it, and beyond it a GPU gains little."""
TOKENS_AT_ONCE = 4096
"""Of prompts and completions in one step, as TRL has it: with more, vLLM's memory profile takes them for granted."""

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: the weights are written straight into it
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",  # otherwise it asks the network who it is
    "GLOO_SOCKET_IFNAME": "lo",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}
"""What vLLM needs to know before it is built. Its caches lie below HOME, which is the job's folder."""


def build(model: str | Path, *, seed: int, memory_share: float, sleep: bool, rows: int, max_length: int | None) -> Any:
    """A `vllm.LLM` of a model in a folder, on the GPU where there is one.

    Args:
        seed: vLLM draws from this process's own generators, which it seeds with this.
        memory_share: of the GPU's memory, for weights and KV cache; no meaning on a CPU.
        sleep: can give its memory back between two generations; only on a GPU.
        rows: completions that may be asked for at once.
        max_length: tokens of a prompt and its completion together; None: what the model can do.

    Raises:
        ValueError, RuntimeError: vLLM's own words, where there is too little memory or it does not know the model.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm import LLM

    gpu = torch.cuda.is_available()
    return LLM(
        model=str(model),
        dtype="bfloat16",
        seed=seed,
        max_model_len=max_length,
        max_num_seqs=min(rows, ROWS_AT_ONCE),
        max_num_batched_tokens=TOKENS_AT_ONCE,
        enable_prefix_caching=True,  # the samples of a prompt read it once
        # After temperature, as the trainer computes its own: they are compared.
        logprobs_mode="processed_logprobs",
        # CUDA graphs of decoding, but no compiler: its minutes would come again in every candidate's own folder.
        **(
            {"compilation_config": {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}}
            if gpu
            else {"enforce_eager": True}
        ),
        **({"gpu_memory_utilization": memory_share, "enable_sleep_mode": sleep} if gpu else {}),
    )


def load_weights(llm: Any, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Put a model's weights, by the names of its own library, in the place of those that an engine of ours holds."""
    model = llm.llm_engine.model_executor.driver_worker.model_runner.model
    for name, value in weights:
        model.load_weights([(name, value.detach())])
    llm.reset_prefix_cache()


class ColocatedVllm(VLLMGeneration):  # type: ignore[misc]
    """TRL's vLLM in the trainer's process, with a seed of its own training and a base that nothing is written to."""

    def _init_vllm(self) -> None:
        """Build the engine; TRL seeds it with the index of the process, so that every training samples alike."""
        self.enable_sleep_mode: bool = self.enable_sleep_mode and torch.cuda.is_available()
        self.llm = build(
            self.model.name_or_path,
            seed=torch.initial_seed() % 2**31,  # the trainer has just seeded this process with its own
            memory_share=self.gpu_memory_utilization,
            sleep=self.enable_sleep_mode,
            rows=self.max_num_seqs or ROWS_AT_ONCE,
            max_length=self.max_model_length,
        )
        if self.enable_sleep_mode:
            self.llm.sleep(level=2)
        self._llm_weights_sleeping = self.enable_sleep_mode

    def _iter_named_params(self) -> Iterator[tuple[str, Tensor]]:
        """What a synchronisation sends."""
        yield from merged_parameters(self.model)


@contextmanager
def ours_in_trl() -> Iterator[None]:
    """Let TRL's trainer, while it is built, take our class for its own."""
    before = grpo_trainer.VLLMGeneration
    grpo_trainer.VLLMGeneration = ColocatedVllm
    try:
        yield
    finally:
        grpo_trainer.VLLMGeneration = before
