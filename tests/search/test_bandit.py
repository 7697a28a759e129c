"""Several models share a run by what a dollar buys: deterministic, explained, and nobody is left untried."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.bandit import LEAST_TRIALS, Trial, choose

ARMS = ("openai/a", "openai/b", "ollama/c")
TRIALS = st.lists(
    st.builds(
        Trial,
        arm=st.sampled_from([*ARMS, "gone/d"]),
        settled=st.booleans(),
        usable=st.booleans(),
        gain=st.floats(-50, 50),
        usd=st.floats(0, 2),
    ),
    max_size=30,
)


def trial(arm: str, gain: float | None = 0.0, usd: float = 0.05) -> Trial:
    """A settled one; without a gain it reached no score."""
    return Trial(arm, True, gain is not None, gain or 0.0, usd)


def next_arms(trials: list[Trial], parents: int = 1, seed: int = 0, round: int = 5) -> list[str]:
    return [c.arm for c in choose(ARMS, trials, seed=seed, round=round, parents=parents)]


@given(trials=TRIALS, seed=st.integers(0, 99), round=st.integers(0, 99))
def test_equal_evidence_gives_equal_choices_and_an_explanation(trials: list[Trial], seed: int, round: int) -> None:
    one, two = (choose(ARMS, trials, seed=seed, round=round, parents=3) for _ in range(2))
    assert one == two and len(one) == 3
    for choice in one:
        assert choice.arm in ARMS and set(choice.why) == set(ARMS)
        assert all(0 <= f["reward"] <= 1 and f["usd"] >= 0 for f in choice.why.values())


@given(trials=TRIALS)
def test_what_is_not_settled_counts_as_made_and_its_figures_are_not_looked_at(trials: list[Trial]) -> None:
    blind = [t if t.settled else Trial(t.arm, False) for t in trials]
    assert choose(ARMS, trials, seed=1, round=2, parents=3) == choose(ARMS, blind, seed=1, round=2, parents=3)


def test_with_few_data_every_model_gets_its_first_trials_whatever_the_others_earned() -> None:
    chosen = next_arms([], parents=len(ARMS) * LEAST_TRIALS)
    assert Counter(chosen) == dict.fromkeys(ARMS, LEAST_TRIALS)
    splendid = [trial("openai/a", 20.0)] * 5 + [trial("openai/b", None)] * LEAST_TRIALS
    assert next_arms(splendid, parents=LEAST_TRIALS) == ["ollama/c"] * LEAST_TRIALS


def test_the_seed_decides_who_is_first() -> None:
    assert {next_arms([], seed=seed)[0] for seed in range(20)} == set(ARMS)


def test_equal_rewards_go_to_the_cheaper_model() -> None:
    even = [trial(arm, 1.0, usd) for arm, usd in zip(ARMS, (0.5, 0.05, 0.2), strict=True)] * 10
    assert next_arms(even) == ["openai/b"]


def test_a_dearer_model_is_worth_it_when_it_gains_more_than_it_costs_more() -> None:
    better = [trial("openai/a", 5.0, 0.2), trial("openai/b", 0.0, 0.05), trial("ollama/c", None, 0.0)] * 20
    assert next_arms(better) == ["openai/a"]
    same = [trial("openai/a", 5.0, 2.0), trial("openai/b", 0.0, 0.05), trial("ollama/c", None, 0.0)] * 20
    assert next_arms(same) == ["openai/b"]


@pytest.mark.parametrize("usd", [0.02, 0.1, 0.3])
def test_a_free_model_that_gives_nothing_usable_does_not_win(usd: float) -> None:
    useless = [trial("ollama/c", None, 0.0), trial("openai/a", 1.0, usd), trial("openai/b", 1.0, usd)] * 10
    assert next_arms(useless)[0] != "ollama/c"


def test_decisions_of_a_round_spread_where_the_difference_is_small() -> None:
    even = [trial(arm, 1.0) for arm in ARMS] * 3
    assert set(next_arms(even, parents=3)) == set(ARMS)


@pytest.mark.parametrize("seed", range(5))
def test_over_a_run_most_decisions_go_to_the_model_that_pays_most(seed: int) -> None:
    """Three models of one price that succeed with 20, 50 and 80 %; results arrive four decisions late."""
    odds = dict(zip(ARMS, (0.2, 0.8, 0.5), strict=True))
    world, trials = random.Random(seed), list[Trial]()
    for k in range(64):
        visible = [t if i < k - 4 else Trial(t.arm, False) for i, t in enumerate(trials)]
        (choice,) = choose(ARMS, visible, seed=seed, round=k, parents=1)
        trials.append(trial(choice.arm, 2.0 if world.random() < odds[choice.arm] else None))
    made = Counter(t.arm for t in trials)
    assert made["openai/b"] == max(made.values()) and made["openai/b"] > 64 / 3
    assert min(made.values()) >= LEAST_TRIALS
