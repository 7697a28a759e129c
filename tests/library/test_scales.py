"""Divisors: numbers worked by hand, TRL's own std at run time, and what each is invariant to."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from trl.trainer.utils import nanstd

from engine.algorithms.library.baselines import TokenWhitening
from engine.algorithms.library.reweighting import AdvantageClip
from engine.algorithms.library.scales import (
    BatchRms,
    BatchStd,
    ConstantScale,
    DampedScale,
    FlooredStd,
    MeanScale,
    NoStd,
    OutcomeStd,
)
from engine.contract import Inner, Mechanism, Rollouts
from tests.library.hand import advantages, case

NAN = math.nan
group = st.lists(st.floats(-4, 4, width=32), min_size=8, max_size=8)


def test_dr_grpo_only_subtracts_the_mean() -> None:
    assert advantages(case([[1, 0, 0.5, 0.5]]), NoStd()).tolist() == [0.5, -0.5, 0, 0]


@settings(max_examples=60)
@given(group)
def test_av_is_grpo_times_the_root_of_eight_sevenths_above_its_floor(rewards: list[float]) -> None:
    made = case([rewards])
    if statistics.pstdev(rewards) > 0.1:
        std = statistics.stdev(rewards)  # GRPO's own divisor has an epsilon, which is taken out here
        wanted = advantages(made) * (std + 1e-4) / std * math.sqrt(8 / 7)
        assert torch.allclose(advantages(made, FlooredStd(sigma_min=0.1)), wanted, rtol=1e-6, atol=1e-8)


def test_av_divides_by_its_floor_where_the_spread_is_below() -> None:
    """0.05 and 0 have a population std of 0.025; their distances from the mean of 0.025 are divided by 0.1."""
    assert advantages(case([[0.05, 0], [1, 0]]), FlooredStd(sigma_min=0.1)).tolist() == pytest.approx(
        [0.25, -0.25, 1, -1]
    )


def test_av_keeps_its_precision_far_from_zero() -> None:
    rewards = torch.tensor([1000.05, 1000.0], dtype=torch.float32)
    made = case([[1000.05, 1000.0]]).map(lambda x: x.float() if x.is_floating_point() else x)
    wanted = (rewards - rewards.mean()) / 0.1
    assert torch.allclose(advantages(made, FlooredStd(sigma_min=0.1)), wanted, atol=1e-3)


@given(st.lists(st.one_of(st.floats(-4, 4, width=32), st.just(NAN)), min_size=8, max_size=8))
def test_the_batchs_std_is_trls_nan_and_all(rewards: list[float]) -> None:
    made = case([rewards[:4], rewards[4:]]).map(lambda x: x.float() if x.is_floating_point() else x)
    x = torch.tensor(rewards)
    mean = torch.nanmean(x.view(2, 4), dim=1).repeat_interleave(4)
    wanted = torch.nan_to_num((x - mean) / (nanstd(x).expand_as(x) + 1e-4), nan=0.0)
    if (~x.isnan()).sum() > 1:
        assert torch.equal(advantages(made, BatchStd()), wanted)


def test_bn_divides_by_the_root_mean_square_of_the_whole_batch() -> None:
    """Centred rewards 1/2, -1/2, 0, 0 have the mean square 1/8; their group alone would have 1/4."""
    wanted = 0.5 / (math.sqrt(1 / 8) + 1e-4)
    assert advantages(case([[1, 0], [0, 0]]), BatchRms()).tolist() == pytest.approx([wanted, -wanted, 0, 0])
    missing = advantages(case([[1, 0], [0, NAN]]), BatchRms()).tolist()
    assert missing == pytest.approx([0.5 / (math.sqrt(1 / 6) + 1e-4), -0.5 / (math.sqrt(1 / 6) + 1e-4), 0, 0])


class ByToken(Mechanism):
    """A baseline of its own for each token: 0 in the first column, 1 in the second."""

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return torch.arange(2.0, dtype=rewards.dtype).expand(len(rewards), 2)


def test_a_baseline_by_token_is_scaled_over_the_tokens_that_are_there() -> None:
    """Centred: 1, 0 in a row of two tokens and 0 in a row of one, whose padding counts for nothing."""
    made = case([[1, 0]], lengths=[2, 1])
    rms = math.sqrt(1 / 3) + 1e-4
    assert advantages(made, ByToken(), BatchRms())[0].tolist() == pytest.approx([1 / rms, 0])
    std = statistics.stdev([1, 0, 0])
    assert advantages(made, TokenSpread(), ByToken())[0].tolist() == pytest.approx([1 / std, 0], rel=1e-6)
    assert advantages(made, ByToken(), FlooredStd())[0].tolist() == [2, 0]


class TokenSpread(Mechanism):
    """The divisor of REINFORCE++ without its baseline."""

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        return TokenWhitening().scale(r, centred, inner)


def test_bn_clips_a_rare_success_at_three() -> None:
    """One success in eight among three silent groups: 7/8 over sqrt(7/8 * 1/8 / 4) is 5.29."""
    made = case([[1, *[0] * 7], [0] * 8, [0] * 8, [0] * 8])
    assert advantages(made, BatchRms())[0].item() == pytest.approx(5.2883, abs=1e-3)
    assert advantages(made, BatchRms(), AdvantageClip(limit=3.0))[0].item() == 3.0


def test_maxrl_weighs_a_success_by_one_over_the_pass_rate() -> None:
    for successes in range(1, 8):
        p = successes / 8
        got = advantages(case([[1.0] * successes + [0.0] * (8 - successes)]), MeanScale(p_min=0.01)).tolist()
        assert got == pytest.approx([(1 - p) / p] * successes + [-1.0] * (8 - successes))


def test_maxrl_is_silent_without_a_success_whatever_the_style() -> None:
    assert advantages(case([[0.3, 0, 0.3, 0], [1, 0, 0, 0]]), MeanScale()).tolist() == [0, 0, 0, 0, 3, -1, -1, -1]


def test_maxrls_floor_bounds_its_weight() -> None:
    assert advantages(case([[1, 0, 0, 0]]), MeanScale(p_min=0.5)).tolist() == [1.5, -0.5, -0.5, -0.5]


def test_damping_adds_to_the_divisor_of_the_rest() -> None:
    std = math.sqrt(0.5)  # of 1 and 0, ddof=1
    assert advantages(case([[1, 0]]), DampedScale(damping=0.3))[0].item() == pytest.approx(0.5 / (std + 1e-4 + 0.3))
    assert advantages(case([[1, 0]]), NoStd(), DampedScale(damping=0.25)).tolist() == [0.4, -0.4]


def test_a_constant_divisor_is_a_scale_twin_of_dr_grpo() -> None:
    made = case([[1, 0, 0, 0], [0.5, 0, 0, 0]])
    assert torch.equal(advantages(made, ConstantScale(sigma=0.25)), 4 * advantages(made, NoStd()))


def test_msas_anchor_is_the_spread_of_outcomes_in_mixed_groups_and_of_totals_in_uniform_ones() -> None:
    """Mixed: outcomes 1, 0 have the std 1/2, totals 1.3, 0 that of 0.65. Uniform: totals 1.5, 1.1 have 0.2."""
    got = advantages(case([[1.3, 0], [1.5, 1.1], [0.4, 0.4]]), OutcomeStd()).tolist()
    assert got == pytest.approx([0.65 / 0.5001, -0.65 / 0.5001, 0.2 / 0.2001, -0.2 / 0.2001, 0, 0])
    assert advantages(case([[1.0, 0, NAN]]), OutcomeStd()).tolist() == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])


@settings(max_examples=60)
@given(group, st.floats(-3, 3))
def test_no_divisor_depends_on_a_shift_of_all_rewards(rewards: list[float], shift: float) -> None:
    halves = [rewards[:4], rewards[4:]]
    if statistics.pstdev(rewards[:4]) < 0.05 or statistics.pstdev(rewards[4:]) < 0.05:
        return
    made = case(halves)
    moved = case([[x + shift for x in g] for g in halves], correct=made.correct.tolist())
    for m in (NoStd(), FlooredStd(), BatchStd(), BatchRms(), DampedScale(), OutcomeStd(), ConstantScale()):
        assert torch.allclose(advantages(made, m), advantages(moved, m), atol=1e-6), m.name


@settings(max_examples=60)
@given(group, st.floats(0.5, 4))
def test_stds_undo_a_scale_of_all_rewards_and_constants_keep_it(rewards: list[float], k: float) -> None:
    halves = [rewards[:4], rewards[4:]]
    if statistics.pstdev(rewards[:4]) < 0.5 or statistics.pstdev(rewards[4:]) < 0.5:
        return
    made = case(halves)
    scaled = case([[k * x for x in g] for g in halves], correct=made.correct.tolist())

    def ratio(m: Mechanism) -> float:
        a, b = advantages(made, m), advantages(scaled, m)
        return float((a * b).sum() / (a * a).sum())

    undo: tuple[Mechanism, ...] = (FlooredStd(), BatchStd(), BatchRms())
    keep: tuple[Mechanism, ...] = (NoStd(), ConstantScale())
    assert [ratio(m) for m in undo] == pytest.approx([1.0] * 3, abs=1e-3)
    assert [ratio(m) for m in keep] == pytest.approx([k] * 2)
