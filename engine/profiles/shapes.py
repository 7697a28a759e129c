"""The shape of a decoder: what memory and time are forecast from, without loading the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import PoiseError
from engine.profiles.models_folder import model_dir


@dataclass(frozen=True)
class Shape:
    """A Llama-like decoder: grouped-query attention, gated MLP, RMS norm.

    Attributes:
        positions: tokens that it has learnt to read at once, prompt and completion together.
        tied: whether embedding and head share their weights.
        attention_bias: of the query, key and value projections.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    positions: int
    tied: bool = True
    attention_bias: bool = False

    @property
    def kv(self) -> int:
        """Width of the keys, and of the values, of one layer."""
        return self.kv_heads * self.head_dim

    @property
    def layer_parameters(self) -> int:
        """Of one layer."""
        q = self.heads * self.head_dim
        bias = q + 2 * self.kv if self.attention_bias else 0
        return 2 * self.hidden * (q + self.kv) + 3 * self.hidden * self.intermediate + 2 * self.hidden + bias

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * self.layer_parameters + self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on all seven linear maps of each layer (arXiv 2106.09685): rank * (inputs + outputs) each."""
        q, h = self.heads * self.head_dim, self.hidden
        return rank * self.layers * (2 * (h + q) + 2 * (h + self.kv) + 3 * (h + self.intermediate))


KNOWN: Mapping[str, Shape] = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape(576, 1536, 30, 9, 3, 64, 49152, 8192),
    "Qwen/Qwen2.5-Math-1.5B": Shape(1536, 8960, 28, 12, 2, 128, 151936, 4096, attention_bias=True),
}
"""Models of the shipped profiles, so that a forecast needs no download: 134,515,008 and 1,543,714,304 parameters."""


def shape_of(profile_model: Mapping[str, Any]) -> Shape | None:
    """Of a profile's model, from its config.json; from `KNOWN` while it is not there; None where neither tells."""
    try:
        config = json.loads((model_dir(profile_model) / "config.json").read_text(encoding="utf-8"))
        return read_shape(config)
    except (PoiseError, OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return KNOWN.get(str(profile_model["name"]))


def read_shape(config: Mapping[str, Any]) -> Shape:
    """From the fields of a config.json.

    Raises:
        KeyError, TypeError, ValueError: it is of another kind of model.
    """
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    return Shape(
        hidden=hidden,
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        vocabulary=int(config["vocab_size"]),
        positions=int(config["max_position_embeddings"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=bool(config.get("attention_bias")) or config.get("model_type") == "qwen2",
    )
