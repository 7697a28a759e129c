"""What a mechanism pays adds up, and "inert" is never said for lack of evidence."""

from __future__ import annotations

from itertools import combinations, permutations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stats.attribution import Effect, attribute, shapley_weights, subsets_for, verdict
from engine.stats.bootstrap import crossed

NAMES = ("a", "b", "c", "d")


def all_subsets(names: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(s) for size in range(len(names) + 1) for s in combinations(names, size)]


@st.composite
def games(draw: st.DrawFn) -> tuple[tuple[str, ...], dict[frozenset[str], list[float]]]:
    names = NAMES[: draw(st.integers(1, 4))]
    score = st.floats(0, 100).map(lambda x: round(x, 3))
    return names, {s: draw(st.lists(score, min_size=2, max_size=3)) for s in all_subsets(names)}


@settings(deadline=None)
@given(games())
def test_shapley_values_add_up_to_the_gain_of_the_whole(
    game: tuple[tuple[str, ...], dict[frozenset[str], list[float]]],
) -> None:
    names, arms = game
    found = attribute(names, arms, margin=1.0)
    total = sum(a.shapley.effect for a in found if a.shapley is not None)
    assert total == pytest.approx(fmean(arms[frozenset(names)]) - fmean(arms[frozenset()]), abs=1e-6)


@settings(deadline=None)
@given(games())
def test_shapley_values_are_the_mean_over_all_orders(
    game: tuple[tuple[str, ...], dict[frozenset[str], list[float]]],
) -> None:
    names, arms = game
    value = {s: fmean(scores) for s, scores in arms.items()}
    for found in attribute(names, arms, margin=1.0):
        orders = list(permutations(names))
        paid = [
            value[frozenset(o[: o.index(found.name) + 1])] - value[frozenset(o[: o.index(found.name)])] for o in orders
        ]
        assert found.shapley is not None
        assert found.shapley.effect == pytest.approx(fmean(paid), abs=1e-6)


def test_mechanisms_that_do_the_same_are_paid_the_same() -> None:
    arms = {
        s: [50.0 + 10 * bool(s & {"a", "b"}) + 3 * ("c" in s) + e for e in (-1.0, 0.0, 1.0)]
        for s in all_subsets(NAMES[:3])
    }
    a, b, c = attribute(("a", "b", "c"), arms, margin=2.0)
    assert a.shapley == b.shapley
    assert a.shapley is not None
    assert a.shapley.effect == pytest.approx(5.0)
    assert a.off.effect == pytest.approx(0.0)  # the other does its work
    assert a.alone.effect == pytest.approx(10.0)
    assert c.off.effect == pytest.approx(3.0)


def test_without_every_subset_there_are_effects_but_no_shapley_values() -> None:
    rng = np.random.default_rng(0)
    arms = {s: (50 + 10 * ("a" in s) + rng.normal(0, 1, 4)).tolist() for s in subsets_for(NAMES, shapley=False)}
    found = {a.name: a for a in attribute(NAMES, arms, {"mul": arms}, margin=1.0)}
    assert all(a.shapley is None for a in found.values())
    assert found["a"].verdict == "pays"
    assert found["a"].benchmarks["mul"] == found["a"].off
    assert found["b"].verdict != "pays"


def test_five_mechanisms_have_no_shapley_values() -> None:
    names = (*NAMES, "e")
    arms = {s: [1.0, 2.0] for s in all_subsets(names)}
    assert all(a.shapley is None for a in attribute(names, arms, margin=1.0))
    with pytest.raises(ValueError, match="up to 4"):
        subsets_for(names, shapley=True)


def test_the_arms_to_train_are_each_named_once() -> None:
    assert subsets_for(("a",), shapley=False) == [frozenset(), frozenset("a")]
    assert len(subsets_for(("a", "b"), shapley=False)) == 4
    assert len(subsets_for(NAMES, shapley=False)) == 10
    assert len(subsets_for(NAMES, shapley=True)) == 16


def test_a_missing_arm_is_named() -> None:
    with pytest.raises(ValueError, match="with nothing on"):
        attribute(("a",), {frozenset("a"): [1.0, 2.0]}, margin=1.0)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.5, 9.0, "pays"),
        (-9.0, -0.5, "harmful"),
        (-0.9, 0.9, "inert"),
        (-0.5, 1.5, "can't tell"),
        (-5, 5, "can't tell"),
    ],
)
def test_not_to_have_seen_an_effect_is_not_to_have_seen_none(low: float, high: float, said: str) -> None:
    assert verdict(Effect((low + high) / 2, low, high), margin=1.0) == said


def test_an_interval_of_a_shapley_value_holds_what_it_promises() -> None:
    rng, held = np.random.default_rng(4), []
    weights = shapley_weights(("a", "b"), "a")
    for _ in range(800):
        arms = {s: rng.normal(10 * len(s), 1.0 + len(s), 4).tolist() for s in weights}
        shapley = attribute(("a", "b"), arms, margin=1.0)[0].shapley
        assert shapley is not None
        held.append(shapley.low <= 10.0 <= shapley.high)
    assert 0.92 <= np.mean(held) <= 0.98


def values(rng: np.random.Generator, seeds: int, shift: float = 0.0) -> dict[str, list[list[float]]]:
    return {
        t: (50 + shift + rng.normal(0, 10, (1, 60)) + rng.normal(0, 3, (seeds, 1))).tolist() for t in ("add", "mul")
    }


def test_the_crossed_bootstrap_is_the_same_every_time_and_holds_a_clear_gain() -> None:
    rng = np.random.default_rng(0)
    weights = {"add": 0.6, "mul": 0.4}
    a, b = values(rng, 5, 30.0), values(rng, 8)
    low, high = crossed(a, b, weights)
    assert (low, high) == crossed(a, b, weights)
    assert 15 < low < 30 < high < 45


def test_seeds_that_agree_leave_only_the_problems() -> None:
    weights = {"add": 1.0}
    problems = np.random.default_rng(0).normal(50, 10, 80)
    arm = {"add": [problems.tolist()] * 4}
    assert crossed(arm, arm, weights) == pytest.approx((0.0, 0.0))
    low, high = crossed({"add": [(problems + 5).tolist()] * 4}, arm, weights)
    assert (low, high) == pytest.approx((5.0, 5.0))  # the same problems in both arms


def test_uneven_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="problems of add"):
        crossed({"add": [[1.0, 2.0], [1.0]]}, {"add": [[1.0, 2.0]]}, {"add": 1.0})
    with pytest.raises(ValueError, match="problems of add"):
        crossed({"add": [[1.0, 2.0]]}, {"add": [[1.0]]}, {"add": 1.0})
    with pytest.raises(ValueError, match="every task"):
        crossed({"add": [[1.0]]}, {"add": [[1.0]]}, {"add": 1.0, "mul": 1.0})
