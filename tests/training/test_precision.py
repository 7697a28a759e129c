"""Computing in bfloat16 leaves the weights what they are: the base to the bit, the adapter in float32."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from engine.contract import Algorithm
from engine.training import checkpoints
from tests.training import toy
from tests.training.test_seam import train


def test_under_bfloat16_the_base_stays_as_it_was_and_the_adapter_learns_in_float32(tmp_path: Path) -> None:
    trainer = train(tmp_path / "t", Algorithm("GRPO"), max_steps=4, save_steps=4, bf16=True)
    before = toy.model().state_dict()
    for name, value in trainer.model.named_parameters():
        assert value.dtype == torch.float32, name
        if "lora_" not in name:
            assert torch.equal(value, before[name.removeprefix("base_model.model.").replace(".base_layer", "")]), name
    assert any(value.abs().max() > 0 for name, value in toy.adapter(trainer).items() if "lora_B" in name)


def test_a_checkpoint_holds_the_adapter_and_never_the_base(tmp_path: Path) -> None:
    trainer = train(tmp_path / "t", Algorithm("GRPO"), max_steps=4, save_steps=4)
    newest = checkpoints.newest(tmp_path / "t" / "checkpoints")
    assert newest is not None
    held = [path for path in newest.rglob("*") if path.suffix in (".safetensors", ".bin", ".pt", ".pth")]
    weights = [path for path in held if path.suffix == ".safetensors"]
    assert [path.name for path in weights] == ["adapter_model.safetensors"]
    with safe_open(weights[0], "pt") as file:
        assert file.keys() and all("lora_" in name for name in file.keys())  # noqa: SIM118 - no dict
    adapter = sum(value.numel() * 4 for value in toy.adapter(trainer).values())
    moments = (newest / "optimizer.pt").stat().st_size
    assert 2 * adapter < moments < 2 * adapter + 64 * 1024, "two moments of the adapter, and of nothing else"
