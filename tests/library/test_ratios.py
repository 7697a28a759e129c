"""Ratios of sequences, with numbers to check by pencil."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.ratios import GeometricMeanRatio, SequenceRatio, TokenSequenceRatio
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case
from tests.library import hand


def drifted(*log_ratios: float) -> Case:
    """One row whose tokens moved by these log-ratios."""
    moved = torch.tensor([log_ratios], dtype=torch.float64)
    return hand.case([[1.0]], lengths=[len(log_ratios)], logp=moved - 1)


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens() -> None:
    """Ratios 2 and 8: the square root of 16."""
    case = drifted(math.log(2), math.log(8))
    m = hand.batch(case, [-1.0])
    ratio = Pipeline(Algorithm("t", (SequenceRatio(),))).loss(m).ratio
    assert ratio.shape == (1, 1)
    assert ratio.item() == pytest.approx(4.0)
    loss, grad = hand.loss(case, [-1.0], SequenceRatio())
    assert loss.item() == pytest.approx(4.0)
    assert grad.tolist()[0] == pytest.approx([2.0, 2.0])  # 4 * 1/2 each


def test_gspo_token_gives_each_token_the_sequence_ratio_and_its_own_gradient() -> None:
    case = drifted(math.log(2), math.log(8))
    m = hand.batch(case, [-1.0])
    ratio = Pipeline(Algorithm("t", (TokenSequenceRatio(),))).loss(m).ratio
    assert ratio.tolist()[0] == pytest.approx([4.0, 4.0])
    _, grad = hand.loss(case, [[-1.0, -3.0]], TokenSequenceRatio())
    assert grad.tolist()[0] == pytest.approx([2.0, 6.0])  # 4 * A_t / 2
    _, shared = hand.loss(case, [[-1.0, -3.0]], SequenceRatio())
    assert shared.tolist()[0] == pytest.approx([4.0, 4.0])  # 4 * mean A / 2


@given(log_ratios=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=5), advantage=st.floats(-2, 2))
def test_with_one_advantage_a_row_gspo_token_is_gspo(log_ratios: list[float], advantage: float) -> None:
    case = drifted(*log_ratios)
    one, other = (hand.loss(case, [advantage], m) for m in (SequenceRatio(), TokenSequenceRatio()))
    assert torch.allclose(one[0], other[0])
    assert torch.allclose(one[1], other[1])


@pytest.mark.parametrize(
    ("log_ratios", "advantage", "loss", "gradient"),
    [
        pytest.param((1.0, -0.1), 1.0, -math.exp(0.15), (0.0, -math.exp(0.15) / 2), id="clipped above: 0.4 - 0.1"),
        pytest.param((1.0, -0.1), -1.0, math.exp(0.45), (math.exp(0.45) / 2,) * 2, id="A < 0 is not clipped above"),
        pytest.param((-1.0, 0.2), -1.0, math.exp(-0.1), (0.0, math.exp(-0.1) / 2), id="clipped below: -0.4 + 0.2"),
        pytest.param((-1.0, 0.2), 1.0, -math.exp(-0.4), (-math.exp(-0.4) / 2,) * 2, id="A > 0 is not clipped below"),
    ],
)
def test_gmpo_means_clipped_log_ratios(
    log_ratios: tuple[float, ...], advantage: float, loss: float, gradient: tuple[float, ...]
) -> None:
    value, grad = hand.loss(drifted(*log_ratios), [advantage], GeometricMeanRatio())
    assert value.item() == pytest.approx(loss)
    assert grad.tolist()[0] == pytest.approx(gradient)


@pytest.mark.parametrize("mechanism", [SequenceRatio(), GeometricMeanRatio(low=2.0, high=2.0)])
def test_gradients_are_those_of_finite_differences(mechanism: Mechanism) -> None:
    pipeline = Pipeline(Algorithm("t", (mechanism,)))
    m = hand.batch(drifted(0.1, -0.05, 0.12), [1.3])

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return pipeline.loss(m).value

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))


@given(
    lengths=st.lists(st.integers(1, 4), min_size=2, max_size=2),
    advantages=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_on_policy_every_ratio_gives_the_plain_policy_gradient(
    lengths: list[int], advantages: tuple[float, float]
) -> None:
    case = hand.case([[1.0, 0.0]], lengths=lengths)
    plain = -torch.tensor(advantages, dtype=torch.float64).unsqueeze(1) * case.mask / case.lengths.unsqueeze(1) / 2
    for mechanism in (SequenceRatio(), TokenSequenceRatio(), GeometricMeanRatio()):
        assert torch.allclose(hand.loss(case, list(advantages), mechanism)[1], plain, atol=1e-12)
