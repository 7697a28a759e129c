"""The score job on the real model, with and without an adapter."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import PoiseError
from engine.profiles.load_model import load_base
from engine.scoring.scorer import merge_adapter, run_job
from engine.tasks import load_taskset

Adapter = Callable[[float], Path]


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """Makes a LoRA adapter of the tiny model whose weights have the given size."""
    from peft import LoraConfig, get_peft_model

    def make(size: float) -> Path:
        torch.manual_seed(0)
        model = get_peft_model(load_base({"name": "tiny"})[0], LoraConfig(r=4, target_modules="all-linear"))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, size) if size else weight.zero_()
        model.save_pretrained(str(tmp_path / "adapter"), safe_serialization=True)
        return tmp_path / "adapter"

    return make


def test_a_score_has_every_figure_of_every_task(job: dict[str, Any]) -> None:
    data = run_job(job)
    tasks = load_taskset("tiny")
    assert set(data) == {"overall", "benchmarks", "outcomes", "seconds"}
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
        merged = merge_adapter(load_base({"name": "tiny"})[0], folder)(**inputs).logits
        base = tiny[0](**inputs).logits
    assert torch.allclose(merged, adapted, atol=1e-4)
    assert not torch.allclose(merged, base, atol=1e-2)


@pytest.mark.parametrize("name", ["adapter_model.bin", "extra.pt", "deep/state.pkl"])
def test_weights_that_may_run_code_are_refused(job: dict[str, Any], adapter: Adapter, name: str) -> None:
    folder = adapter(0.0)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(PoiseError, match="not safetensors"):
        run_job({**job, "adapter": str(folder)})


def _no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def _torn_weights(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _no_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def _other_kind(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}')


def _other_rank(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 8}))


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [_no_weights, _torn_weights, _no_config, _other_kind, _other_rank, _no_folder])
def test_a_broken_adapter_is_refused_in_one_line(
    job: dict[str, Any], adapter: Adapter, damage: Callable[[Path], None]
) -> None:
    folder = adapter(0.0)
    damage(folder)
    with pytest.raises(PoiseError) as caught:
        run_job({**job, "adapter": str(folder)})
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_samples_for_pass_at_k_are_refused(job: dict[str, Any]) -> None:
    job["profile"]["score"]["samples"] = dict.fromkeys(load_taskset("tiny").names, 2)
    with pytest.raises(PoiseError, match="needs at least 4 samples"):
        run_job(job)


def test_a_score_stays_within_10_seconds_of_one_core(job: dict[str, Any]) -> None:
    from engine.profiles.schema import load_profile

    start = time.process_time()
    run_job({**job, "profile": load_profile("tiny").resolved()})
    assert time.process_time() - start < 10
