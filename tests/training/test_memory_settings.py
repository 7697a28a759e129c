"""What saves memory changes no training: smaller micro-batches, and activations that are made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoiseError
from engine.profiles.load_model import load_base
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderProcess
from engine.training.run import run_job, short_enough


def metrics(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Of four updates of `tiny`."""
    profile = load_profile("tiny").resolved()
    profile["train"] |= {"updates": 4, "checkpoint_every": 4, **settings}
    with GraderProcess() as process:
        grader = process.connect("tiny", profile["tasks"]["options"], 3).detach()
        run_job({"folder": str(folder), "profile": profile, "seed": 5, "grader_fd": grader})
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("settings", [{"micro_rows": 16}, {"gradient_checkpointing": True}], ids=str)
def test_a_training_in_less_memory_is_the_same_training(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "less").mkdir()
    whole, less = metrics(tmp_path / "whole"), metrics(tmp_path / "less", **settings)
    assert len(whole) == len(less) == 4
    for key in ("reward", "correct", "length"):
        assert less[0][key] == whole[0][key], "the same completions were sampled"
    assert less[0]["grad_norm"] == pytest.approx(whole[0]["grad_norm"], rel=0.02)
    assert less[1]["kl"] == pytest.approx(whole[1]["kl"], rel=0.05, abs=1e-6)


def test_prompts_that_are_too_long_are_left_out_and_if_all_are_it_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    _, tokenizer = load_base({"name": "tiny"})
    prompts: Any = [{"id": "a", "task": "add", "prompt": "1+2="}, {"id": "b", "task": "add", "prompt": "1+2+3+4+5="}]
    assert short_enough(prompts, tokenizer, None) == prompts
    assert [p["id"] for p in short_enough(prompts, tokenizer, 6)] == ["a"]
    assert "1 of 2 problems are longer than 6 tokens: left out" in capfd.readouterr().out
    with pytest.raises(PoiseError, match="no training problem is as short"):
        short_enough(prompts, tokenizer, 2)
