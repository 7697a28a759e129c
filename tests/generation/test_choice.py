"""Who samples is settled when a run begins, said in its log, and part of its protocol."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.generation import choice
from engine.generation.choice import require, settled, told, uses_vllm
from engine.loop.protocol import protocol_hash
from engine.profiles.load_model import model_dir
from engine.profiles.schema import FOLDER, Profile, load_profile
from engine.training.run import grpo_config


def profile(**generation: Any) -> dict[str, Any]:
    values = tomllib.loads((FOLDER / "tiny.toml").read_text()) | {"generation": generation}
    return Profile.model_validate(values).resolved()


@pytest.fixture(params=["0.31.0", None], ids=["vLLM", "no vLLM"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What importlib says of vLLM, which is not in the environment that these tests run in."""
    found: str | None = request.param
    monkeypatch.setattr(choice, "vllm_version", lambda: found)
    return found


@pytest.mark.parametrize("gpu", [True, False], ids=["GPU", "no GPU"])
def test_auto_takes_vllm_where_it_can_run_and_says_who_samples(installed: str | None, gpu: bool) -> None:
    chosen = settled(profile(), gpu)
    line = told(chosen, gpu)
    assert line is not None
    if gpu and installed:
        assert uses_vllm(chosen) and line == "sampling with vLLM 0.31.0, on 30% of the GPU's memory"
    else:
        assert not uses_vllm(chosen) and chosen["generation"]["engine"] == "transformers"
        assert ("no NVIDIA GPU" in line) == (not gpu) and ("not installed" in line) == (gpu and not installed)


def test_a_profile_that_insists_on_vllm_is_refused_where_it_cannot_run(installed: str | None) -> None:
    insists = profile(engine="vllm")
    if installed:
        assert uses_vllm(settled(insists, gpu=True))
    else:
        with pytest.raises(PoiseError, match=r"vLLM is not installed: .*pip install") as refused:
            settled(insists, gpu=True)
        assert refused.value.code == Exit.USAGE
    with pytest.raises(PoiseError, match="no NVIDIA GPU"):
        settled(insists, gpu=False)


def test_a_run_that_was_begun_with_vllm_does_not_go_on_without(installed: str | None) -> None:
    begun = profile(engine="vllm")
    if installed:
        require(begun)
    else:
        with pytest.raises(PoiseError, match="samples with vLLM, which is not installed"):
            require(begun)
    require(profile(engine="transformers"))
    require(load_profile("tiny").resolved())


def test_a_profile_that_says_nothing_of_it_is_as_it_was() -> None:
    tiny = load_profile("tiny").resolved()
    assert "generation" not in tiny
    assert settled(tiny, gpu=True) is tiny and told(tiny, gpu=True) is None
    assert not grpo_config(tiny, 1, Path("x")).use_vllm


def test_who_samples_and_vllms_version_are_part_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(chosen: dict[str, Any]) -> str:
        return protocol_hash(chosen, model_dir(chosen["model"]), "cpu")

    found = {hashed(p) for p in (load_profile("tiny").resolved(), profile(engine="transformers"))}
    for number in ("0.30.0", "0.31.0"):
        monkeypatch.setattr("engine.loop.protocol.vllm_version", lambda number=number: number)
        found.add(hashed(profile(engine="vllm")))
    assert len(found) == 4


def test_a_wrong_setting_is_told_by_its_key(tmp_path: Path) -> None:
    text = (FOLDER / "tiny.toml").read_text()
    file = tmp_path / "p.toml"
    for line, expected in (
        ('engine = "sglang"', "generation.engine"),
        ("memory_share = 1.5", "generation.memory_share"),
        ("share = 0.5", "unknown key generation.share; known here: engine, memory_share, sleep"),
    ):
        file.write_text(f"{text}\n[generation]\n{line}\n")
        with pytest.raises(PoiseError) as told:
            load_profile(file)
        assert expected in str(told.value)


def test_trl_is_told_to_correct_each_token_and_to_take_the_whole_distribution() -> None:
    chosen = profile(engine="vllm", memory_share=0.4)
    config = grpo_config(chosen, 1, Path("x"))
    assert config.use_vllm and config.vllm_mode == "colocate" and config.vllm_enable_sleep_mode
    assert config.vllm_gpu_memory_utilization == 0.4
    assert config.vllm_importance_sampling_correction and config.vllm_importance_sampling_mode == "token_truncate"
    assert (config.top_p, config.top_k, config.temperature) == (1.0, 0, 1.0)
