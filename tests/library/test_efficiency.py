"""Length in the advantage: the papers' formulas on lengths a reader can check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.efficiency import (
    CorrectBrevity,
    GroupLengthAdjustment,
    LengthExponent,
    LongCorrectPenalty,
    RelativeBrevity,
    SolvedLengthPenalty,
)
from engine.algorithms.library.reweighting import DifficultyBoost
from engine.algorithms.library.scales import NoStd
from engine.contract import Mechanism
from tests.library.hand import advantages, case

# Two of four correct, of 2 and 6 tokens: mean 4, population std 2, z of brevity 1 and -1; p = 1/2.
OUTCOMES, LENGTHS = [1, 1, 0, 0], [2, 6, 4, 9]
BARE = [0.5, 0.5, -0.5, -0.5]


def after(*mechanisms: Mechanism) -> list[float]:
    found: list[float] = advantages(case([OUTCOMES], lengths=LENGTHS), NoStd(), *mechanisms).tolist()
    return found


def test_daces_efficiency_is_the_z_score_among_the_correct_times_the_pass_rate() -> None:
    assert after(SolvedLengthPenalty(weight=0.2)) == pytest.approx([0.6, 0.4, -0.5, -0.5], abs=1e-4)


def test_dace_is_a_boosted_accuracy_plus_efficiency() -> None:
    """A_acc (1 + a (1 - p)) + b p A_eff with a = 1, b = 0.2: 0.5 * 1.5 + 0.2 * 0.5 * 1."""
    assert after(DifficultyBoost(alpha=1.0), SolvedLengthPenalty(weight=0.2)) == pytest.approx(
        [0.85, 0.65, -0.75, -0.75], abs=1e-4
    )


def test_cdas_efficiency_does_not_fade_with_the_pass_rate() -> None:
    assert after(CorrectBrevity(weight=0.2)) == pytest.approx([0.7, 0.3, -0.5, -0.5], abs=1e-4)


def test_cag_only_takes_from_long_correct_rows() -> None:
    """(4 - 6) / 4 = -1/2, times beta = 0.4, times p^2 = 1/4."""
    assert after(LongCorrectPenalty(beta=0.4)) == pytest.approx([0.5, 0.45, -0.5, -0.5])


def test_dcbe_gives_and_takes_by_relative_length() -> None:
    assert after(RelativeBrevity(weight=0.4)) == pytest.approx([0.55, 0.45, -0.5, -0.5], abs=1e-5)


def test_msas_exponent_trusts_long_successes_and_forgives_long_failures() -> None:
    """Lengths 2, 8, 2, 8 of mean 5: ratios 0.4 and 1.6."""
    got = advantages(case([OUTCOMES], lengths=[2, 8, 2, 8]), NoStd(), LengthExponent(power=0.5)).tolist()
    assert got == pytest.approx([0.5 * 0.4**0.5, 0.5 * 1.6**0.5, -0.5 / 0.4**0.5, -0.5 / 1.6**0.5])


def test_gla_divides_by_relative_length_within_its_limit() -> None:
    """Lengths 2, 4, 4, 30 of mean 10: ratios 0.2 and 0.4 count as 1/2, 3 counts as 2."""
    got = advantages(case([OUTCOMES], lengths=[2, 4, 4, 30]), NoStd(), GroupLengthAdjustment(limit=2.0)).tolist()
    assert got == pytest.approx([1, 1, -1, -0.25])
    mild = advantages(case([OUTCOMES], lengths=[8, 10, 10, 12]), NoStd(), GroupLengthAdjustment()).tolist()
    assert mild == pytest.approx([0.5 / 0.8, 0.5, -0.5, -0.5 / 1.2])


@given(
    st.lists(st.integers(1, 200), min_size=6, max_size=6),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=6),
)
def test_wrong_rows_are_left_alone_and_z_scores_cancel_among_the_right(
    lengths: list[int], outcomes: list[float]
) -> None:
    made = case([outcomes], lengths=lengths)
    plain = advantages(made, NoStd())
    for m in (SolvedLengthPenalty(), CorrectBrevity(), LongCorrectPenalty(), RelativeBrevity()):
        change = advantages(made, NoStd(), m) - plain
        assert (change[~made.correct] == 0).all(), m.name
        if not isinstance(m, LongCorrectPenalty):
            assert change.sum().item() == pytest.approx(0, abs=1e-9), m.name
        else:
            assert (change <= 0).all()


@given(st.lists(st.integers(1, 200), min_size=6, max_size=6), st.integers(2, 9))
def test_what_counts_is_relative_length(lengths: list[int], factor: int) -> None:
    """The same group told in longer words: all lengths times a factor."""
    outcomes = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    short, long = case([outcomes], lengths=lengths), case([outcomes], lengths=[factor * n for n in lengths])
    for m in (
        *(SolvedLengthPenalty(), CorrectBrevity(), LongCorrectPenalty(), RelativeBrevity()),
        *(LengthExponent(), GroupLengthAdjustment()),
    ):
        assert advantages(short, NoStd(), m).tolist() == pytest.approx(
            advantages(long, NoStd(), m).tolist(), abs=2e-4
        ), m.name


def test_a_group_of_one_length_is_left_as_it_is() -> None:
    for m in (
        *(SolvedLengthPenalty(), CorrectBrevity(), LongCorrectPenalty(), RelativeBrevity()),
        *(LengthExponent(), GroupLengthAdjustment()),
    ):
        assert advantages(case([OUTCOMES]), NoStd(), m).tolist() == pytest.approx(BARE, abs=1e-6), m.name
