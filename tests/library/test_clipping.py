"""What a single token gets: the weight w(rho, A) with which its surrogate pulls, as in gradient = -w A."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.clipping import (
    ClipHigher,
    ClippedGradient,
    ClippedWeight,
    DualClip,
    FlippedRatio,
    ProbabilityClip,
    RatioCap,
    SequenceClip,
    SoftGate,
)
from engine.algorithms.library.ratios import SequenceRatio
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case
from tests.library import hand

ALL = (
    ClipHigher(),
    SequenceClip(),
    DualClip(),
    RatioCap(),
    ClippedWeight(),
    SoftGate(),
    FlippedRatio(),
    ClippedGradient(),
    ProbabilityClip(),
)


def token(ratio: float, old: float = 0.01) -> Case:
    """One token whose probability went from `old` to `ratio * old`."""
    logp, old_logp = (torch.tensor([[math.log(p)]], dtype=torch.float64) for p in (ratio * old, old))
    return hand.case([[1.0]], lengths=[1], logp=logp, old_logp=old_logp)


def weight(mechanism: Mechanism, ratio: float, advantage: float, old: float = 0.01) -> float:
    _, grad = hand.loss(token(ratio, old), [advantage], mechanism)
    return -grad.item() / advantage


@pytest.mark.parametrize(
    ("mechanism", "ratio", "advantage", "expected"),
    [
        (ClipHigher(), 1.25, 2.0, 1.25),  # PPO's 1.2 would have stopped it
        (ClipHigher(), 1.3, 2.0, 0.0),
        (ClipHigher(), 0.7, -2.0, 0.0),
        (ClipHigher(), 0.7, 2.0, 0.7),
        (SequenceClip(), 1.0003, 1.0, 1.0003),
        (SequenceClip(), 1.0005, 1.0, 0.0),
        (SequenceClip(), 0.9996, -1.0, 0.0),
        (DualClip(), 2.5, -1.0, 2.5),
        (DualClip(), 3.5, -1.0, 0.0),
        (DualClip(), 1.1, 1.0, 1.1),
        (RatioCap(), 3.5, -1.0, 3.5),
        (RatioCap(), 4.5, -1.0, 0.0),
        (ClippedWeight(), 10.0, 1.0, 5.0),
        (ClippedWeight(), 10.0, -1.0, 5.0),
        (ClippedWeight(), 0.3, -1.0, 0.3),
        (ClippedWeight(floor=0.8, cap=1.2), 0.3, -1.0, 0.8),
        (ClippedWeight(floor=0.8, cap=1.2), 1.7, 1.0, 1.2),
        (SoftGate(), 2.0, 1.0, 8 * 0.19661193324148185),  # 4 rho sigma'(1)
        (SoftGate(tau_negative=2.0), 0.5, -1.0, 2 * 0.19661193324148185),  # 4 rho sigma'(-1)
        (FlippedRatio(), 0.5, 1.0, 2.0),
        (FlippedRatio(), 0.1, 1.0, 3.0),
        (FlippedRatio(), 1.1, 1.0, 1 / 1.1),
        (FlippedRatio(), 1.3, 1.0, 0.0),
        (FlippedRatio(), 2.0, -1.0, 2.0),
        (FlippedRatio(), 0.5, -1.0, 0.0),
        (ClippedGradient(), 0.5, -1.0, 0.75 * 0.8),
        (ClippedGradient(), 2.0, 1.0, 1.2),
        (ClippedGradient(above=0.5), 2.0, 1.0, 0.6),
        (ClippedGradient(), 0.5, 1.0, 0.5),
        (ClippedGradient(), 2.0, -1.0, 2.0),
    ],
)
def test_the_weight_of_a_token(mechanism: Mechanism, ratio: float, advantage: float, expected: float) -> None:
    assert weight(mechanism, ratio, advantage) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "advantage", "expected"),
    [
        pytest.param(0.5, 0.8, 1.0, 0.0, id="a likely token went up by 0.3"),
        pytest.param(0.5, 0.65, 1.0, 1.3, id="and may still, at a ratio PPO clips"),
        pytest.param(0.5, 0.8, -1.0, 1.6, id="it may come down again"),
        pytest.param(0.5, 0.2, -1.0, 0.0, id="it went down by 0.3"),
        pytest.param(0.5, 0.2, 1.0, 0.4, id="it may go up again"),
        pytest.param(0.001, 0.015, 1.0, 15.0, id="a rare token hardly moved, for all its ratio"),
        pytest.param(0.001, 0.03, 1.0, 20.0, id="the ratio of 30 is capped at 20"),
    ],
)
def test_dppo_stops_a_token_by_its_probability(old: float, new: float, advantage: float, expected: float) -> None:
    assert weight(ProbabilityClip(), new / old, advantage, old) == pytest.approx(expected, rel=1e-9)


@given(advantage=st.floats(0.01, 5), sign=st.sampled_from([-1.0, 1.0]))
def test_at_ratio_one_every_variant_is_the_plain_policy_gradient(advantage: float, sign: float) -> None:
    for mechanism in ALL:
        assert weight(mechanism, 1.0, sign * advantage) == pytest.approx(1.0, rel=1e-9), mechanism.name


@given(log_ratio=st.floats(-4, 4), sign=st.sampled_from([-1.0, 1.0]))
def test_weights_stay_within_their_bounds_however_far_a_token_went(log_ratio: float, sign: float) -> None:
    ratio = math.exp(log_ratio)
    bounds = {
        ClippedWeight(): 5.0,
        ProbabilityClip(): 20.0,
        SoftGate(): 2.0,
        **({FlippedRatio(): 3.0, ClippedGradient(): 1.2, ClipHigher(): 1.28} if sign > 0 else {}),
        **({DualClip(): 3.0, RatioCap(): 4.0} if sign < 0 else {}),
    }
    for mechanism, bound in bounds.items():
        assert -1e-12 <= weight(mechanism, ratio, sign) <= bound + 1e-9, mechanism.name


@given(ratio=st.floats(0.05, 20), sign=st.sampled_from([-1.0, 1.0]))
def test_a_cap_on_the_ratio_is_a_dual_clip_beside_ppo_and_nothing_else(ratio: float, sign: float) -> None:
    capped, dual = weight(RatioCap(delta=3.0), ratio, sign), weight(DualClip(cap=3.0), ratio, sign)
    assert capped == pytest.approx(dual, abs=1e-9)


def test_a_cap_on_the_ratio_reaches_other_surrogates_where_a_dual_clip_does_not() -> None:
    def joined(*mechanisms: Mechanism) -> float:
        return -hand.loss(token(5.0), [1.0], *mechanisms)[1].item()

    assert joined(ClippedWeight(), RatioCap(delta=3.0)) == pytest.approx(3.0)
    assert joined(ClippedWeight(), DualClip(cap=3.0)) == pytest.approx(5.0)


def test_luspo_and_gspo_clip_a_sequence_not_a_token() -> None:
    """Log-ratios +0.003 and -0.001: the sequence's is 0.001, beyond 4e-4 and within 2.5e-3."""
    case = hand.case([[1.0]], lengths=[2], logp=[[-0.997, -1.001]])
    assert not hand.loss(case, [1.0], SequenceRatio(), SequenceClip())[1].any()
    grad = hand.loss(case, [1.0], SequenceRatio(), SequenceClip(low=2e-3, high=2.5e-3))[1]
    assert grad.tolist()[0] == pytest.approx([-math.exp(0.001) / 2] * 2)


