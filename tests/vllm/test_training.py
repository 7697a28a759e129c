"""The real vLLM samples for our trainer: what it samples with is the policy, and what it says of it is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import set_seed

from engine.generation.merged import merged_parameters
from engine.training.figures import SAMPLER_CAP
from tests.vllm import world

PACKED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
"""vLLM keeps these of a Llama in one matrix, row upon row."""
BF16_GAP = 0.02
"""Nats a token by which bfloat16 in vLLM and float32 in the trainer may differ on average."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> world.Training:
    """Six updates on three batches of 64 completions."""
    return world.train(tmp_path_factory.mktemp("vllm"))


def in_vllm(trainer: Any) -> dict[str, torch.Tensor]:
    runner = trainer.vllm_generation.llm.llm_engine.model_executor.driver_worker.model_runner
    return dict(runner.model.named_parameters())


def expected(model: Any) -> dict[str, torch.Tensor]:
    """What vLLM should hold: base plus adapter, rounded once, under its own names."""
    plain = {name: value.to(torch.bfloat16) for name, value in merged_parameters(model)}
    found = {}
    for name, value in plain.items():
        packed = next(((whole, parts) for whole, parts in PACKED.items() if name.split(".")[-2] in parts), None)
        if packed is None:
            found[name] = value
        else:
            whole, parts = packed
            at = name.split(".")
            names = [".".join([*at[:-2], part, at[-1]]) for part in parts]
            found[".".join([*at[:-2], whole, at[-1]])] = torch.cat([plain[n] for n in names])
    return found


def test_after_a_synchronisation_vllm_holds_base_plus_adapter_to_the_bit(trained: world.Training) -> None:
    trainer = trained.trainer
    start = {name: value.to(torch.bfloat16) for name, value in trained.base.items()}
    trainer.vllm_generation.sync_weights()
    held, wanted = in_vllm(trainer), expected(trainer.model)
    assert set(held) == set(wanted)
    # Its embedding is as long as its kernels like it; the rows beyond the vocabulary are never looked at.
    other = [name for name in wanted if not torch.equal(held[name][: len(wanted[name])], wanted[name])]
    assert other == []
    changed = [n for n, v in merged_parameters(trainer.model) if "_proj" in n]
    assert len(changed) == 4 * 7
    moved = "base_model.model.model.layers.0.mlp.down_proj.base_layer.weight"
    assert not torch.equal(held["model.layers.0.mlp.down_proj.weight"], start[moved]), "it did train"


def test_a_training_leaves_its_base_as_it_was_to_the_bit(trained: world.Training) -> None:
    now = world.base(trained.trainer)
    assert all(torch.equal(now[name], value) for name, value in trained.base.items())


def test_the_samplers_log_probabilities_are_the_trainers_but_for_rounding(trained: world.Training) -> None:
    """In the first batch, where both hold the base, and in the last, after synchronisations."""
    assert len(trained.batches) == 3
    for batch in (trained.batches[0], trained.batches[-1]):
        mask = batch["completion_mask"].bool()
        gap = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"])[mask].abs()
        assert 0 < gap.mean() < BF16_GAP
        assert gap.max() < 1.0


def test_the_correction_is_that_of_each_token_cut_off_above_and_weighs_once(trained: world.Training) -> None:
    for batch in trained.batches:
        ratio = torch.exp((batch["old_per_token_logps"] - batch["sampling_per_token_logps"]) * batch["completion_mask"])
        assert torch.equal(batch["importance_sampling_ratio"], ratio.clamp(max=SAMPLER_CAP))
    held = trained.trainer._buffered_inputs
    assert held is not None
    shipped = torch.cat([part["poise_sampler_weight"] for part in held])
    given = torch.cat([part["importance_sampling_ratio"] for part in held])
    assert torch.equal(shipped, given), "what the loss multiplies by is TRL's ratio, as one sampler_weight"


def test_the_metrics_say_how_fast_it_sampled_and_how_far_from_the_trainer(trained: world.Training) -> None:
    rows = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 7))
    for row in rows:
        assert row["tokens_per_second"] > 0
        assert 0 < row["sampler_gap"] < BF16_GAP
        assert 0.99 < row["sampler_kept"] <= 1.0


def test_a_completion_ends_where_the_tokenizer_says_so(trained: world.Training) -> None:
    end = trained.trainer._tokenizer.eos_token_id
    batch = trained.trainer.batch
    assert batch is not None
    tensors = trained.batches[-1]
    for ids, mask, cut in zip(tensors["completion_ids"], tensors["completion_mask"], batch.truncated, strict=True):
        written = ids[mask.bool()].tolist()
        assert (end in written) == (not cut)
        assert end not in written[:-1]
    assert 0 < batch.truncated.float().mean() < 1 or not batch.truncated.any()
    assert batch.correct.any(), "and it does what the base does: some of it is right"


def test_a_seed_samples_again_what_it_sampled_and_another_one_something_else(
    trained: world.Training, tmp_path: Path
) -> None:
    """A second training of the seed, and its engine asked again under another one: each has a gigabyte of cache."""
    again = world.train(tmp_path / "again", updates=2, checkpoint_every=2)
    tensors = trained.batches[0]
    assert torch.equal(tensors["completion_ids"], again.batches[0]["completion_ids"])
    prompts = [i[m.bool()].tolist() for i, m in zip(tensors["prompt_ids"], tensors["prompt_mask"], strict=True)]

    def sampled(seed: int) -> list[list[int]]:
        set_seed(seed)
        _, completions, _, _ = again.trainer.vllm_generation.generate(prompts, None, 8)
        return [list(ids) for ids in completions]

    one, two, three = sampled(7), sampled(7), sampled(8)
    assert one == two != three
    assert len({tuple(ids) for ids in one[:8]}) > 1, "the completions of a prompt are drawn one by one"
