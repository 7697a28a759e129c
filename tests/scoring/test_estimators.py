"""The estimators agree with what they estimate, counted out."""

import random
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scoring.estimators import (
    mean_and_interval,
    overall,
    overall_standard_error,
    pass_at_k,
    problem_values,
)
from engine.tasks import load_taskset


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_share_of_all_subsets_of_k_that_hold_a_right_sample(
    outcomes: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(outcomes)))
    subsets = list(combinations(outcomes, k))
    counted = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(len(outcomes), sum(outcomes), k) == pytest.approx(counted, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_pass_at_k_is_unbiased_over_every_possible_number_of_right_samples(k: int) -> None:
    from scipy.stats import binom

    for p in (0.0, 0.1, 0.35, 0.9, 1.0):
        expected = sum(binom.pmf(c, 8, p) * pass_at_k(8, c, k) for c in range(9))
        assert expected == pytest.approx(1 - (1 - p) ** k, abs=1e-9)


def test_pass_at_k_knows_the_value_of_the_papers_example() -> None:
    assert pass_at_k(8, 2, 4) == pytest.approx(1 - 15 / 70)


@pytest.mark.parametrize(("n", "c", "k"), [(8, 9, 4), (8, -1, 4), (8, 2, 0), (8, 2, 9)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=20))
def test_with_k_1_a_value_is_the_average_of_its_samples_and_more_tries_never_hurt(
    rows: list[list[int]],
) -> None:
    ones = problem_values(rows, 1)
    assert ones == pytest.approx([100 * mean(row) for row in rows])
    assert all(four >= one - 1e-9 for one, four in zip(ones, problem_values(rows, 4), strict=True))


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40))
def test_an_interval_holds_its_mean_and_stays_within_0_and_100(values: list[float]) -> None:
    middle, (low, high) = mean_and_interval(values)
    assert middle == pytest.approx(mean(values))
    assert 0 <= low <= high <= 100
    assert low - 1e-9 <= middle <= high + 1e-9


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(0)
    hits, trials = 0, 600
    for _ in range(trials):
        chances = [rng.betavariate(1, 3) for _ in range(40)]
        outcomes = [[int(rng.random() < chance) for _ in range(8)] for chance in chances]
        _, (low, high) = mean_and_interval(problem_values(outcomes, 1))
        hits += low <= 25.0 <= high
    assert 0.92 <= hits / trials <= 0.98


def test_one_problem_alone_has_an_open_interval() -> None:
    assert mean_and_interval([40.0]) == (40.0, (0.0, 100.0))


def test_overall_is_the_papers_weighted_mean() -> None:
    weights = load_taskset("tiny").weights
    values = {name: 10.0 * i for i, name in enumerate(weights)}
    hard = [values["mul"], values["hop"]]
    others = [value for name, value in values.items() if name not in ("mul", "hop")]
    assert overall(values, weights) == pytest.approx(0.2 * sum(hard) + 0.15 * sum(others))


def test_overall_needs_every_task() -> None:
    with pytest.raises(ValueError, match="every task"):
        overall({"add": 1.0}, {"add": 0.5, "mul": 0.5})


def test_the_standard_error_of_overall_is_the_spread_of_repeated_scorings() -> None:
    rng = random.Random(1)
    weights, ks = {"a": 0.4, "b": 0.6}, {"a": 1, "b": 4}

    def scoring() -> dict[str, list[list[int]]]:
        chances = {task: [rng.betavariate(1, 3) for _ in range(30)] for task in weights}
        return {t: [[int(rng.random() < p) for _ in range(8)] for p in ps] for t, ps in chances.items()}

    runs = [scoring() for _ in range(400)]
    scores = [overall({t: mean(problem_values(r[t], ks[t])) for t in weights}, weights) for r in runs]
    spread = (sum((score - mean(scores)) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5
    claimed = mean(overall_standard_error(run, ks, weights) for run in runs)
    assert claimed == pytest.approx(spread, rel=0.12)
