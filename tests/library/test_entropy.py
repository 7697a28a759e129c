"""Bonuses for entropy and who moves their coefficient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.entropy import AdaptiveEntropy, AnnealedEntropy, EntropyBonus, EntropyBonusScale
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism, StepStats
from engine.verify.behave import behave
from engine.verify.case import Case
from tests.library import hand


def rewarded(coefficient: float) -> Case:
    """Entropies 1, 2 and 3 on three tokens, and GRPO's own coefficient."""
    case = hand.case([[1.0, 0.0]], lengths=[1, 2])
    entropy = torch.tensor([[1.0, 50.0], [2.0, 3.0]], dtype=torch.float64)
    return replace(case, entropy=entropy, hyper=replace(case.hyper, entropy_coef=coefficient))


def bonus(case: Case, *mechanisms: Mechanism) -> tuple[float, list[float]]:
    """What is added to the loss where no advantage is, and its gradient by the three entropies."""
    m = hand.batch(case, [0.0, 0.0])
    value = Pipeline(Algorithm("t", mechanisms)).loss(m).value
    (grad,) = torch.autograd.grad(value, m.entropy)
    return value.item(), grad[case.mask.bool()].tolist()


@pytest.mark.parametrize(
    ("coefficient", "mechanisms", "expected", "each"),
    [
        (0.1, (), -0.2, -0.1 / 3),
        (0.1, (EntropyBonusScale(factor=0.25),), -0.05, -0.025 / 3),
        (0.1, (EntropyBonus(coefficient=0.05),), -0.3, -0.15 / 3),
        (0.0, (EntropyBonus(coefficient=0.05),), -0.1, -0.05 / 3),
        (0.1, (AnnealedEntropy(step=0.03),), -0.06, -0.03 / 3),
    ],
)
def test_the_bonus_is_the_mean_over_tokens(
    coefficient: float, mechanisms: tuple[Mechanism, ...], expected: float, each: float
) -> None:
    value, grad = bonus(rewarded(coefficient), *mechanisms)
    assert value == pytest.approx(expected)
    assert grad == pytest.approx([each] * 3)


def test_a_bonus_of_its_own_does_not_depend_on_the_split_as_grpos_does() -> None:
    own = Algorithm("t", (EntropyBonus(),))
    whole, halves = (behave(own, rewarded(0.0), pieces).grad_entropy for pieces in (1, 2))
    assert torch.allclose(whole, halves)
    whole, halves = (behave(Algorithm("t", ()), rewarded(0.1), pieces).grad_entropy for pieces in (1, 2))
    assert not torch.allclose(whole, halves)


def told(pipeline: Pipeline, entropy: float, progress: float = 0.1) -> float:
    pipeline.on_optimizer_step(StepStats(1, progress, 0, 0, entropy, 0, 0, 0, 0))
    (saved,) = pipeline.state_dict().values()
    coefficient: Any = saved["state"]["coefficient"]
    return float(coefficient)


def test_the_adaptive_coefficient_acts_below_its_target_only_and_stays_in_its_bounds() -> None:
    pipeline = Pipeline(Algorithm("t", (AdaptiveEntropy(target=0.3, step=0.02),)))
    m = hand.batch(rewarded(0.1), [0.0, 0.0])
    assert pipeline.loss(m).value.item() == 0.0, "nothing is known yet"
    assert [told(pipeline, 0.2), told(pipeline, 0.2), told(pipeline, 0.2)] == pytest.approx([0.04, 0.05, 0.05])
    assert pipeline.loss(m).value.item() == pytest.approx(-0.05 * 2)
    assert told(pipeline, 0.9) == pytest.approx(0.03)
    assert pipeline.loss(m).value.item() == 0.0
    assert [told(pipeline, 0.9), told(pipeline, 0.9)] == pytest.approx([0.01, 0.0])


def test_the_annealed_target_falls_with_the_training() -> None:
    """From 0.6 to 0.1: an entropy of 0.3 is too low at the start and too high at the end."""
    pipeline = Pipeline(Algorithm("t", (AnnealedEntropy(step=0.01),)))
    assert told(pipeline, 0.3, progress=0.0) == pytest.approx(0.02)
    assert told(pipeline, 0.3, progress=0.5) == pytest.approx(0.03)
    assert told(pipeline, 0.3, progress=0.7) == pytest.approx(0.02)
    assert told(pipeline, 0.3, progress=1.0) == pytest.approx(0.01)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), max_size=30))
def test_no_history_moves_a_coefficient_out_of_its_bounds(history: list[tuple[float, float]]) -> None:
    for mechanism, cap in ((AdaptiveEntropy(step=0.02), 0.05), (AnnealedEntropy(step=0.03, cap=0.07), 0.07)):
        pipeline = Pipeline(Algorithm("t", (mechanism,)))
        for entropy, progress in history:
            assert 0.0 <= told(pipeline, entropy, progress) <= cap
