"""GRPO through our seam is TRL's GRPO, to the last bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from engine.algorithms.library.surrogates import (
    ClipHigher,
    ClippedWeight,
    OffPolicyMask,
    SequenceRatio,
    SoftGate,
    TopEntropyTokens,
)
from transformers import TrainerCallback
from trl import GRPOTrainer

from engine.algorithms.library.aggregation import AdaptiveEntropy, ConstantLength, KlScale, TokenMean
from engine.algorithms.library.scales import BatchStd, NoStd
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.training.trainer import PoiseTrainer
from tests.training import toy


class Losses(TrainerCallback):
    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if "loss" in logs:
            self.seen.append((logs["loss"], float(logs["grad_norm"])))


def train_trl(folder: Path, **settings: Any) -> tuple[list[tuple[float, float]], dict[str, torch.Tensor]]:
    losses = Losses()
    args = toy.config(folder, **settings)
    args.reward_weights = list(toy.WEIGHTS.values())
    trainer = GRPOTrainer(
        model=toy.model(),
        reward_funcs=toy.reward_functions(),
        args=args,
        train_dataset=toy.dataset(),
        processing_class=toy.tokenizer(),
        peft_config=toy.lora(),
        callbacks=[losses],
    )
    trainer.train()
    return losses.seen, toy.adapter(trainer)


def train_ours(
    folder: Path, algorithm: Algorithm, **settings: Any
) -> tuple[list[tuple[float, float]], dict[str, torch.Tensor]]:
    losses = Losses()
    trainer = PoiseTrainer(
        pipeline=Pipeline(algorithm, seed=7),
        grader=toy.ToyGrader(),
        part_weights=dict(toy.WEIGHTS),
        model=toy.model(),
        args=toy.config(folder, **settings),
        train_dataset=toy.dataset(),
        processing_class=toy.tokenizer(),
        peft_config=toy.lora(),
        callbacks=[losses],
    )
    trainer.train()
    return losses.seen, toy.adapter(trainer)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="off-policy with KL and entropy"),
        pytest.param({"beta": 0.0, "entropy_coef": 0.0}, id="off-policy without KL"),
        pytest.param({"steps_per_generation": 1}, id="on-policy"),
        pytest.param(
            {"gradient_accumulation_steps": 2, "steps_per_generation": 4, "per_device_train_batch_size": 8},
            id="accumulation",
        ),
    ],
)
def test_the_empty_algorithm_is_bit_equal_to_trl(tmp_path: Path, settings: dict[str, Any]) -> None:
    trl_losses, trl_adapter = train_trl(tmp_path / "trl", **settings)
    our_losses, our_adapter = train_ours(tmp_path / "ours", Algorithm("GRPO"), **settings)
    assert our_losses == trl_losses
    assert all(torch.equal(our_adapter[k], v) for k, v in trl_adapter.items())


def test_a_mechanism_switched_off_is_as_if_it_were_absent(tmp_path: Path) -> None:
    with_it = Algorithm("x", (NoStd(),))
    bare, off = (train_ours(tmp_path / n, a) for n, a in (("a", Algorithm("GRPO")), ("b", with_it.without(["NoStd"]))))
    on = train_ours(tmp_path / "c", with_it)
    assert bare[0] == off[0]
    assert on[0] != bare[0]


@pytest.mark.parametrize(
    ("mechanisms", "settings"),
    [
        pytest.param((NoStd(), ConstantLength()), {"loss_type": "dr_grpo", "scale_rewards": "none"}, id="Dr.GRPO"),
        pytest.param((TokenMean(),), {"loss_type": "dapo"}, id="token-level loss"),
        pytest.param((TokenMean(), ClipHigher()), {"loss_type": "dapo", "epsilon_high": 0.28}, id="DAPO's clip-higher"),
        pytest.param((SequenceRatio(),), {"importance_sampling_level": "sequence"}, id="GSPO's ratio"),
        pytest.param((TokenMean(), ClippedWeight(cap=5.0)), {"loss_type": "cispo", "epsilon_high": 5.0}, id="CISPO"),
        pytest.param((SoftGate(),), {"loss_type": "sapo"}, id="SAPO"),
        pytest.param((BatchStd(),), {"scale_rewards": "batch"}, id="batch std"),
        pytest.param((OffPolicyMask(threshold=0.01),), {"off_policy_mask_threshold": 0.01}, id="off-policy mask"),
        pytest.param((TopEntropyTokens(),), {"top_entropy_quantile": 0.2, "entropy_coef": 0.0}, id="80/20"),
        pytest.param((KlScale(factor=0.0),), {"beta": 0.0}, id="no KL"),
        pytest.param(
            (AdaptiveEntropy(target=3.2, step=0.005),),
            {
                "use_adaptive_entropy": True,
                "entropy_target": 3.2,
                "entropy_coef": 0.005,
                "entropy_coef_delta": 0.005,
                "entropy_coef_max": 0.05,
            },
            id="adaptive entropy",
        ),
    ],
)
def test_a_library_mechanism_is_its_twin_in_trl(
    tmp_path: Path, mechanisms: tuple[Mechanism, ...], settings: dict[str, Any]
) -> None:
    ours_only = {"beta": 0.05} if "beta" in settings else {}
    trl_losses, trl_adapter = train_trl(tmp_path / "trl", **settings)
    shared = {k: v for k, v in settings.items() if k in ("entropy_coef",)}
    our_losses, our_adapter = train_ours(tmp_path / "ours", Algorithm("twin", mechanisms), **{**shared, **ours_only})
    root_losses, _ = train_ours(tmp_path / "root", Algorithm("GRPO"), **shared)
    assert our_losses[-1] != root_losses[-1], "the twin must differ from the root, or the test shows nothing"
    for (ours, _), (theirs, _) in zip(our_losses, trl_losses, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)
    for name, theirs_weight in trl_adapter.items():
        assert torch.allclose(our_adapter[name], theirs_weight, atol=1e-4), name
