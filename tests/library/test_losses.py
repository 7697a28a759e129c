"""Losses that are no clipped ratio, against TRL's code, closed forms and pencil."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl import GRPOTrainer

from engine.algorithms.library.losses import GammaWeight, GroupRegression, QuadraticDrift
from engine.algorithms.library.scales import NoStd
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.behave import behave
from engine.verify.case import Case, minibatch, rollouts
from engine.verify.regimes import regime, regimes
from tests.library import hand

F64 = torch.float64


def drifted(*rows: list[float], **changes: object) -> Case:
    """One group whose tokens moved by these log-ratios."""
    moved = torch.tensor(rows, dtype=F64)
    rewards = [[1.0] + [0.0] * (len(rows) - 1)]
    return hand.case(rewards, lengths=[moved.shape[1]] * len(rows), logp=moved - 1, **changes)


@pytest.mark.parametrize(
    ("ratios", "advantage", "phi"),
    [
        pytest.param([1.0], 1.0, 1.0, id="on-policy"),
        pytest.param([2.0], 1.0, 4 * math.exp(-3), id="W = 2, k = 2, lambda = 3"),
        pytest.param([2.0, 1.5], -1.0, 27 * math.exp(-4), id="W = 3, k = 3, lambda = 2: a product, no mean"),
        pytest.param([0.5], -1.0, 0.125 * math.exp(1), id="W = 1/2"),
    ],
)
def test_vespo_weighs_every_token_by_its_sequence(ratios: list[float], advantage: float, phi: float) -> None:
    _, grad = hand.loss(drifted([math.log(r) for r in ratios]), [advantage], GammaWeight())
    assert grad.tolist()[0] == pytest.approx([-phi * advantage / len(ratios)] * len(ratios))


@pytest.mark.parametrize("case", regimes(), ids=lambda c: c.name)
def test_vespo_weighs_as_trl_does_the_samplers_part_included(case: Case) -> None:
    mechanism = GammaWeight(k_positive=1.5, lambda_positive=2.5, k_negative=2.0, lambda_negative=1.0)
    case = replace(case, hyper=replace(case.hyper, beta=0.0, entropy_coef=0.0))
    b = behave(Algorithm("t", (mechanism,)), case)
    r = rollouts(case)
    advantages = b.advantages.unsqueeze(1)
    ratio = None if r.sampler_ratio is None else r.sampler_ratio + (1 - case.mask)  # TRL has ones on padding
    phi = GRPOTrainer.get_gamma_weights(advantages, case.logp - case.old_logp, case.mask, ratio, 1.5, 2.5, 2.0, 1.0)
    wanted = -phi * advantages * case.mask / case.mask.sum(1, keepdim=True).clamp(min=1) / len(case.correct)
    assert torch.allclose(b.grad_logp, wanted, rtol=1e-9, atol=1e-15)


@given(log_w=st.floats(-12, 12), sign=st.sampled_from([-1.0, 1.0]))
def test_vespos_weight_peaks_at_k_over_lambda(log_w: float, sign: float) -> None:
    _, grad = hand.loss(drifted([log_w]), [sign], GammaWeight())
    k, rate = (2.0, 3.0) if sign > 0 else (3.0, 2.0)
    peak = math.exp(rate - k) * (k / rate) ** k
    assert 0 <= -grad.item() * sign <= peak * (1 + 1e-9)
    _, top = hand.loss(drifted([math.log(k / rate)]), [sign], GammaWeight())
    assert -top.item() * sign == pytest.approx(peak)


def test_dro_is_a_policy_gradient_that_pays_for_the_square_of_its_drift() -> None:
    loss, grad = hand.loss(drifted([0.5]), [2.0], QuadraticDrift())
    assert loss.item() == pytest.approx(-(2 * -0.5 - 0.05 * 0.25))
    assert grad.item() == pytest.approx(-(2 - 0.1 * 0.5))
    still = hand.loss(drifted([20.0]), [2.0], QuadraticDrift())[1]
    assert still.item() == pytest.approx(0.0), "at a drift of A / beta it rests"


def test_gvpo_regresses_differences_of_log_probability_on_differences_of_reward() -> None:
    """Two rows, r = 1 and 0, l = 0.2 and 0: residuals -/+0.45 at beta 0.5."""
    case = drifted([0.1, 0.1], [0.0, 0.0])
    loss, grad = hand.loss(case, [0.5, -0.5], GroupRegression(beta=0.5))
    assert loss.item() == pytest.approx(0.2025)
    assert grad.tolist()[0] == pytest.approx([-0.225, -0.225])
    assert grad.tolist()[1] == pytest.approx([0.225, 0.225])


@given(
    advantages=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    shift=st.floats(-3, 3),
    beta=st.sampled_from([0.05, 0.3, 1.0]),
)
def test_gvpo_rests_at_the_optimum_of_the_regularized_reward(
    advantages: list[float], shift: float, beta: float
) -> None:
    """pi = pi_old e^(r / beta) / Z: a group's log-ratios are its rewards over beta, up to one unknown constant."""
    case = drifted(*([a / beta + shift] for a in advantages))
    loss, grad = hand.loss(case, advantages, GroupRegression(beta=beta))
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert torch.allclose(grad, torch.zeros_like(grad), atol=1e-9)


