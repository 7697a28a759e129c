"""The tiny profile itself: our trainer and its grader, the exported file with reward functions and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import set_seed

from engine.algorithms.loader import load_algorithm
from engine.algorithms.pipeline import Pipeline
from engine.profiles.load_model import load_base
from engine.profiles.schema import load_profile
from engine.tasks import Grade, load_taskset
from engine.training.run import grpo_config, lora_config
from engine.training.trainer import PoiseTrainer
from tests.standalone.test_trained_alike import CASES, IDS, Case, exported, same, trained
from tests.training import toy

SEED = 11
TINY = load_profile("tiny").resolved()
TASKS = load_taskset("tiny")
PROBLEMS = {p.id: p for task in TASKS.names for p in TASKS.problems("train", task, 16, SEED)}


class Grader:
    def grade(self, items: Any) -> list[Grade]:
        return [TASKS.grade(PROBLEMS[i["id"]], i["completion"], i["truncated"]) for i in items]


def reward_functions(ends: set[int]) -> list[Any]:
    """The parts of tiny's grade, `right` and `readable`, as a user would write them."""

    def function(name: str) -> Any:
        def value(completions: list[str], completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
            cut = [not ids or ids[-1] not in ends for ids in completion_ids]
            rows = zip(columns["id"], completions, cut, strict=True)
            grades = [TASKS.grade(PROBLEMS[i], text, truncated) for i, text, truncated in rows]
            facts = [{**g.parts, "right": float(g.correct), "readable": float(g.valid)} for g in grades]
            return [fact.get(name) for fact in facts]

        value.__name__ = name
        return value

    return [function(name) for name in (*TASKS.part_weights, "right", "readable")]


def world() -> dict[str, Any]:
    set_seed(SEED)
    model, tokenizer = load_base(TINY["model"])
    rows = [{"id": p.id, "task": p.task, "prompt": p.prompt} for p in PROBLEMS.values()]
    return {
        "model": model,
        "processing_class": tokenizer,
        "train_dataset": Dataset.from_list(rows),
        "peft_config": lora_config(TINY["model"]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[:2], ids=IDS[:2])
def test_the_tiny_profile_trains_to_the_same_weights_bit_for_bit(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE", 64)  # as our trainer's process has it: faster
    (tmp_path / "plain").mkdir()
    module = exported(case, tmp_path)
    made = next(v for k, v in vars(module).items() if k.endswith("Trainer") and v.__module__ == module.__name__)
    args = module.grpo_config(output_dir=str(tmp_path / "plain"), seed=SEED)
    args.reward_weights = [*TASKS.part_weights.values(), 0.0, 0.0]
    their = world()
    ends = {their["processing_class"].eos_token_id, their["processing_class"].pad_token_id}
    theirs = made(reward_funcs=reward_functions(ends), args=args, correct="right", valid="readable", **their)
    weights = trained(theirs)
    assert theirs.state.global_step == TINY["train"]["updates"]

    (tmp_path / "algorithm.py").write_text(case.source())
    algorithm = load_algorithm(tmp_path / "algorithm.py")
    ours = PoiseTrainer(
        pipeline=Pipeline(algorithm, seed=SEED),
        grader=Grader(),
        part_weights=dict(TASKS.part_weights),
        args=grpo_config(TINY, SEED, tmp_path / "ours"),
        **world(),
    )
    before = toy.adapter(ours)
    assert same(trained(ours), weights)
    assert not same(before, weights), "it has been trained"
    assert all(torch.isfinite(x).all() for x in weights.values())
