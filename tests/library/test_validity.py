"""What unreadable and wrong answers earn: the papers' numbers and numbers worked by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.scales import NoStd
from engine.algorithms.library.validity import (
    AllFailPenalty,
    CorrectnessGate,
    HierarchicalFormat,
    InvalidPenalty,
    RelativeLengthDamping,
    ValidityMask,
)
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case, rollouts
from tests.library.hand import advantages, case

NAN = math.nan


def shaped(made: Case, *mechanisms: Mechanism) -> list[float]:
    found: list[float] = Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).shaped.tolist()
    return found


def test_validity_mask_gives_uniform_groups_a_third_and_one_success_in_eight_two() -> None:
    made = case([[0] * 8, [1] * 8, [1, *[0] * 7]])
    got = advantages(made, ValidityMask()).view(3, 8).tolist()
    assert got[0] == pytest.approx([-1 / 3] * 8)
    assert got[1] == pytest.approx([1 / 3] * 8)
    assert got[2] == pytest.approx([2.0, *[-0.5] * 7])


def test_validity_mask_leaves_invalid_rows_out_of_the_statistics() -> None:
    """Two valid rows, one right: mu = 2/4 and sigma = 1/2, however many rows were invalid."""
    made = case([[1, 0, 0, 0, 0]], valid=[True, True, False, False, False])
    assert advantages(made, ValidityMask()).tolist() == [1, -1, -1, -1, -1]
    assert advantages(made, ValidityMask(invalid_advantage=-3.0)).tolist() == [1, -1, -3, -3, -3]


def test_validity_mask_without_a_prior_is_grpo_by_the_population_std_with_a_floor() -> None:
    made = case([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert advantages(made, ValidityMask(prior=0.0)).tolist() == [1, 1, -1, -1, 0, 0, 0, 0]
    near = case([[1, *[0] * 7]])  # sigma = 0.3307, the floor 0.5 divides
    assert advantages(near, ValidityMask(prior=0.0, sigma_floor=0.5))[0].item() == pytest.approx(7 / 8 / 0.5)


def test_validity_mask_does_not_count_a_row_without_a_reward() -> None:
    made = case([[1, 0, NAN]])
    assert advantages(made, ValidityMask()).tolist() == [1, -1, 0]


def test_long_valid_failures_are_punished_less_and_short_ones_more() -> None:
    """Valid lengths 2, 4, 6 have the mean 4; the invalid row of 100 tokens is in no mean and is left as it is."""
    made = case([[1, 0, 0, 0]], lengths=[2, 4, 6, 100], valid=[True, True, True, False])
    got = advantages(made, NoStd(), RelativeLengthDamping()).tolist()
    assert got == pytest.approx([0.75, -0.25, -0.25 / 1.5, -0.25])
    longer = case([[1, 0, 0]], lengths=[1, 1, 28])  # relative lengths 0.1 and 2.8 are clipped to 0.5 and 2
    assert advantages(longer, NoStd(), RelativeLengthDamping()).tolist() == pytest.approx(
        [2 / 3, -1 / 3 / 0.5, -1 / 3 / 2]
    )


def test_vm_av_damps_by_length_what_the_mask_made() -> None:
    made = case([[1, 0, 0]], lengths=[6, 4, 2], valid=[True, True, False])
    got = advantages(made, ValidityMask(), RelativeLengthDamping()).tolist()
    assert got == pytest.approx([1, -1 / 0.8, -1])


def test_the_gate_keeps_a_fraction_of_what_wrong_rows_earn() -> None:
    assert shaped(case([[1.5, 0.5, -0.5]]), CorrectnessGate()) == [1.5, 0, 0]
    assert shaped(case([[1.5, 0.5, -0.5]]), CorrectnessGate(keep=0.5)) == [1.5, 0.25, -0.25]


def test_an_unreadable_answer_earns_the_penalty_and_one_without_a_reward_stays_out() -> None:
    made = case([[1, 0.5, 0.5, NAN]], valid=[True, True, False, False])
    assert shaped(made, InvalidPenalty(penalty=0.7))[:3] == [1, 0.5, -0.7]
    assert math.isnan(shaped(made, InvalidPenalty())[3])
    assert advantages(made, NoStd(), InvalidPenalty(penalty=0.75)).tolist() == pytest.approx([0.75, 0.25, -1, 0])


def test_hierarchical_format_has_three_steps() -> None:
    made = case([[1.8, 0.7, 0.2]], valid=[True, True, False])
    assert shaped(made, HierarchicalFormat(level=0.2)) == [1, 0.2, 0]


def test_in_an_all_fail_group_the_kind_of_failure_decides() -> None:
    made = case([[0.4, 0, 0], [1, 0, 0]], valid=[True, False, True, True, False, True])
    got = advantages(made, NoStd(), AllFailPenalty()).tolist()
    assert got == pytest.approx([-0.5, -2, -0.5, 2 / 3, -1 / 3, -1 / 3])


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.floats(0.1, 4))
def test_a_right_answer_is_never_below_a_wrong_one(outcomes: list[bool], prior: float) -> None:
    a = advantages(case([[float(x) for x in outcomes]]), ValidityMask(prior=prior)).tolist()
    right = [x for x, ok in zip(a, outcomes, strict=True) if ok]
    wrong = [x for x, ok in zip(a, outcomes, strict=True) if not ok]
    assert all(x > 0 for x in right) and all(x < 0 for x in wrong)
