"""Who goes on from a rung: halving where the rung is right, nobody stopped where it says nothing."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stats.promotion import chance_of_top, promotion, rank_correlation

SCORES = st.lists(st.floats(0, 100).map(lambda x: round(x, 2)), min_size=4, max_size=40)


@settings(deadline=None)
@given(st.floats(0, 100), SCORES, st.integers(2, 4))
def test_a_perfect_rung_without_noise_is_plain_successive_halving(own: float, earlier: list[float], eta: int) -> None:
    found = promotion([own], earlier, noise_std=0.0, correlation=1.0, eta=eta)
    rank = 1 + sum(other > own for other in earlier)
    assert found.promoted == (rank <= ceil((len(earlier) + 1) / eta))


@settings(deadline=None)
@given(st.floats(0, 100), st.lists(st.floats(0, 100), max_size=40), st.floats(0, 10), st.integers(2, 4))
def test_a_rung_that_says_nothing_about_the_end_stops_nobody(
    own: float, earlier: list[float], noise: float, eta: int
) -> None:
    assert promotion([own], earlier, noise_std=noise, correlation=0.0, eta=eta).promoted


@settings(deadline=None)
@given(SCORES, st.floats(0.1, 10), st.floats(0, 1))
def test_a_higher_score_has_no_smaller_chance_but_for_rounding(
    earlier: list[float], noise: float, correlation: float
) -> None:
    low, high = (promotion([own], earlier, noise_std=noise, correlation=correlation, eta=4) for own in (30.0, 60.0))
    assert low.probability <= high.probability + 0.03
    assert 0 <= low.probability <= 1


def test_too_few_before_it_stop_only_what_is_clearly_below() -> None:
    assert promotion([40.0], [], noise_std=3.0, correlation=0.9, eta=4).promoted
    assert promotion([48.0], [50.0, 51.0], noise_std=3.0, correlation=0.99, eta=4).promoted
    far = promotion([10.0], [50.0, 51.0], noise_std=3.0, correlation=0.99, eta=4)
    assert not far.promoted
    assert "40.5 below the mean of those before it" in far.why


def test_equal_scores_all_go_on() -> None:
    assert promotion([0.0], [0.0] * 20, noise_std=0.0, correlation=0.9, eta=4).promoted
    assert promotion([7.0], [7.0] * 20, noise_std=2.0, correlation=1.0, eta=4).promoted


def test_the_sentence_tells_the_numbers() -> None:
    earlier = [30.0 + i for i in range(13)]
    found = promotion([31.2], earlier, noise_std=3.0, correlation=0.7, eta=4, where="6 of 48 updates")
    percent = f"{100 * found.probability:.0f} %"
    assert found.why == f"31.2 at 6 of 48 updates is rank 12 of 14; a chance of {percent} to end in the top quarter"
    assert not found.promoted


def test_a_second_seed_makes_a_score_weigh_more() -> None:
    earlier = [float(x) for x in range(40, 60)]
    one = promotion([59.0], earlier, noise_std=4.0, correlation=0.6, eta=4)
    four = promotion([59.0] * 4, earlier, noise_std=4.0, correlation=0.6, eta=4)
    assert four.probability > one.probability


def test_differences_within_the_noise_are_not_blown_up() -> None:
    earlier = [50.0 + 0.01 * i for i in range(20)]
    assert promotion([49.99], earlier, noise_std=3.0, correlation=0.8, eta=4).promoted
    assert not promotion([49.9], earlier, noise_std=0.0, correlation=0.8, eta=4).promoted


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize(("n", "k"), [(6, 2), (20, 5), (60, 15)])
def test_the_chance_is_that_of_the_ends_it_predicts(n: int, k: int, correlation: float) -> None:
    rng = np.random.default_rng(n)
    z = rng.normal(0, 1, n)
    middle = np.median(z[1:])
    spread = 1.4826 * np.median(abs(z[1:] - middle))
    trust = 2 * np.sin(np.pi * correlation / 6)
    ends = trust * (z - middle) / spread + np.sqrt(1 - trust**2) * rng.normal(0, 1, (40_000, n))
    wanted = np.mean((ends[:, 1:] > ends[:, :1]).sum(1) < k)
    found = chance_of_top(float(z[0]), 1, z[1:].tolist(), k, noise_std=0.1, correlation=correlation)
    assert found == pytest.approx(wanted, abs=0.03)


def test_a_promotion_needs_a_score() -> None:
    with pytest.raises(ValueError, match="needs a score"):
        promotion([], [1.0], noise_std=1.0, correlation=0.5, eta=4)


def test_a_correlation_of_few_pairs_stays_near_its_prior() -> None:
    assert rank_correlation([1, 2], [2, 1], 0.7, 8) == 0.7
    assert rank_correlation([], [], 0.7, 8) == 0.7
    assert rank_correlation([1, 1, 1], [1, 2, 3], 0.7, 8) == 0.7
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40], 0.5, 4) == pytest.approx(0.75)
    assert rank_correlation(range(100), range(100), 0.0, 1) > 0.98
    with pytest.raises(ValueError, match="at the end"):
        rank_correlation([1], [1, 2], 0.5, 4)


def test_choosing_by_the_rung_does_not_make_the_rung_look_useless() -> None:
    rng = np.random.default_rng(3)
    rung = rng.normal(0, 1, 400)
    end = 0.8 * rung + 0.6 * rng.normal(0, 1, 400)
    best = np.argsort(-rung)[:100]
    kept = rung[best].tolist(), end[best].tolist()
    plain, corrected = (rank_correlation(*kept, 0.5, 0.0, all_) for all_ in ((), rung.tolist()))
    assert plain < 0.6
    assert 0.68 < corrected < 0.9
