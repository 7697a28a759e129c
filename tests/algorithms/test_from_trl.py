"""A GRPOConfig becomes the mechanisms that are bit-equal to it in TRL; what has no twin is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig, GRPOTrainer

from engine.algorithms.from_trl import DEFAULTS, LOSSES, from_trl
from engine.algorithms.loader import load_algorithm
from engine.errors import PoiseError
from tests.cli.conftest import Poise, poise, refusal
from tests.training.pairs import through_ours, through_trl
from tests.training.twins import TWINS, Twin

__all__ = ["poise"]

ROOT = {"loss_type": "grpo", "beta": 0.05, "entropy_coef": 0.01, "use_bias_correction_kl": False}
TRAIN = {"beta": 0.05, "entropy_coef": 0.01, "clip_epsilon": 0.2}
"""The root of the twins' world, to TRL and to us."""
SAME_BY_ANOTHER_NAME = ("delta is dual clip",)
IMPORTED = [t for t in TWINS if t.trl is GRPOTrainer and "use_adaptive_entropy" not in t.settings]


@pytest.mark.parametrize("twin", [t for t in IMPORTED if t.name not in SAME_BY_ANOTHER_NAME], ids=lambda t: t.name)
def test_every_bit_equal_twin_is_imported_as_itself(twin: Twin) -> None:
    """That these mechanisms train bit for bit as TRL does is tested in tests/training/test_identity.py."""
    found = from_trl({**ROOT, **twin.shared, **twin.settings}, {**TRAIN, **twin.shared})
    mine = {m.name: m.params for m in found.mechanisms}
    assert mine == {type(m).__name__: {key: getattr(m, key) for key in mine[type(m).__name__]} for m in twin.mechanisms}


def test_what_a_config_leaves_out_is_trls_default() -> None:
    theirs = {f.name: f.default for f in fields(GRPOConfig)}
    assert {key: theirs[key] for key in DEFAULTS} == DEFAULTS
    assert [m.name for m in from_trl({}, TRAIN).mechanisms] == ["TokenMean", "KlScale", "EntropyBonusScale"]
    assert from_trl(ROOT, TRAIN).mechanisms == ()


COMBINED: dict[str, Any] = {
    "loss_type": "dapo", "epsilon_high": 0.28, "delta": 1.3, "scale_rewards": "none", "beta": 0.025,
    "use_bias_correction_kl": True, "entropy_coef": 0.005, "off_policy_mask_threshold": 0.01,
}  # fmt: skip


def test_an_imported_file_of_several_settings_trains_bit_for_bit_as_trl_does(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(_profile())
    (tmp_path / "mine.json").write_text(json.dumps({**COMBINED, "learning_rate": 1e-6}))
    done = poise("import", "mine.json", "--profile", "mine.toml")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "not of the algorithm, set them in a profile: learning_rate = 1e-06\n"
    (tmp_path / "mine.py").write_text(done.stdout)
    algorithm = load_algorithm(tmp_path / "mine.py")
    assert algorithm.name == "mine-GRPO"
    assert through_ours(algorithm).equals(through_trl(**COMBINED))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("mask_truncated_completions: true", "mask_truncated_completions = True cannot be imported: TRL keeps"),
        ("use_adaptive_entropy: true", "use_adaptive_entropy = True cannot be imported"),
        ("loss_type: best", f"loss_type = 'best': there are {', '.join(LOSSES)}"),
        ("scale_rewards: rows", "scale_rewards = 'rows': there are group, batch, none"),
        ("beta: much", "beta = 'much': give a number"),
        ("delta: -5", "RatioCap.delta would be -5"),
        ("top_entropy_quantile: 0.2\nentropy_coef: 0.1", "top_entropy_quantile with an entropy_coef"),
        ("- a\n- b", "mine.yaml holds no arguments of a GRPOConfig"),
        ("a: [", "mine.yaml is neither YAML nor JSON"),
        ("!!python/object/apply:os.system [echo]", "mine.yaml is neither YAML nor JSON"),
    ],
)
def test_what_has_no_twin_is_refused_in_a_line(poise: Poise, tmp_path: Path, config: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(config)
    assert says in refusal(poise("import", "mine.yaml"), 2)


def test_numbers_as_people_write_them_in_yaml_are_numbers(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("loss_type: grpo\nbeta: 1e-2\nentropy_coef: 0.002\nepsilon: 2e-1\n")
    done = poise("import", "mine.yaml")
    assert "KlScale(factor=0.5)" in done.stdout, done


def test_a_penalty_that_the_profile_lacks_cannot_be_scaled() -> None:
    with pytest.raises(PoiseError, match=r"beta = 0.1, and the profile's root has none"):
        from_trl({"beta": 0.1}, {**TRAIN, "beta": 0.0})


def _profile() -> str:
    from engine.profiles import schema

    text = (Path(schema.__file__).parent / "tiny.toml").read_text()
    return text.replace("beta = 0.02 ", "beta = 0.05 ").replace("entropy_coef = 0.002 ", "entropy_coef = 0.01 ")
