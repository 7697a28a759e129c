"""Which tokens are kept, and which pay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from trl import GRPOTrainer

from engine.algorithms.library.token_weights import CovarianceClip, CovarianceKl, OffPolicyMask, TopEntropyTokens
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.behave import behave
from engine.verify.case import Case, rollouts
from engine.verify.regimes import regime, regimes
from tests.library import hand

F64 = torch.float64


def bare(case: Case) -> Case:
    return replace(case, hyper=replace(case.hyper, beta=0.0, entropy_coef=0.0))


def test_forking_tokens_alone_learn() -> None:
    """The 0.6 quantile of 1, 2, 3, 4 and 5 is 3.4: two of five stay, padding never counts."""
    case = hand.case([[1.0, 0.0]], lengths=[3, 2])
    case = replace(case, entropy=torch.tensor([[1, 5, 3], [4, 2, 99]], dtype=F64))
    _, grad = hand.loss(case, [1.0, -1.0], TopEntropyTokens(share=0.4))
    assert torch.allclose(grad, torch.tensor([[0, -1 / 6, 0], [1 / 4, 0, 0]], dtype=F64))


@pytest.mark.parametrize("case", regimes(), ids=lambda c: c.name)
def test_the_off_policy_mask_is_trls_the_samplers_log_probabilities_included(case: Case) -> None:
    case = bare(case)
    off, on = (behave(Algorithm("t", m), case) for m in ((), (OffPolicyMask(threshold=0.05),)))
    written = case.old_logp if case.sampler_logp is None else case.sampler_logp
    kept = GRPOTrainer.get_off_policy_mask(off.advantages.unsqueeze(1), case.logp, written, case.mask, 0.05)
    assert torch.allclose(on.grad_logp, off.grad_logp * kept, rtol=1e-12, atol=0)


def test_the_off_policy_mask_forgives_successes_and_tokens_the_sampler_could_not_score() -> None:
    case = hand.case([[1.0, 0.0, 0.0]], lengths=[2, 2, 2], logp=[[-2.0, -2.0]] * 3)
    _, grad = hand.loss(case, [1.0, -1.0, 0.5], OffPolicyMask())
    assert grad[0].all()
    assert not grad[1].any()
    assert grad[2].all()
    unknown = torch.tensor([[-1.0, math.nan]] * 3, dtype=F64)
    seen = replace(case, logp=torch.tensor([[-1.1, -9.0]] * 3, dtype=F64), sampler_logp=unknown)
    r = rollouts(replace(seen, sampler_logp=None))
    r.sampler_logp = unknown
    pipeline = Pipeline(Algorithm("t", (OffPolicyMask(),)))
    pipeline.advantages(r)
    m = hand.batch(replace(seen, sampler_logp=None), [1.0, -1.0, 0.5])
    m.shipped = r.shipped
    (grad,) = torch.autograd.grad(pipeline.loss(m).value, m.logp)
    assert grad[1, 0] > 0, "a drift of (0.1 + 0) / 2 is below 0.5"


def covariances(case: Case, advantages: torch.Tensor) -> torch.Tensor:
    """Written out token by token."""
    kept = case.mask.bool()
    a = advantages.unsqueeze(1).expand_as(case.logp)
    return (a - a[kept].mean()) * (case.logp - case.logp[kept].mean())


def test_clip_cov_leaves_out_as_many_tokens_as_it_says_from_the_band_alone() -> None:
    case = bare(regime("mixed groups"))
    mechanism = CovarianceClip(share=0.02, low=0.3, high=2.0)
    off, on = behave(Algorithm("t", ()), case), behave(Algorithm("t", (mechanism,)), case)
    lost = (on.grad_logp == 0) & (off.grad_logp != 0)
    assert int(lost.sum()) == int(0.02 * case.mask.sum())
    assert torch.equal(on.grad_logp[~lost], off.grad_logp[~lost])
    c = covariances(case, off.advantages)
    assert ((c[lost] > 0.3) & (c[lost] < 2.0)).all()


def test_clip_cov_draws_from_its_own_generator_and_never_a_clipped_token() -> None:
    case = bare(regime("mixed groups"))
    algorithm = Algorithm("t", (CovarianceClip(share=0.05, low=0.0, high=100.0),))
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    runs = [behave(algorithm, case, pipeline=Pipeline(algorithm, seed)).grad_logp for seed in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    clipped = (behave(Algorithm("t", ()), case).grad_logp == 0) & case.mask.bool()
    assert clipped.any()
    for grad in runs:
        assert int(((grad == 0) & case.mask.bool()).sum()) == int(clipped.sum()) + int(0.05 * case.mask.sum())


def test_kl_cov_makes_the_most_covariant_tokens_pay_for_their_drift() -> None:
    case = bare(regime("mixed groups"))
    off = behave(Algorithm("t", ()), case)
    on = behave(Algorithm("t", (CovarianceKl(share=0.05, coefficient=0.7),)), case)
    c = covariances(case, off.advantages).masked_fill(~case.mask.bool(), -math.inf)
    count = int(0.05 * case.mask.sum())
    top = c >= c.flatten().sort(descending=True).values[count - 1]
    per_token = case.mask / case.mask.sum(1, keepdim=True) / len(case.correct)
    wanted = off.grad_logp + 0.7 * torch.sign(case.logp - case.old_logp) * per_token * top
    assert int(top.sum()) == count
    assert torch.allclose(on.grad_logp, wanted, rtol=1e-6, atol=1e-12)


def test_kl_cov_is_at_least_one_token_and_agrees_with_finite_differences() -> None:
    case = hand.case([[1.0]], lengths=[3], logp=[[-1.5, -0.8, -0.6]])
    m = hand.batch(case, [[1.0, -1.0, 2.0]])
    pipeline = Pipeline(Algorithm("t", (CovarianceKl(coefficient=0.5),)))

    def loss(logp: torch.Tensor) -> torch.Tensor:
        m.logp = logp
        return pipeline.loss(m).value

    assert torch.autograd.gradcheck(loss, (m.logp.detach().clone().requires_grad_(),))
    with_it, without = (
        hand.loss(case, [[1.0, -1.0, 2.0]], CovarianceKl(coefficient=0.5)),
        hand.loss(case, [[1.0, -1.0, 2.0]]),
    )
    assert ((with_it[1] - without[1]) != 0).sum() == 1


@pytest.mark.parametrize("mechanism", [TopEntropyTokens(), CovarianceClip(), CovarianceKl()], ids=lambda m: m.name)
def test_what_is_ranked_within_a_micro_batch_says_that_it_is_local(mechanism: Mechanism) -> None:
    assert type(mechanism).local
