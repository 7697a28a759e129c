"""One row of one token that should go up, one of three that should go down: every mean counts them in its own way."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.aggregation import ConstantLength, LocalTokenMean, SequenceSum, TokenMean
from engine.algorithms.library.drops import DropTruncated
from engine.contract import Algorithm, Mechanism
from engine.verify.behave import behave
from tests.library import hand

RAGGED = hand.case([[1.0, 0.0]], lengths=[1, 3], max_length=4)
ADVANTAGES = [1.0, -1.0]


@pytest.mark.parametrize(
    ("mechanisms", "loss", "short", "long"),
    [
        pytest.param((), 0.0, -1 / 2, 1 / 6, id="GRPO: mean of means"),
        pytest.param((ConstantLength(),), 2 / 8, -1 / 8, 1 / 8, id="two rows of at most four tokens"),
        pytest.param((TokenMean(),), 2 / 4, -1 / 4, 1 / 4, id="four tokens"),
        pytest.param((LocalTokenMean(),), 2 / 4, -1 / 4, 1 / 4, id="four tokens in this micro-batch"),
        pytest.param((SequenceSum(),), 2 / 2, -1 / 2, 1 / 2, id="two rows"),
    ],
)
def test_the_share_of_a_token(mechanisms: tuple[Mechanism, ...], loss: float, short: float, long: float) -> None:
    value, grad = hand.loss(RAGGED, ADVANTAGES, *mechanisms)
    assert value.item() == pytest.approx(loss)
    assert torch.allclose(grad, torch.tensor([[short, 0, 0], [long, long, long]], dtype=torch.float64))


def test_a_local_mean_weighs_micro_batches_alike_however_long_they_are() -> None:
    """A row each: -1 and +1, though one has three tokens."""
    whole, halves = (behave(Algorithm("t", (LocalTokenMean(),)), RAGGED, pieces) for pieces in (1, 2))
    assert whole.grad_logp[0, 0] == pytest.approx(whole.grad_logp[1, 0] * -1)
    assert halves.grad_logp[0, 0] == pytest.approx(halves.grad_logp[1, 0] * -3)


@given(length=st.integers(1, 6), limit=st.integers(6, 9), scale=st.floats(0.1, 5.0))
def test_with_rows_of_one_length_they_differ_by_a_factor_only(length: int, limit: int, scale: float) -> None:
    case = hand.case([[1.0, 0.0], [0.0, 1.0]], lengths=[length] * 4, max_length=limit)
    advantages = [scale, -1.0, -scale, 2.0]
    root = hand.loss(case, advantages)[1]
    for mechanism, factor in (
        (TokenMean(), 1.0),
        (LocalTokenMean(), 1.0),
        (SequenceSum(), float(length)),
        (ConstantLength(), length / limit),
    ):
        assert torch.allclose(hand.loss(case, advantages, mechanism)[1], factor * root)


@pytest.mark.parametrize("mechanism", [ConstantLength(), TokenMean(), LocalTokenMean(), SequenceSum()])
def test_a_dropped_row_is_in_no_denominator(mechanism: Mechanism) -> None:
    """Two rows of a group of three: the loss is that of the two, whatever the third is."""
    left = hand.case([[1.0, 0.0]], lengths=[1, 3], max_length=4)
    cut = hand.case([[1.0, 0.0, 0.5]], lengths=[1, 3, 2], max_length=4, truncated=[False, False, True])
    root = behave(Algorithm("t", (DropTruncated(),)), cut)
    advantages = root.advantages[:2].tolist()
    grad = behave(Algorithm("t", (DropTruncated(), mechanism)), cut).grad_logp
    assert not grad[2].any()
    assert torch.allclose(grad[:2], hand.loss(left, advantages, mechanism)[1])
