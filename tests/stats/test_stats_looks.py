"""Looks, the ledger and the verdict keep the error they state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from engine.stats.confirm import DEFAULT_LOOKS, Plan, detectable, judge, power_of
from engine.stats.ledger import FAMILY, allot, left
from engine.stats.looks import nominal_levels, spent

ROOT = [52.1, 48.0, 55.3, 50.2, 51.7, 47.9, 53.4, 54.8, 49.1, 50.6]


@settings(deadline=None)
@given(st.sets(st.integers(2, 40), min_size=1, max_size=6).map(sorted), st.floats(1e-6, 0.2))
def test_the_levels_of_all_looks_add_up_to_alpha(looks: list[int], alpha: float) -> None:
    levels = nominal_levels(looks, alpha)
    assert sum(levels) == pytest.approx(alpha)
    assert all(level >= 0 for level in levels)


def test_little_is_spent_early() -> None:
    assert spent(0.05, 0.5) == pytest.approx(0.0056, abs=1e-4)
    assert spent(0.05, 1.0) == pytest.approx(0.05)


@pytest.mark.parametrize(("looks", "alpha"), [((), 0.05), ((1, 5), 0.05), ((5, 5), 0.05), ((7, 5), 0.05), ((5,), 0.0)])
def test_a_plan_that_makes_no_sense_is_refused(looks: tuple[int, ...], alpha: float) -> None:
    with pytest.raises(ValueError, match="looks ascend"):
        nominal_levels(looks, alpha)


@pytest.mark.parametrize("looks", [DEFAULT_LOOKS, (4, 7, 10)])
@pytest.mark.parametrize("ratio", [0.13, 1.0, 2.0])
def test_planned_looks_keep_the_error_also_with_few_seeds_and_unequal_spreads(
    ratio: float, looks: tuple[int, ...]
) -> None:
    rng, draws = np.random.default_rng(5), 40_000
    a, b = rng.normal(0, ratio, (draws, looks[-1])), rng.normal(0, 1, (draws, looks[-1]))
    crossed = np.zeros(draws, bool)
    for n, level in zip(looks, nominal_levels(looks, 0.05), strict=True):
        va, vb = a[:, :n].var(1, ddof=1) / n, b[:, :n].var(1, ddof=1) / n
        t = (a[:, :n].mean(1) - b[:, :n].mean(1)) / np.sqrt(va + vb)
        df = (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
        crossed |= 2 * special.stdtr(df, -abs(t)) <= level
    assert crossed.mean() <= 0.05


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10), st.booleans()), max_size=60))
def test_all_confirmations_of_a_run_together_never_use_more_than_five_percent(asked: list[tuple[int, bool]]) -> None:
    taken: list[float] = []
    for nodes, automatic in asked:
        each = allot(taken, nodes, automatic=automatic)
        assert each > 0
        taken += [each] * nodes
    assert sum(taken) <= FAMILY + 1e-12


def test_the_batch_shares_four_fifths_and_each_by_hand_takes_half_of_what_is_left() -> None:
    batch = [allot([], 3, automatic=True)] * 3
    assert batch[0] == pytest.approx(0.04 / 3)
    first = allot(batch, 1, automatic=False)
    assert first == pytest.approx(0.005)
    assert allot([*batch, first], 1, automatic=False) == pytest.approx(0.0025)
    assert left([*batch, first]) == pytest.approx(0.005)
    assert allot([], 1, automatic=False) == pytest.approx(0.025)


def test_an_empty_confirmation_and_a_negative_alpha_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        allot([], 0, automatic=True)
    with pytest.raises(ValueError, match="below zero"):
        allot([-0.1], 1, automatic=True)


def plan() -> Plan:
    return Plan((5, 7, 10), 0.04 / 3)


def test_a_large_gain_is_confirmed_at_the_first_look() -> None:
    found = judge([79.9, 80.4, 80.1, 79.5, 80.8], ROOT[:5], plan(), 0)
    assert found.verdict == "confirmed"
    assert found.low > 0
    assert found.p <= found.nominal == plan().nominal[0]
    assert "confirmed: +28.7 points" in found.line
    assert found.power.value > 0.99


def test_what_is_not_clear_yet_goes_on_to_the_next_look() -> None:
    found = judge([v + 3 for v in ROOT[:5]], ROOT[:5], plan(), 0)
    assert found.verdict == "continue"
    assert found.low < 0 < found.high


def test_a_gain_that_some_more_seeds_would_show_says_how_many() -> None:
    found = judge([v + 2.5 for v in ROOT], ROOT, plan(), 2)
    assert found.more is not None
    assert found.verdict == f"needs {found.more} more seeds"
    variances = (float(np.var(ROOT, ddof=1)),) * 2
    assert power_of(2.5, variances, 10 + found.more, found.nominal) >= 0.8
    assert power_of(2.5, variances, 10 + found.more - 1, found.nominal) < 0.8


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.0, -20.0])
def test_no_gain_or_a_hopeless_one_is_not_confirmed(shift: float) -> None:
    found = judge([v + shift for v in ROOT], ROOT, plan(), 2)
    assert found.verdict == "not confirmed"
    assert found.more is None


def test_a_clear_loss_ends_at_its_look() -> None:
    found = judge([v - 30 for v in ROOT[:7]], ROOT[:7], plan(), 1)
    assert found.verdict == "not confirmed"
    assert found.high < 0


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=10, max_size=10), st.lists(st.floats(0, 100), min_size=10, max_size=10))
def test_the_interval_excludes_no_gain_exactly_when_the_last_look_decides(a: list[float], b: list[float]) -> None:
    found = judge(a, b, plan(), 2)
    if abs(found.p - found.nominal) > 1e-9:
        assert (found.low > 0) == (found.verdict == "confirmed")
        assert (found.low > 0 or found.high < 0) == (found.p < found.nominal)


def test_a_training_that_failed_counts_against_the_candidate() -> None:
    whole = [80.0, 80.3, 79.8, 80.1, 79.9]
    assert judge(whole, ROOT[:5], plan(), 0).verdict == "confirmed"
    assert judge([*whole[:4], 0.0], ROOT[:5], plan(), 0).verdict == "continue"


def test_seeds_besides_the_plan_are_refused() -> None:
    with pytest.raises(ValueError, match="planned at 5 seeds"):
        judge(ROOT[:6], ROOT[:5], plan(), 0)
    with pytest.raises(ValueError, match="no look 4"):
        judge(ROOT, ROOT, plan(), 3)


@pytest.mark.parametrize("alpha", [1e-15, 1e-5, 0.025])
@pytest.mark.parametrize("looks", [(4, 7, 50), (2, 50), (5, 7, 10)])
def test_a_level_near_nothing_still_gives_numbers(alpha: float, looks: tuple[int, ...]) -> None:
    asked = Plan(looks, alpha)
    found = judge([v + 3 for v in ROOT[: looks[0]]], ROOT[: looks[0]], asked, 0)
    assert found.verdict == "continue"
    numbers = (found.low, found.high, found.p, found.power.value, found.power.detectable)
    assert all(np.isfinite(x) for x in numbers)
    assert found.low < found.gain < found.high


def test_power_is_what_trainings_would_show() -> None:
    rng, n, draws = np.random.default_rng(2), 7, 20_000
    a, b = rng.normal(4, 1.0, (draws, n)), rng.normal(0, 3.0, (draws, n))
    va, vb = a.var(1, ddof=1) / n, b.var(1, ddof=1) / n
    t, df = (a.mean(1) - b.mean(1)) / np.sqrt(va + vb), (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
    shown = np.mean((2 * special.stdtr(df, -abs(t)) <= 0.0133) & (t > 0))
    assert power_of(4.0, (1.0, 9.0), n, 0.0133) == pytest.approx(shown, abs=0.03)


@pytest.mark.parametrize("gain", [0.5, 2.0, 4.0, 8.0])
def test_power_with_equal_spreads_is_the_noncentral_t(gain: float) -> None:
    n, level = 8, 0.01
    bound = stats.t.isf(level / 2, 2 * n - 2)
    wanted = stats.nct.sf(bound, 2 * n - 2, gain / np.sqrt(2 * 9.0 / n))
    assert power_of(gain, (9.0, 9.0), n, level) == pytest.approx(wanted, abs=1e-3)


def test_the_detectable_gain_is_detected_in_four_of_five() -> None:
    found = detectable((4.0, 9.0), 7, 0.01)
    assert power_of(found, (4.0, 9.0), 7, 0.01) == pytest.approx(0.8)
    assert detectable((0.0, 0.0), 7, 0.01) == 0.0
    assert power_of(1.0, (0.0, 0.0), 7, 0.01) == 1.0
