"""The forecast of memory agrees with what autograd really keeps, and settings derived from a card's memory fit it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from engine.errors import Exit, PoiseError
from engine.loop.fitting import bounded_workers, fit
from engine.profiles.duration import CARDS, candidate_seconds
from engine.profiles.forecast import (
    GIB,
    Machine,
    activations,
    fitted,
    training_memory,
    trainings_at_once,
    update_rows,
)
from engine.profiles.load_model import load_base, lora_settings
from engine.profiles.schema import load_profile
from engine.profiles.shapes import KNOWN, Shape, read_shape, shape_of

LORA = {"lora_r": 16, "lora_alpha": 32, "lora_target": "all-linear"}
SMALL = {
    "llama": Shape(192, 512, 3, 3, 1, 64, 512, 256),
    "qwen2": Shape(256, 1024, 2, 4, 2, 64, 512, 256, attention_bias=True),
}


def decoder(kind: str) -> Any:
    """A small model of random weights."""
    s = SMALL[kind]
    config, make = (LlamaConfig, LlamaForCausalLM) if kind == "llama" else (Qwen2Config, Qwen2ForCausalLM)
    dims: dict[str, Any] = {
        "hidden_size": s.hidden, "intermediate_size": s.intermediate, "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads, "vocab_size": s.vocabulary,
        "max_position_embeddings": s.positions, "tie_word_embeddings": True,
        "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    return make(config(**dims))


def kept_bytes(model: Any, rows: int, tokens: int, autocast: bool) -> int:
    """What autograd keeps of the decoder's layers, the model's own weights aside."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    ids = torch.ones((rows, tokens), dtype=torch.long)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        model.base_model.model.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast to bfloat16"])
@pytest.mark.parametrize("kind", list(SMALL))
def test_activations_are_forecast_as_autograd_keeps_them(kind: str, autocast: bool) -> None:
    model = get_peft_model(decoder(kind), LoraConfig(**lora_settings(LORA))).train()
    rows, tokens = 3, 40
    train = {"max_prompt_length": tokens, "max_completion_length": 0}
    forecast = activations(SMALL[kind], 16, train, rows, 2 if autocast else 4)
    assert forecast == pytest.approx(kept_bytes(model, rows, tokens, autocast), rel=0.05)


def test_checkpointed_layers_keep_their_input_alone() -> None:
    model = get_peft_model(decoder("llama"), LoraConfig(**lora_settings(LORA))).train()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    shape, rows, tokens = SMALL["llama"], 3, 40
    train = {"max_prompt_length": tokens, "max_completion_length": 0, "gradient_checkpointing": True}
    one_layer = (
        activations(Shape(**{**vars(shape), "layers": 1}), 16, train, rows, 4) - rows * tokens * 4 * shape.hidden
    )
    found = kept_bytes(model, rows, tokens, autocast=False)
    assert activations(shape, 16, train, rows, 4) - one_layer == pytest.approx(found, rel=0.4)
    assert found < one_layer, "else checkpointing would save nothing"


@pytest.mark.parametrize("kind", list(SMALL))
def test_parameters_of_a_shape_are_those_of_the_model(kind: str) -> None:
    model = decoder(kind)
    assert SMALL[kind].parameters == sum(p.numel() for p in model.parameters())
    adapted = get_peft_model(model, LoraConfig(**lora_settings(LORA)))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert SMALL[kind].adapter_parameters(16) == trained
    assert read_shape(model.config.to_dict()) == SMALL[kind]


def test_the_shapes_of_the_shipped_profiles_are_those_of_their_models() -> None:
    assert KNOWN["HuggingFaceTB/SmolLM2-135M-Instruct"].parameters == 134_515_008
    assert KNOWN["Qwen/Qwen2.5-Math-1.5B"].parameters == 1_543_714_304
    model, _ = load_base({"name": "tiny"})
    shape = shape_of({"name": "tiny"})
    assert shape is not None and shape.parameters == sum(p.numel() for p in model.parameters())


def qwen() -> dict[str, Any]:
    """The profile as it is where vLLM is installed."""
    profile = load_profile("qwen-math").resolved()
    assert profile["generation"]["engine"] == "vllm"
    return profile


@pytest.mark.parametrize("gib", [16, 24, 48, 80])
def test_the_papers_experiment_fits_cards_from_16_gib_on(gib: int) -> None:
    machine, shape = Machine(gib * GIB, "a card"), KNOWN["Qwen/Qwen2.5-Math-1.5B"]
    made = fitted(qwen(), shape, machine)
    assert update_rows(made["train"]) % made["train"]["micro_rows"] == 0
    assert 0.05 <= made["generation"]["memory_share"] < 0.9
    assert training_memory(made, shape, machine).total <= machine.usable
    assert trainings_at_once(made, shape, machine) >= 1
    assert fitted(made, shape, Machine(1000 * GIB, "another")) == made, "what is set stays"


def test_a_larger_card_is_used_for_more() -> None:
    shape = KNOWN["Qwen/Qwen2.5-Math-1.5B"]
    small, large = (Machine(gib * GIB, "a card") for gib in (16, 80))
    assert fitted(qwen(), shape, small)["train"]["micro_rows"] < fitted(qwen(), shape, large)["train"]["micro_rows"]
    rates = {card.gib: card.rates for card in CARDS}
    seconds = [
        candidate_seconds(fitted(qwen(), shape, m), ["a", "b", "c"], shape, m, rates[m.memory // GIB]).total
        for m in (small, large)
    ]
    assert seconds[1] < seconds[0]


def test_a_card_that_is_too_small_is_refused_with_the_parts_of_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.generation.choice.vllm_version", lambda: "0.31.0")
    with pytest.raises(PoiseError, match=r"takes about .* GiB \(base 6\.\d, adapter .*\), small has 8\.0") as caught:
        fit(qwen(), Machine(8 * GIB, "small"))
    assert caught.value.code == Exit.REFUSED


def test_tiny_stays_as_it_is_on_every_machine() -> None:
    tiny = load_profile("tiny").resolved()
    for machine in (Machine(GIB), Machine(2 * GIB), Machine(500 * GIB), Machine(80 * GIB, "a card")):
        assert fit(tiny, machine) == tiny, "or its protocol would depend on the machine"


def test_there_are_never_more_workers_than_fit() -> None:
    profile, card = load_profile("smollm2").resolved(), Machine(24 * GIB, "a card")
    made = fit({**profile, "generation": {**profile["generation"], "engine": "transformers"}}, card)
    shape = shape_of(profile["model"])
    assert shape is not None
    fits = trainings_at_once(made, shape, card)
    assert 1 <= fits <= 24 * GIB // training_memory(made, shape, card).total
    assert bounded_workers(16, made, card, cards=1) == fits
    assert bounded_workers(1, made, card, cards=1) == 1
    assert bounded_workers(16, made, card, cards=4) == 4 * fits
    assert bounded_workers(4, load_profile("tiny").resolved(), Machine(GIB)) == 1, "one is always tried on a CPU"
