"""The score job on the real model, with and without an adapter."""

import json
import time
from typing import Any

import pytest
import torch

from engine.errors import PoiseError
from engine.profiles.load_model import load_base
from engine.scoring.adapter import merge_adapter
from engine.scoring.scorer import run_job
from engine.tasks import load_taskset
from tests.scoring.conftest import MODEL, Adapter


def test_a_score_has_every_figure_of_every_task(job: dict[str, Any]) -> None:
    data = run_job(job)
    tasks = load_taskset("tiny")
    assert set(data) == {"overall", "standard_error", "benchmarks", "outcomes", "responses", "seconds"}
    assert 0 < data["standard_error"] < 20
    assert 1 < data["responses"]["length"] <= 24 and data["responses"]["truncated"] < data["responses"]["invalid"] < 1
    assert list(data["benchmarks"]) == list(data["outcomes"]) == list(tasks.names)
    for task, row in data["benchmarks"].items():
        assert row["metric"] == ("pass@4" if task in tasks.hard else "avg@8")
        assert row["n"] == 12
        assert 0 <= row["ci"][0] <= row["value"] <= row["ci"][1] <= 100
        assert [len(samples) for samples in data["outcomes"][task]] == [8] * 12
    weighted = sum(tasks.weights[task] * row["value"] for task, row in data["benchmarks"].items())
    assert data["overall"] == pytest.approx(weighted)
    assert json.loads(json.dumps(data)) == data


def test_the_same_seed_gives_the_same_score_and_another_seed_another(job: dict[str, Any]) -> None:
    first = run_job(job)
    again = run_job(job)
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    assert run_job({**job, "score_seed": 6})["outcomes"] != first["outcomes"]


def test_another_split_has_other_problems(job: dict[str, Any]) -> None:
    assert run_job({**job, "split": "confirmation"})["outcomes"] != run_job(job)["outcomes"]


def test_problems_and_samples_may_differ_by_task(job: dict[str, Any]) -> None:
    names = load_taskset("tiny").names
    job["profile"]["score"]["problems"] = {name: 2 + i for i, name in enumerate(names)}
    job["profile"]["score"]["samples"] = {name: 4 + i for i, name in enumerate(names)}
    outcomes = run_job(job)["outcomes"]
    assert [(len(outcomes[n]), len(outcomes[n][0])) for n in names] == [(2 + i, 4 + i) for i in range(6)]


def test_an_adapter_that_changes_nothing_changes_no_outcome(job: dict[str, Any], adapter: Adapter) -> None:
    assert run_job({**job, "adapter": str(adapter(0.0))})["outcomes"] == run_job(job)["outcomes"]


def test_an_adapter_is_really_applied(job: dict[str, Any], adapter: Adapter) -> None:
    assert run_job({**job, "adapter": str(adapter(0.5))})["overall"] < 0.2 * run_job(job)["overall"]


def test_the_merged_model_computes_what_the_adapted_one_does(tiny: tuple[Any, Any], adapter: Adapter) -> None:
    from peft import PeftModel

    folder = adapter(0.05)
    inputs = tiny[1](["47+38="], return_tensors="pt")
    with torch.inference_mode():
        adapted = PeftModel.from_pretrained(load_base({"name": "tiny"})[0], str(folder))(**inputs).logits
        merged = merge_adapter(load_base({"name": "tiny"})[0], folder, MODEL)(**inputs).logits
        base = tiny[0](**inputs).logits
    assert torch.allclose(merged, adapted, atol=1e-4)
    assert not torch.allclose(merged, base, atol=1e-2)


def test_too_few_samples_for_pass_at_k_are_refused(job: dict[str, Any]) -> None:
    job["profile"]["score"]["samples"] = dict.fromkeys(load_taskset("tiny").names, 2)
    with pytest.raises(PoiseError, match="needs at least 4 samples"):
        run_job(job)


def test_a_score_stays_within_10_seconds_of_one_core(job: dict[str, Any]) -> None:
    from engine.profiles.schema import load_profile

    start = time.process_time()
    run_job({**job, "profile": load_profile("tiny").resolved()})
    assert time.process_time() - start < 10
