"""The base that an adapter is trained on stays as it is, however often it is sampled from with the adapter added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from engine.errors import PoiseError
from engine.generation.merged import merged_parameters
from tests.training import toy

ROUNDS = 100
STEP = 0.02
"""Of an adapter's weights from one round to the next, as a training would move them."""


def adapted(dtype: torch.dtype, **lora: Any) -> Any:
    settings: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    return get_peft_model(toy.model().to(dtype), LoraConfig(**{**settings, **lora}))


def base(model: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in model.named_parameters() if "lora_" not in k}


def train_a_little(model: Any, generator: torch.Generator) -> None:
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value += STEP * torch.randn(value.shape, generator=generator).to(value.dtype)


def drift(dtype: torch.dtype, sample: Callable[[Any], object]) -> float:
    """How far the base's linear weights are from where they were, as a share of their mean size, after all rounds."""
    model, generator = adapted(dtype), torch.Generator().manual_seed(0)
    before = base(model)
    for _ in range(ROUNDS):
        train_a_little(model, generator)
        sample(model)
    moved = {k: (v - before[k]).float().abs().mean() for k, v in base(model).items() if "_proj" in k}
    size = torch.stack([before[k].float().abs().mean() for k in moved]).mean()
    return (torch.stack(list(moved.values())).mean() / size).item()


def merge_and_take_out(model: Any) -> None:
    """As TRL synchronises."""
    model.merge_adapter()
    model.unmerge_adapter()


def read(model: Any) -> None:
    assert len(list(merged_parameters(model))) == len(base(model))


def test_merging_and_taking_out_again_drifts_the_base_and_ours_leaves_it_to_the_bit() -> None:
    assert drift(torch.bfloat16, merge_and_take_out) > 0.05
    assert drift(torch.float32, merge_and_take_out) > 0.0, "in float32 it is small, but not nothing"
    assert drift(torch.bfloat16, read) == 0.0
    assert drift(torch.float32, read) == 0.0


def test_what_is_sampled_with_is_what_peft_would_merge() -> None:
    model = adapted(torch.float32)
    train_a_little(model, torch.Generator().manual_seed(1))
    ours = dict(merged_parameters(model))
    merged = dict(model.merge_and_unload().named_parameters())
    assert set(ours) == set(merged)
    assert all(torch.equal(ours[name], merged[name]) for name in merged)


def test_a_sum_of_a_bfloat16_base_is_rounded_once() -> None:
    model = adapted(torch.bfloat16)
    train_a_little(model, torch.Generator().manual_seed(1))
    sums = [value for name, value in merged_parameters(model) if "_proj" in name]
    assert sums and all(value.dtype == torch.float32 for value in sums)


@pytest.mark.parametrize(
    "lora", [{"use_dora": True}, {"target_modules": ["embed_tokens", "q_proj"]}], ids=["DoRA", "embedding"]
)
def test_an_adapter_that_is_more_than_a_sum_is_refused(lora: dict[str, Any]) -> None:
    with pytest.raises(PoiseError, match="only plain LoRA on linear layers"):
        list(merged_parameters(adapted(torch.float32, **lora)))


def test_an_adapter_that_is_merged_already_is_not_added_twice() -> None:
    model = adapted(torch.float32)
    model.merge_adapter()
    with pytest.raises(PoiseError, match="not merged"):
        list(merged_parameters(model))
