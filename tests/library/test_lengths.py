"""Length in the reward: each rule on lengths a reader can check."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.lengths import (
    ExponentialLength,
    LengthBudget,
    LengthTarget,
    MinMaxLength,
    PassRateLengthPenalty,
    SoftOverlong,
    TopGroupsLength,
)
from engine.algorithms.library.scales import NoStd
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case, rollouts
from tests.library.hand import advantages, case

EVERY = (
    *(SoftOverlong(), MinMaxLength(), LengthTarget(), LengthBudget()),
    *(PassRateLengthPenalty(), TopGroupsLength(share=1.0), ExponentialLength()),
)


def shaped(made: Case, *mechanisms: Mechanism) -> list[float]:
    found: list[float] = Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).shaped.tolist()
    return found


def test_overlong_is_free_below_the_band_linear_in_it_and_one_when_cut() -> None:
    made = case([[1, 1, 1, 1]], lengths=[50, 75, 90, 100], max_length=100, truncated=[False, False, False, True])
    assert shaped(made, SoftOverlong(band=0.25)) == pytest.approx([1, 1, 1 - 15 / 25, 0])
    early = case([[1]], lengths=[10], max_length=100, truncated=[True])
    assert shaped(early, SoftOverlong()) == [0]


def test_kimi_pays_from_plus_to_minus_a_half_and_wrong_rows_never_gain() -> None:
    made = case([[1, 1, 1, 0, 0]], lengths=[10, 20, 30, 10, 25])
    assert shaped(made, MinMaxLength(weight=1.0)) == pytest.approx([1.5, 1, 0.5, 0, -0.25])
    assert shaped(made, MinMaxLength(weight=0.1)) == pytest.approx([1.05, 1, 0.95, 0, -0.025])
    assert shaped(case([[1, 0]], lengths=[7, 7]), MinMaxLength()) == [1, 0]


def test_l1_exact_charges_the_distance_to_its_target_on_both_sides() -> None:
    made = case([[1, 1, 0]], lengths=[400, 600, 1000], max_length=1000)
    assert shaped(made, LengthTarget()) == pytest.approx([1 - 0.03, 1 - 0.03, -0.15])
    assert shaped(made, LengthTarget(target=0.4, alpha=1e-3)) == pytest.approx([1, 0.8, -0.6])


def test_l1_max_pays_for_room_in_the_budget_between_nothing_and_everything() -> None:
    made = case([[1, 1, 1, 1, 0]], lengths=[500, 400, 2000, 4000, 400], max_length=4000)
    wanted = [0.5 + 0.45, 0.5 + 0.48, 0.5, 0, 0]
    assert shaped(made, LengthBudget(target=0.5)) == pytest.approx(wanted)
    assert shaped(made, LengthBudget(target=0.5, alpha=0.01))[:3] == [1, 1, 0.5]


def test_alp_charges_easy_prompts_by_their_pass_rate_and_no_prompt_less_than_one_in_g() -> None:
    made = case([[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], lengths=[100] * 12)
    got = shaped(made, PassRateLengthPenalty(beta=1e-3))
    assert got == pytest.approx([1 - 0.025, *[-0.025] * 3, *[1 - 0.075] * 3, -0.075, *[-0.025] * 4])


def test_grpo_lambda_charges_correct_rows_of_the_best_groups_alone() -> None:
    """Lengths 2 and 6 of the correct rows: z = -1 and 1; sigmoid(1) = 0.731059."""
    made = case([[1, 1, 0], [1, 0, 0], [0, 0, 0]], lengths=[2, 6, 4, 3, 1, 9, 2, 2, 2])
    top = shaped(made, TopGroupsLength(share=1 / 3, alpha=0.2))
    assert top == pytest.approx([1 - 0.2 * 0.268941, 1 - 0.2 * 0.731059, 0, 1, *[0] * 5], abs=2e-5)
    both = shaped(made, TopGroupsLength(share=2 / 3, alpha=0.2))
    assert both[3] == pytest.approx(0.9)
    assert both[4:] == [0] * 5
    assert shaped(made, TopGroupsLength(share=0.0)) == made.rewards.tolist()


def test_grpo_lambda_treats_equally_good_groups_alike() -> None:
    made = case([[1, 0], [0, 1], [0, 0]])
    assert shaped(made, TopGroupsLength(share=1 / 3, alpha=0.2)) == pytest.approx([0.9, 0, 0, 0.9, 0, 0])


def test_lead_pays_correct_rows_by_their_z_score_and_wrong_ones_minus_one() -> None:
    made = case([[1.7, 1.2, 0.9, 0]], lengths=[2, 6, 50, 1])
    got = shaped(made, ExponentialLength(alpha=0.05))
    assert got == pytest.approx([math.exp(0.05), math.exp(-0.05), -1, -1], abs=1e-4)
    assert shaped(case([[1, 0]], lengths=[9, 1]), ExponentialLength()) == [1, -1]


@given(st.lists(st.integers(1, 100), min_size=6, max_size=6), st.integers(1, 6))
def test_of_two_right_answers_the_shorter_never_earns_less(lengths: list[int], successes: int) -> None:
    """LengthTarget alone may want a longer one."""
    outcomes = [1.0] * successes + [0.0] * (6 - successes)
    made = case([outcomes], lengths=lengths, max_length=100)
    for m in EVERY:
        if not isinstance(m, LengthTarget):
            earned = sorted(zip(lengths[:successes], shaped(made, m)[:successes], strict=True))
            assert all(a[1] >= b[1] - 1e-12 for a, b in itertools.pairwise(earned) if a[0] < b[0]), m.name


@given(st.lists(st.integers(1, 100), min_size=4, max_size=4))
def test_a_row_without_a_reward_stays_without(lengths: list[int]) -> None:
    made = case([[1, math.nan, 0, 1]], lengths=lengths, max_length=100)
    for m in EVERY:
        assert math.isnan(shaped(made, m)[1])
        values = advantages(made, NoStd(), m).tolist()
        assert values[1] == 0 and all(map(math.isfinite, values))
