"""Estimators of the KL, against the KL itself on a vocabulary small enough to sum over."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from engine.algorithms.library.divergence import BiasCorrectedKl, KlScale, LogRatioKl, SquaredKl, UnsolvedKl
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.behave import behave
from engine.verify.case import Case
from engine.verify.regimes import regime
from tests.library import hand

F64 = torch.float64


def referred(logp: float, ref: float, beta: float = 0.5, old: float = -1.0) -> Case:
    """One token, its reference, and nothing else in the loss."""
    value = [torch.tensor([[x]], dtype=F64) for x in (logp, old, ref)]
    case = hand.case([[1.0]], lengths=[1], logp=value[0], old_logp=value[1])
    return replace(case, ref_logp=value[2], hyper=replace(case.hyper, beta=beta))


@pytest.mark.parametrize(
    ("mechanisms", "loss", "gradient"),
    [
        pytest.param((), 0.5 * (math.exp(0.4) - 1.4), 0.5 * (1 - math.exp(0.4)), id="GRPO's k3, d = 0.4"),
        pytest.param((KlScale(factor=3.0),), 1.5 * (math.exp(0.4) - 1.4), 1.5 * (1 - math.exp(0.4)), id="scaled"),
        pytest.param((KlScale(),), 0.0, 0.0, id="removed"),
        pytest.param((LogRatioKl(),), 0.5 * -0.4, 0.5, id="k1"),
        pytest.param((SquaredKl(),), 0.5 * 0.08, 0.5 * -0.4, id="k2"),
    ],
)
def test_the_penalty_of_a_token_that_became_unlikelier(
    mechanisms: tuple[Mechanism, ...], loss: float, gradient: float
) -> None:
    value, grad = hand.loss(referred(-1.2, -0.8), [0.0], *mechanisms)
    assert value.item() == pytest.approx(loss)
    assert grad.item() == pytest.approx(gradient)


def test_bias_correction_weighs_the_estimate_by_the_ratio_and_its_gradient() -> None:
    """d = 0.4, log rho = -0.2: kl rho, whose gradient is rho (kl + 1 - e^d)."""
    kl, rho = math.exp(0.4) - 1.4, math.exp(-0.2)
    value, grad = hand.loss(referred(-1.2, -0.8), [0.0], BiasCorrectedKl())
    assert value.item() == pytest.approx(0.5 * kl * rho)
    assert grad.item() == pytest.approx(0.5 * rho * (kl + 1 - math.exp(0.4)))


def expected_gradient(*mechanisms: Mechanism) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean gradient over on-policy samples by the logits of five words; with KL(pi, ref) and KL(ref, pi)'s own."""
    g = torch.Generator().manual_seed(3)
    logits = torch.randn(5, generator=g, dtype=F64, requires_grad=True)
    ref = torch.log_softmax(torch.randn(5, generator=g, dtype=F64), 0)
    policy = torch.log_softmax(logits, 0)
    case = hand.case([[1.0] * 5], lengths=[1] * 5)
    m = hand.batch(case, [0.0] * 5)
    m.logp, m.old_logp, m.ref_logp = policy.unsqueeze(1), policy.detach().unsqueeze(1), ref.unsqueeze(1)
    m.hyper = replace(m.hyper, beta=1.0)
    # Every word once, weighed by its probability: the mean over rows becomes the expectation.
    pipeline = Pipeline(Algorithm("t", mechanisms))
    probabilities = policy.detach().exp().unsqueeze(1)
    value = pipeline._run("kl", m, pipeline._run("ratio", m, m.log_ratio()))
    (found,) = torch.autograd.grad((value * probabilities).sum(), logits, retain_graph=True)
    forward = (policy.exp() * (policy - ref)).sum()
    backward = (ref.exp() * (ref - policy)).sum()
    one, other = (torch.autograd.grad(x, logits, retain_graph=True)[0] for x in (forward, backward))
    return found, one, other


def test_on_policy_k2_and_the_bias_corrected_k3_have_the_gradient_of_the_kl() -> None:
    for mechanism in (SquaredKl(), BiasCorrectedKl()):
        found, kl, _ = expected_gradient(mechanism)
        assert torch.allclose(found, kl)


def test_k1_in_the_loss_has_no_expected_gradient_and_k3_that_of_the_other_kl() -> None:
    found, kl, other = expected_gradient(LogRatioKl())
    assert torch.allclose(found, torch.zeros_like(found), atol=1e-12)
    found, kl, other = expected_gradient()
    assert torch.allclose(found, other)
    assert not torch.allclose(found, kl, rtol=0.05)


def test_the_gate_keeps_the_penalty_on_failing_groups_alone() -> None:
    case = regime("all-fail, all-pass and mixed groups")  # pass rates 0, 1, 0, 0.5
    without = behave(Algorithm("t", (KlScale(factor=0.0),)), case).grad_logp.view(4, 8, -1)
    whole = behave(Algorithm("t", ()), case).grad_logp.view(4, 8, -1)
    gated = behave(Algorithm("t", (UnsolvedKl(pass_rate=0.1),)), case).grad_logp.view(4, 8, -1)
    assert torch.equal(gated[[0, 2]], whole[[0, 2]])
    assert torch.equal(gated[[1, 3]], without[[1, 3]])
    assert not torch.equal(whole[[1, 3]], without[[1, 3]])


@pytest.mark.parametrize("mechanism", [LogRatioKl(), SquaredKl(), BiasCorrectedKl(), KlScale(factor=0.3)])
def test_penalties_agree_with_finite_differences(mechanism: Mechanism) -> None:
    m = hand.batch(referred(-1.2, -0.8), [0.5])
    pipeline = Pipeline(Algorithm("t", (mechanism,)))

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return pipeline.loss(m).value

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))


def test_no_estimator_runs_without_a_reference() -> None:
    case = regime("no KL (beta = 0)")
    for mechanism in (LogRatioKl(), SquaredKl(), BiasCorrectedKl(), KlScale(), UnsolvedKl()):
        assert torch.equal(
            behave(Algorithm("t", (mechanism,)), case).grad_logp, behave(Algorithm("t", ()), case).grad_logp
        )