@given(shift=st.floats(-5, 5))
def test_gvpo_does_not_notice_a_constant_added_to_a_groups_rewards_or_log_ratios(shift: float) -> None:
    rows = [[0.3], [-0.2], [0.1]]
    wanted = hand.loss(drifted(*rows), [1.0, 0.0, -0.5], GroupRegression())[1]
    rewards = hand.loss(drifted(*rows), [1.0 + shift, shift, -0.5 + shift], GroupRegression())[1]
    moved = hand.loss(drifted(*([x[0] + shift] for x in rows)), [1.0, 0.0, -0.5], GroupRegression())[1]
    assert torch.allclose(wanted, rewards, atol=1e-9)
    assert torch.allclose(wanted, moved, atol=1e-9)


def test_gvpos_gradients_sum_to_nothing_over_a_group_and_follow_the_paper() -> None:
    """-beta sum_i w_i grad log pi(y_i) / (G - 1), the mean over groups."""
    case = replace(regime("mixed groups"), hyper=replace(regime("mixed groups").hyper, beta=0.0, entropy_coef=0.0))
    b = behave(Algorithm("t", (NoStd(), GroupRegression(beta=0.2))), case)
    rows = b.grad_logp[:, 0]  # every token of a row has the gradient of its row
    assert torch.allclose(b.grad_logp, rows.unsqueeze(1) * case.mask)
    assert torch.allclose(rows.view(-1, 8).sum(1), torch.zeros(4, dtype=F64), atol=1e-12)
    for i in range(32):
        group = slice(i // 8 * 8, i // 8 * 8 + 8)
        drift = ((case.logp - case.old_logp) * case.mask).sum(1)
        w = (case.rewards[i] - case.rewards[group].mean()) - 0.2 * (drift[i] - drift[group].mean())
        assert b.grad_logp[i, 0].item() == pytest.approx(-0.2 * w.item() / 7 / 4)


def test_gvpo_leaves_rows_without_a_token_out_of_its_group() -> None:
    whole = drifted([0.3], [-0.2], [0.1])
    masked = replace(whole, mask=torch.tensor([[1.0], [1.0], [0.0]], dtype=F64))
    pair = drifted([0.3], [-0.2])
    grad = hand.loss(masked, [1.0, 0.0, -0.5], GroupRegression())[1]
    assert not grad[2].any()
    assert torch.allclose(grad[:2] * 3, hand.loss(pair, [1.0, 0.0], GroupRegression())[1] * 2)


@pytest.mark.parametrize("mechanism", [QuadraticDrift(beta=0.5), GroupRegression(beta=0.5)], ids=lambda m: m.name)
def test_regressions_agree_with_finite_differences(mechanism: Mechanism) -> None:
    pipeline = Pipeline(Algorithm("t", (mechanism,)))
    case = drifted([0.3, -0.1], [-0.2, 0.4], [0.1, 0.2])
    r = rollouts(case)
    m = minibatch(case, r, torch.tensor([1.0, -0.5, 0.2], dtype=F64), torch.zeros(3, dtype=torch.bool))

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return pipeline.loss(m).value

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))
