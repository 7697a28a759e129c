"""Weights against a sampler that is not the policy: two tokens, by pencil."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from engine.algorithms.library.sampler import SequenceMis, SequenceTis, TokenMis, TokenTis
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism, Rollouts
from engine.verify.behave import behave
from engine.verify.case import rollouts
from engine.verify.regimes import regime
from tests.library import hand

F64 = torch.float64
ALL = (TokenTis(), SequenceTis(), TokenMis(), SequenceMis())


def sampled(*rows: list[float]) -> Rollouts:
    """Rows of two tokens whose trainer-to-sampler ratios are these; the third column is padding."""
    ratios = torch.tensor([[*row, 7.0] for row in rows], dtype=F64)
    case = hand.case([[1.0] + [0.0] * (len(rows) - 1)], lengths=[2] * (len(rows) - 1) + [3])
    case = replace(case, mask=torch.tensor([[1.0, 1.0, 0.0]] * len(rows), dtype=F64))
    return rollouts(replace(case, sampler_logp=case.old_logp - ratios.log()))


def weights(mechanism: Mechanism, r: Rollouts) -> torch.Tensor:
    found = Pipeline(Algorithm("t", (mechanism,))).advantages(r).sampler_weight
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        (TokenTis(cap=2.0), [[0.5, 2.0, 1.0], [2.0, 1.5, 1.0]]),
        (SequenceTis(cap=2.0), [2.0, 2.0]),
        (SequenceTis(cap=10.0), [2.0, 7.5]),
        (TokenMis(low=0.6, high=4.5), [[0.0, 4.0, 1.0], [0.0, 1.5, 1.0]]),
        (SequenceMis(high=3.0), [2.0, 0.0]),
        (SequenceMis(low=0.9, high=8.0), [2.0, 7.5]),
    ],
)
def test_the_weights_of_rows_with_ratios_half_and_four_and_five_and_one_and_a_half(
    mechanism: Mechanism, expected: list[float]
) -> None:
    assert torch.allclose(weights(mechanism, sampled([0.5, 4.0], [5.0, 1.5])), torch.tensor(expected, dtype=F64))


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_without_a_sampler_of_its_own_every_row_weighs_one(mechanism: Mechanism) -> None:
    found = weights(mechanism, rollouts(regime("mixed groups")))
    assert torch.equal(found, torch.ones(32, dtype=F64))
    same = behave(Algorithm("t", (mechanism,)), regime("mixed groups"))
    assert torch.equal(same.grad_logp, behave(Algorithm("t", ()), regime("mixed groups")).grad_logp)


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_tokens_the_sampler_could_not_score_weigh_one_as_in_trl(mechanism: Mechanism) -> None:
    r = sampled([1.2, 1.5])
    assert r.sampler_logp is not None
    r.sampler_logp = r.sampler_logp.masked_fill(torch.tensor([[False, True, False]]), math.nan)
    found = weights(mechanism, r)
    assert torch.allclose(found, torch.tensor([[1.2, 1.0, 1.0]] if found.dim() == 2 else [1.2], dtype=F64))


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_they_stand_in_the_place_of_trls_correction_never_on_top_of_it(mechanism: Mechanism) -> None:
    case = regime("sampler differs from the trainer")
    case = replace(case, hyper=replace(case.hyper, beta=0.0, entropy_coef=0.0))
    r = rollouts(case)
    assert r.sampler_ratio is not None
    found = weights(mechanism, r)
    plain = behave(Algorithm("t", ()), replace(case, sampler_logp=None)).grad_logp
    got = behave(Algorithm("t", (mechanism,)), case).grad_logp
    assert torch.allclose(got, plain * (found if found.dim() == 2 else found.unsqueeze(1)), rtol=1e-12)


def test_trls_own_modes_are_these_weights() -> None:
    """TRL's token_truncate at its cap of 3 is what the regimes carry as its correction."""
    r = rollouts(regime("sampler differs from the trainer"))
    assert r.sampler_ratio is not None
    assert torch.allclose(weights(TokenTis(cap=3.0), r) * r.mask, r.sampler_ratio)


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_they_ask_for_the_log_probabilities_they_need_on_policy(mechanism: Mechanism) -> None:
    assert Pipeline(Algorithm("t", (mechanism,))).needs_logp