@pytest.mark.parametrize(
    "mechanism", [ClipHigher(), SequenceClip(), DualClip(), RatioCap(), SoftGate()], ids=lambda m: m.name
)
@pytest.mark.parametrize("advantage", [1.5, -0.7])
def test_losses_without_stop_gradient_agree_with_finite_differences(mechanism: Mechanism, advantage: float) -> None:
    pipeline = Pipeline(Algorithm("t", (mechanism,)))
    m = hand.batch(hand.case([[1.0]], lengths=[5], logp=[[-1.5, -1.1, -1.0002, -0.9, 0.8]]), [advantage])

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return pipeline.loss(m).value

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))


@pytest.mark.parametrize("mechanism", [ClippedWeight(), ProbabilityClip()], ids=lambda m: m.name)
def test_with_their_weights_held_the_others_agree_with_finite_differences(mechanism: Mechanism) -> None:
    """The ratio is the weight: given as a number, it does not move with the log-probabilities."""
    m = hand.batch(hand.case([[1.0]], lengths=[4], logp=[[-1.5, -1.1, -0.9, -0.8]]), [[1.0, -1.0, 2.0, -0.5]])
    ratio = m.log_ratio().detach().exp()

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return getattr(mechanism, "surrogate")(m, ratio, lambda x: x)  # noqa: B009

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))
