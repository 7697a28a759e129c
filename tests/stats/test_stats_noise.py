"""A gain is an interval over seeds, and the best of many equals is not a gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.stats.contrast import contrast, welch
from engine.stats.noise import expected_best, gain, pairing_pays, seed_correlation

SCORES = st.lists(st.floats(0, 100).map(lambda x: round(x, 3)), min_size=2, max_size=8)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_the_difference_of_two_arms_is_scipys_welch_test(a: list[float], b: list[float]) -> None:
    if min(np.var(a), np.var(b)) < 1e-6:
        return
    ours, theirs = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    interval = theirs.confidence_interval(0.9)
    assert ours.interval(0.1) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_arms_without_any_spread_differ_surely_or_not_at_all() -> None:
    assert welch([3.0, 3.0], [1.0, 1.0]).p == 0.0
    assert welch([3.0, 3.0], [1.0, 1.0]).interval(0.05) == (2.0, 2.0)
    assert welch([1.0, 1.0], [1.0, 1.0]).p == 1.0


def test_an_arm_of_one_seed_has_no_spread_and_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        contrast([1, -1], [[1.0], [1.0, 2.0]])


def test_one_seed_against_the_root_takes_the_roots_noise() -> None:
    root = [50.0, 52.0, 54.0]
    found = gain([60.0], root)
    assert found is not None
    half = stats.t.ppf(0.975, 2) * 2.0 * np.sqrt(1 + 1 / 3)
    assert (found.value, found.low, found.high) == pytest.approx((8.0, 8.0 - half, 8.0 + half))
    assert (found.mark, found.seeds, found.root_seeds) == ("can't tell", 1, 3)


def test_two_seeds_are_pooled_with_the_root_and_three_speak_for_themselves() -> None:
    root = [50.0, 58.0, 54.0, 52.0, 57.0]
    for own, equal_var in (([60.0, 61.0], True), ([60.0, 61.0, 60.5], False)):
        found = gain(own, root)
        assert found is not None
        interval = stats.ttest_ind(own, root, equal_var=equal_var).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_nobody_knows_a_gain_without_two_root_seeds() -> None:
    assert gain([60.0], [50.0]) is None
    assert gain([], [50.0, 51.0]) is None


@pytest.mark.parametrize(("own", "mark"), [(90.0, "better"), (10.0, "worse"), (52.0, "can't tell")])
def test_the_mark_says_what_the_interval_says(own: float, mark: str) -> None:
    found = gain([own], [50.0, 52.0, 54.0, 51.0])
    assert found is not None
    assert found.mark == mark
    assert (found.low > 0) == (mark == "better")
    assert (found.high < 0) == (mark == "worse")


@pytest.mark.parametrize(
    ("seeds", "root_seeds", "ratio"), [(1, 3, 1.0), (1, 8, 1.0), (2, 8, 1.0), (4, 8, 0.13), (4, 8, 2)]
)
def test_the_interval_holds_what_it_promises(seeds: int, root_seeds: int, ratio: float) -> None:
    rng = np.random.default_rng(1)
    draws = [gain(rng.normal(0, ratio, seeds).tolist(), rng.normal(0, 1, root_seeds).tolist()) for _ in range(2500)]
    covered = np.mean([d is not None and d.low <= 0 <= d.high for d in draws])
    assert 0.93 <= covered <= 0.97


def test_the_best_of_63_copies_of_the_root_is_expected_three_points_above_it() -> None:
    assert expected_best(63, 1.0) == pytest.approx(2.338, abs=0.001)
    assert expected_best(63, 1.3) == pytest.approx(3.04, abs=0.01)
    assert expected_best(1, 5.0) == pytest.approx(0.0, abs=1e-9)
    assert expected_best(2, 1.0) == pytest.approx(1 / np.sqrt(np.pi), abs=1e-6)


def test_the_expected_best_needs_a_candidate() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        expected_best(0, 1.0)


def test_arms_are_correlated_over_the_seeds_they_share() -> None:
    assert seed_correlation({1: 1.0, 2: 2.0, 3: 3.0, 9: 0.0}, {1: 2.0, 2: 4.0, 3: 6.0, 7: 1.0}) == pytest.approx(1.0)
    assert seed_correlation({1: 1.0, 2: 2.0}, {1: 1.0, 2: 2.0}) is None
    assert seed_correlation({1: 1.0, 2: 1.0, 3: 1.0}, {1: 1.0, 2: 2.0, 3: 3.0}) is None


def test_pairing_by_seed_is_not_used_for_a_correlation_as_small_as_the_measured_one() -> None:
    assert not any(pairing_pays(0.04, n) for n in range(2, 31))
    assert not pairing_pays(None, 10)
    assert pairing_pays(0.5, 4)
    assert pairing_pays(0.5, 10)
    assert not pairing_pays(0.4, 4)
    assert pairing_pays(0.15, 10)
    assert not pairing_pays(0.13, 10)
