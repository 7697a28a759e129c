"""What a reward is compared with: numbers worked by hand, closed forms, independent filters and enumerations."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.algorithms.library.baselines import (
    BestOnly,
    BlendedBaseline,
    GroupTokenWhitening,
    KalmanBaseline,
    LeaveOneOut,
    LengthWeightedBaseline,
    OptimisticBaseline,
    PassAtK,
    QuantileBaseline,
    SignedOutcomes,
    TokenWhitening,
)
from engine.algorithms.library.scales import NoStd
from tests.library.hand import advantages, case

NAN = math.nan
group = st.lists(st.floats(-4, 4, width=32), min_size=4, max_size=4)
groups = st.lists(group, min_size=1, max_size=3)


def test_grpo_gives_one_success_in_eight_2_47_and_its_failures_minus_0_35() -> None:
    got = advantages(case([[1, 0, 0, 0, 0, 0, 0, 0]])).tolist()
    assert got == pytest.approx([2.4742, *[-0.3535] * 7], abs=1e-4)


@given(groups)
def test_rloo_is_dr_grpo_times_g_over_g_minus_one(rewards: list[list[float]]) -> None:
    made = case(rewards)
    assert torch.allclose(advantages(made, NoStd(), LeaveOneOut()), advantages(made, NoStd()) * 4 / 3, atol=1e-9)


def test_leave_one_out_compares_with_the_others_and_skips_rows_without_a_reward() -> None:
    assert advantages(case([[1, 0, 0.5, 0]]), NoStd(), LeaveOneOut()).tolist() == pytest.approx(
        [1 - 0.5 / 3, -0.5, 0.5 - 1 / 3, -0.5]
    )
    assert advantages(case([[1, NAN, 0.5, 0]]), NoStd(), LeaveOneOut()).tolist() == pytest.approx([0.75, 0, 0, -0.75])
    assert advantages(case([[1, NAN, NAN, NAN]]), NoStd(), LeaveOneOut()).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("size", [2, 4, 6])
def test_group_advantages_are_biased_by_exactly_what_theory_says(p: float, size: int) -> None:
    """True minus expected advantage of a success, given a mixed group: positive for hard prompts (arXiv 2601.08521)."""
    outcomes = [list(map(float, o)) for o in itertools.product((0, 1), repeat=size) if 0 < sum(o) < size]
    values = advantages(case(outcomes), NoStd()).view(-1, size)
    chances = [p ** sum(o) * (1 - p) ** (size - sum(o)) for o in outcomes]
    of_a_success = [max(a) for a in values.tolist()]
    expected = sum(c * a for c, a in zip(chances, of_a_success, strict=True)) / sum(chances)
    mixed = 1 - (1 - p) ** size - p**size
    bias = (1 - p) - expected
    assert bias == pytest.approx((p * (1 - p) ** size + p ** (size + 1) - p**size) / mixed, abs=1e-12)
    assert (bias > 1e-12) == (p < 0.5) and (bias < -1e-12) == (p > 0.5)


def test_opo_weighs_its_baseline_by_length() -> None:
    made = case([[1, 0]], lengths=[2, 6])
    assert advantages(made, NoStd(), LengthWeightedBaseline()).tolist() == pytest.approx([0.75, -0.25])
    ragged = case([[1, NAN, 0, 1]], lengths=[2, 100, 6, 4])
    assert advantages(ragged, NoStd(), LengthWeightedBaseline()).tolist() == pytest.approx([0.5, 0, -0.5, 0.5])


@given(group, st.lists(st.integers(1, 40), min_size=4, max_size=4), st.sampled_from([-0.3, -0.01, 0.01, 0.3]))
def test_opo_minimises_the_length_weighted_second_moment(rewards: list[float], lengths: list[int], off: float) -> None:
    """Closed form: moving b by d raises sum L (r - b)^2 by exactly d^2 sum L."""
    a = advantages(case([rewards], lengths=lengths), NoStd(), LengthWeightedBaseline()).tolist()
    best = sum(n * x * x for n, x in zip(lengths, a, strict=True))
    other = sum(n * (x - off) ** 2 for n, x in zip(lengths, a, strict=True))
    assert other - best == pytest.approx(off * off * sum(lengths), rel=1e-6)


def test_reinforce_plus_plus_whitens_over_every_token_of_the_batch() -> None:
    rewards, lengths = [1.0, 0.0, 0.5, 0.0], [2, 3, 1, 4]
    tokens = [r for r, n in zip(rewards, lengths, strict=True) for _ in range(n)]
    wanted = [(r - statistics.mean(tokens)) / statistics.stdev(tokens) for r in rewards]
    got = advantages(case([rewards[:2], rewards[2:]], lengths=lengths), TokenWhitening())
    assert got.tolist() == pytest.approx(wanted, rel=1e-6)


def test_its_baseline_form_subtracts_the_groups_mean_first() -> None:
    rewards, lengths = [1.0, 0.0, 0.5, 0.0], [2, 3, 1, 4]
    centred = [0.5, -0.5, 0.25, -0.25]
    tokens = [r for r, n in zip(centred, lengths, strict=True) for _ in range(n)]
    wanted = [(r - statistics.mean(tokens)) / statistics.stdev(tokens) for r in centred]
    got = advantages(case([rewards[:2], rewards[2:]], lengths=lengths), GroupTokenWhitening())
    assert got.tolist() == pytest.approx(wanted, rel=1e-6)


@given(group, group, st.floats(0.1, 5), st.floats(-5, 5))
def test_whitened_advantages_do_not_depend_on_shift_or_scale(
    a: list[float], b: list[float], scale: float, shift: float
) -> None:
    made, moved = (case([[k * x + d for x in g] for g in (a, b)]) for k, d in ((1.0, 0.0), (scale, shift)))
    for mechanism in (TokenWhitening(), GroupTokenWhitening()):
        if made.rewards.std() > 0.1 and advantages(made, NoStd()).std() > 0.1:
            assert torch.allclose(advantages(made, mechanism), advantages(moved, mechanism), atol=1e-3)


def information_filter(rewards: list[float], process: float, measurement: float) -> list[float]:
    """KRPO in the information form: precisions add, and the estimate is their weighted mean."""
    mean, precision, out = 0.0, 1.0, []
    for z in rewards:
        prior = 1.0 / (1.0 / precision + process)
        precision = prior + 1.0 / measurement
        mean = (prior * mean + z / measurement) / precision
        out.append((z - mean) / (math.sqrt(1.0 / precision) + 1e-8))
    return out


@given(groups, st.sampled_from([(1e-5, 1e-2), (0.0, 1.0), (0.5, 0.1)]))
def test_krpo_is_a_scalar_kalman_filter_of_each_group(rewards: list[list[float]], noise: tuple[float, float]) -> None:
    got = advantages(case(rewards), KalmanBaseline(process=noise[0], measurement=noise[1])).tolist()
    wanted = [a for g in rewards for a in information_filter(g, *noise)]
    assert got == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_krpo_without_process_noise_is_a_running_mean_shrunk_to_zero() -> None:
    """x_n = sum / (n + R), P_n = R / (n + R): after 1, 0, 1 with R = 1 the estimate is 2/4 and the std 1/2."""
    got = advantages(case([[1, 0, 1]]), KalmanBaseline(process=0.0, measurement=1.0)).tolist()
    assert got == pytest.approx([0.5 / math.sqrt(0.5), -1 / 3 / math.sqrt(1 / 3), 0.5 / 0.5], rel=1e-6)


def test_krpo_does_not_see_a_row_without_a_reward_but_time_passes() -> None:
    got = advantages(case([[1, NAN, 0]]), KalmanBaseline(process=0.0, measurement=1.0)).tolist()
    assert got == pytest.approx([0.5 / math.sqrt(0.5), 0.0, -1 / 3 / math.sqrt(1 / 3)], rel=1e-6)


@pytest.mark.parametrize("successes", range(9))
def test_qae_learns_from_successes_of_hard_prompts_and_from_failures_of_easy_ones(successes: int) -> None:
    rewards = [1.0] * successes + [0.0] * (8 - successes)
    got = advantages(case([rewards]), NoStd(), QuantileBaseline(quantile=0.4)).tolist()
    assert got == (rewards if successes / 8 <= 0.6 else [r - 1 for r in rewards])


def test_qaes_quantile_is_a_reward_that_occurred_and_ignores_missing_ones() -> None:
    assert advantages(case([[4, 1, 3, 2, 5]]), NoStd(), QuantileBaseline(quantile=0.4)).tolist() == [2, -1, 1, 0, 3]
    assert advantages(case([[4, NAN, 3, 2, NAN]]), NoStd(), QuantileBaseline(quantile=0.4)).tolist() == [1, 0, 0, -1, 0]


def test_only_a_single_winner_learns_by_its_lead() -> None:
    made = case([[1, 0.25, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [NAN, 1, NAN, NAN]])
    got = advantages(made, NoStd(), BestOnly()).tolist()
    assert got == [0.75, *[0] * 15]
    scaled = advantages(case([[1, 0.25, 0, 0]]), BestOnly()).tolist()
    assert scaled == pytest.approx([0.75 / (statistics.stdev([1, 0.25, 0, 0]) + 1e-4), 0, 0, 0])


def test_a_blended_baseline_lies_between_group_and_batch() -> None:
    made = case([[1, 0], [0, 0]])  # means 0.5 and 0, batch 0.25
    assert advantages(made, NoStd(), BlendedBaseline(share=0.5)).tolist() == [0.625, -0.375, -0.125, -0.125]
    assert advantages(made, NoStd(), BlendedBaseline(share=1.0)).tolist() == advantages(made, NoStd()).tolist()


def test_an_optimistic_baseline_counts_one_more_success_than_there_was() -> None:
    made = case([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    got = advantages(made, NoStd(), OptimisticBaseline(prior=1.0)).view(3, 4).tolist()
    assert got[0] == pytest.approx([0.6, -0.4, -0.4, -0.4])
    assert got[1] == pytest.approx([-0.2] * 4)
    assert got[2] == pytest.approx([0.0] * 4)


def test_pass_at_k_gives_the_papers_numbers() -> None:
    got = advantages(case([[1, 1, 0, 0, 0, 0, 0, 0]]), PassAtK(k=4)).tolist()
    assert got == pytest.approx([0.5222] * 2 + [-0.1741] * 6, abs=1e-4)


def subsets(outcome: list[float], k: int) -> list[float]:
    """Pass@k advantages by drawing every k-subset: the mean standardised maximum of those a row is in."""
    drawn = list(itertools.combinations(range(len(outcome)), k))
    best = {s: max(outcome[i] for i in s) for s in drawn}
    mean, std = statistics.mean(best.values()), statistics.pstdev(best.values())
    if std == 0:
        return [0.0] * len(outcome)
    return [statistics.mean((best[s] - mean) / std for s in drawn if i in s) for i in range(len(outcome))]


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("successes", range(7))
def test_pass_at_k_is_the_mean_over_all_k_subsets(k: int, successes: int) -> None:
    outcome = [1.0] * successes + [0.0] * (6 - successes)
    got = advantages(case([outcome]), PassAtK(k=k)).tolist()
    assert got == pytest.approx(subsets(outcome, k), abs=1e-9)


def test_pass_at_k_beyond_the_group_is_silent() -> None:
    assert advantages(case([[1, 0], [1, 1], [0, 0]]), PassAtK(k=64)).tolist() == [0.0] * 6


def test_signed_outcomes_know_no_group() -> None:
    made = case([[1, 0], [1, 1], [0, 0]])
    assert advantages(made, SignedOutcomes()).tolist() == [0.1, -1, 0.1, 0.1, -1, -1]
    assert advantages(made, SignedOutcomes(positive=0.0)).tolist() == [0, -1, 0, 0, -1, -1]


@settings(max_examples=50)
@given(group, st.floats(-5, 5))
def test_baselines_of_the_group_follow_a_shift_of_all_rewards(rewards: list[float], shift: float) -> None:
    made, moved = case([rewards]), case([[x + shift for x in rewards]])
    for m in (LeaveOneOut(), LengthWeightedBaseline(), QuantileBaseline(), BestOnly(), BlendedBaseline()):
        assert torch.allclose(advantages(made, NoStd(), m), advantages(moved, NoStd(), m), atol=1e-6), m.name
    assert torch.allclose(
        advantages(made, NoStd(), OptimisticBaseline()), advantages(moved, NoStd(), OptimisticBaseline()), atol=1e-6
    )
