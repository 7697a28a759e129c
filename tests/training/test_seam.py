"""What we use of TRL that is private: an upgrade that moves it must fail here, loudly."""

from __future__ import annotations

import inspect
import json
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import trl.trainer.grpo_trainer as grpo_trainer
import trl.trainer.utils as trl_utils
from trl import GRPOTrainer
from trl.generation.vllm_generation import VLLMGeneration

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.generation.colocated import ColocatedVllm, ours_in_trl
from engine.process.child import Failure
from engine.training import divergence
from engine.training.recording import Recorder, cut_after
from engine.training.run import narrow_logprob_tile
from engine.training.trainer import PoiseTrainer
from tests.training import toy


def test_trl_is_the_version_the_seam_was_read_in() -> None:
    assert version("trl") == "1.16.0"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_calculate_rewards", ["self", "inputs", "prompts", "completions", "completion_ids_list"]),
        ("_generate_and_score_completions", ["self", "inputs"]),
        (
            "_generate_single_turn",
            ["self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images"],
        ),
        ("_prepare_inputs", ["self", "generation_batch"]),
        ("_compute_loss", ["self", "model", "inputs"]),
        ("_get_train_sampler", ["self", "dataset"]),
        ("log", ["self", "logs", "start_time"]),
    ],
)
def test_what_we_override_is_still_there(method: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(GRPOTrainer, method)).parameters) == parameters
    assert method in PoiseTrainer.__dict__


@pytest.mark.parametrize("method", ["_init_vllm", "_iter_named_params"])
def test_what_we_override_of_its_vllm_is_still_there(method: str) -> None:
    assert list(inspect.signature(getattr(VLLMGeneration, method)).parameters) == ["self"]
    assert method in ColocatedVllm.__dict__
    assert grpo_trainer.VLLMGeneration is VLLMGeneration
    with ours_in_trl():
        assert grpo_trainer.VLLMGeneration is ColocatedVllm
    assert grpo_trainer.VLLMGeneration is VLLMGeneration


def train(
    folder: Path, algorithm: Algorithm, resume: Path | None = None, recorder: Recorder | None = None, **settings: object
) -> PoiseTrainer:
    pipeline = Pipeline(algorithm, seed=7)
    recorder = recorder or Recorder(folder, pipeline, updates_per_batch=2, sample_every=2)
    recorder.pipeline = pipeline
    folder.mkdir(exist_ok=True)
    trainer = PoiseTrainer(
        pipeline=pipeline,
        grader=toy.ToyGrader(),
        part_weights=dict(toy.WEIGHTS),
        on_batch=recorder.on_batch,
        model=toy.model(),
        args=toy.config(folder / "checkpoints", lr_scheduler_type="constant", save_strategy="steps", **settings),
        train_dataset=toy.dataset(),
        processing_class=toy.tokenizer(),
        peft_config=toy.lora(),
        callbacks=[recorder],
    )
    recorder.trainer = trainer
    recorder.resume(resume)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def test_every_metric_of_an_update_is_written_and_finite(tmp_path: Path) -> None:
    train(tmp_path / "t", Algorithm("GRPO"), save_steps=8)
    rows = [json.loads(x) for x in (tmp_path / "t" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == list(range(1, 9))
    for r in rows:
        assert all(v is not None for v in r.values())
        assert r["all_fail"] + r["mixed"] + r["all_pass"] == pytest.approx(1.0)
        assert r["kl"] >= 0 and r["entropy"] > 0 and 0 <= r["clip_fraction"] <= 1
    assert any(r["clip_fraction"] > 0 for r in rows), "the second update of a batch is off-policy"
    assert rows[0]["kl"] == 0 and rows[-1]["kl"] > 0


def test_a_narrow_log_probability_tile_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = train(tmp_path / "wide", Algorithm("GRPO"), save_steps=8)
    monkeypatch.setattr(trl_utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE)
    narrow_logprob_tile(23)
    assert trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE == 23
    narrow = train(tmp_path / "narrow", Algorithm("GRPO"), save_steps=8)
    theirs = toy.adapter(wide)
    assert all(torch.allclose(v, theirs[k], atol=1e-6) for k, v in toy.adapter(narrow).items())


@pytest.mark.fault(18)
def test_a_loss_that_is_not_finite_ends_the_training_with_its_update(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"diverged: .* at update 2") as ended:
        train(tmp_path / "t", Algorithm("GRPO"), save_steps=8, learning_rate=float("inf"))
    assert ended.value.reason == "diverged"


@pytest.mark.fault(18)
def test_a_loss_that_is_finite_and_absurd_ends_the_training_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(divergence.BOUNDS, "kl", 1e-9)
    with pytest.raises(Failure, match=r"diverged: kl is .* at update 2"):
        train(tmp_path / "t", Algorithm("GRPO"), save_steps=8)


def test_cutting_a_metrics_file_drops_newer_and_torn_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    cut_after(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
