"""Sample with vLLM what `engine.scoring.sampling` samples with transformers, on a GPU and for long responses.

vLLM reads the base from its folder and is then given the merged weights, as in training; its own LoRA kernels, and with
them a second arithmetic, are not used. Every prompt has a seed of its own, so that what is sampled does not depend on
what else is in the batch, up to the rounding of sums that a GPU orders by batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.generation.colocated import ROWS_AT_ONCE, build, load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class VllmSampler:
    """One model in vLLM, to be asked task by task.

    Args:
        model: base and adapter merged; only its weights are read, and it can be thrown away afterwards.
        tokenizer: the model's.
        folder: of the base, whose configuration vLLM reads.
        memory_share: of the GPU's memory.
        longest: tokens of the longest prompt and response together.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        memory_share: float,
        longest: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._llm: Any = build(
            folder, seed=0, memory_share=memory_share, sleep=False, rows=ROWS_AT_ONCE, max_length=longest
        )
        load_weights(self._llm, model.named_parameters())

    def sample(
        self, prompts: Sequence[str], samples: int, max_length: int, temperature: float, seed: str
    ) -> list[list[tuple[str, bool]]]:
        """`samples` responses to each prompt, sampled from the whole distribution: as `engine.scoring.sampling.sample`.

        Returns:
            For each prompt, in the order given, `samples` pairs of (text without the end token, truncated).
        """
        from vllm import SamplingParams

        end = self._tokenizer.eos_token_id
        asked = [
            SamplingParams(
                n=samples,
                seed=_seed(seed, i),  # vLLM adds the sample's number
                temperature=temperature,
                top_p=1.0,
                top_k=0,
                max_tokens=max_length,
                stop_token_ids=[end],
                detokenize=False,
            )
            for i in range(len(prompts))
        ]
        ids = self._tokenizer(list(prompts))["input_ids"]
        answers = self._llm.generate([{"prompt_token_ids": row} for row in ids], asked, use_tqdm=False)
        return [[self._text(output) for output in answer.outputs] for answer in answers]

    def _text(self, output: Any) -> tuple[str, bool]:
        text = self._tokenizer.decode(output.token_ids, skip_special_tokens=True)
        return str(text), output.finish_reason != "stop"


def _seed(seed: str, prompt: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{prompt}".encode()).digest()[:4], "big") >> 1
