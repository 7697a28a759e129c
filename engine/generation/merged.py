"""The weights of base plus adapter, made one at a time, for an engine that samples with them; the base is only read.

TRL merges the adapter into the base, reads the weights and takes the adapter out again at every synchronisation. Each
round trip rounds, so the frozen base drifts: a little in float32, by a quarter of its mean weight after 100 rounds in
bfloat16 (huggingface/trl#6688), and what is scored later is not what was trained. Here nothing is written to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor

from engine.errors import PoiseError

PREFIX = "base_model.model."
"""What peft puts before the names of the base."""
HELD = ".base_layer.weight"


def merged_parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every parameter of the base by its own name, with the active LoRA adapters added where there are some.

    A sum is made in float32 at least and given in it: whoever takes it rounds once.

    Args:
        model: a peft model whose adapters are plain LoRA on linear layers.

    Raises:
        PoiseError: an adapter is more than a sum of base and delta, or is merged into the base.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name, layer in layers.items():
        if not isinstance(layer, Linear) or layer.lora_variant or layer.merged:
            raise PoiseError(f"{name}: only plain LoRA on linear layers, not merged, can be sampled with by vLLM")
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        plain = name.removeprefix(PREFIX).replace(".base_layer.", ".")
        held = layers.get(name.removesuffix(HELD)) if name.endswith(HELD) else None
        yield plain, parameter.detach() if held is None else _sum(parameter, held)


@torch.no_grad()
def _sum(weight: Tensor, layer: Any) -> Tensor:
    total = weight.to(torch.promote_types(weight.dtype, torch.float32))
    for adapter in layer.active_adapters:
        if adapter in layer.lora_A:
            total = total + layer.get_delta_weight(adapter).to(total.dtype)
    return total
