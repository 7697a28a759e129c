"""Which advantages count more: weights worked by hand for each regime of a group."""

from __future__ import annotations

import json
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.library.reweighting import (
    AdvantageClip,
    DifficultyBoost,
    HardPromptWeight,
    HistoryWeight,
    NegativeWeight,
    RegimeAdvantages,
    SilenceAllFail,
    UniformDamping,
    UnlikelyReward,
)
from engine.algorithms.library.scales import NoStd
from engine.algorithms.library.streams import EntropyAdvantage
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case, rollouts
from tests.library.hand import advantages, case

ONE_OF_FOUR = [1.0, 0.0, 0.0, 0.0]  # advantages without a divisor: 0.75, -0.25, -0.25, -0.25
STYLE = [0.4, 0.0]  # nothing correct: 0.2, -0.2
SOLVED = [1.4, 1.0]  # everything correct: 0.2, -0.2


def bare(rewards: list[list[float]], *mechanisms: Mechanism) -> list[float]:
    found: list[float] = advantages(case(rewards), NoStd(), *mechanisms).tolist()
    return found


def test_clipping_bounds_both_signs_and_nothing_else() -> None:
    assert bare([ONE_OF_FOUR], AdvantageClip(limit=0.5)) == [0.5, -0.25, -0.25, -0.25]
    assert bare([[0.0, 1.0, 1.0, 1.0]], AdvantageClip(limit=0.5)) == [-0.5, 0.25, 0.25, 0.25]


def test_negative_advantages_alone_are_scaled() -> None:
    assert bare([ONE_OF_FOUR], NegativeWeight(factor=0.5)) == [0.75, -0.125, -0.125, -0.125]


def test_leads_weight_by_hand() -> None:
    """p = 1/4: w(p) = 0.4 + 1.1 / (1 + e^-5) = 1.49264, w(1 - p) = 0.4 + 1.1 / 2 = 0.95."""
    assert bare([ONE_OF_FOUR], HardPromptWeight()) == pytest.approx([0.75 * 1.492638, *[-0.25 * 0.95] * 3], rel=1e-5)


def test_daces_boost_grows_with_failure() -> None:
    """p = 1/4, alpha = 2: 1 + 2 * 3/4 = 2.5; a solved group is left as it is, an all-fail one tripled."""
    assert bare([ONE_OF_FOUR], DifficultyBoost(alpha=2.0)) == [1.875, -0.625, -0.625, -0.625]
    assert bare([STYLE, SOLVED], DifficultyBoost(alpha=2.0)) == pytest.approx([0.6, -0.6, 0.2, -0.2])


def test_each_regime_of_a_group_is_its_own() -> None:
    groups = [STYLE, [1.0, 0.0], SOLVED]
    assert bare(groups, SilenceAllFail()) == pytest.approx([0, 0, 0.5, -0.5, 0.2, -0.2])
    assert bare(groups, SilenceAllFail(factor=0.1)) == pytest.approx([0.02, -0.02, 0.5, -0.5, 0.2, -0.2])
    assert bare(groups, UniformDamping(alpha=0.5)) == pytest.approx([0.1, -0.1, 0.5, -0.5, 0.1, -0.1])
    assert bare(groups, RegimeAdvantages(penalty=0.7)) == pytest.approx([-0.7, -0.7, 0.5, -0.5, 0, 0])


def test_weights_of_rows_reach_every_token_of_advantages_by_token() -> None:
    """EntropyAdvantage makes them (B,T); what is outside it sees those."""
    made = case([STYLE, [1.0, 0.0]], lengths=[2, 1, 2, 2])
    tokens = advantages(made, NoStd(), EntropyAdvantage())
    silenced = advantages(made, NoStd(), EntropyAdvantage(), SilenceAllFail())
    boosted = advantages(made, NoStd(), EntropyAdvantage(), DifficultyBoost(alpha=2.0))
    assert tokens.shape == silenced.shape == boosted.shape == (4, 2)
    assert (silenced[:2] == 0).all() and torch.equal(silenced[2:], tokens[2:])
    assert torch.allclose(boosted[:2], 3 * tokens[:2]) and torch.allclose(boosted[2:], 2 * tokens[2:])


def run(pipeline: Pipeline, made: Case) -> list[float]:
    found: list[float] = pipeline.advantages(rollouts(made)).values.tolist()
    return found


def test_ha_dw_lifts_successes_on_prompts_harder_than_the_ability_and_learns_from_the_batch() -> None:
    """C = 1/2, p = 1/4: successes weigh 1.3 e^(1/4), failures 1.3 e^(-1/4). Then the std of 0.5 and 0.25 is 0.125, so
    C moves by 0.1 * 0.125 of the way to 0.25.
    """
    pipeline = Pipeline(Algorithm("t", (NoStd(), HistoryWeight())))
    up, down = 0.75 * 1.3 * math.exp(0.25), -0.25 * 1.3 * math.exp(-0.25)
    assert run(pipeline, case([ONE_OF_FOUR])) == pytest.approx([up, down, down, down])
    ability = 0.5 - 0.0125 * 0.25
    state = pipeline.state_dict()["HistoryWeight"]["state"]
    assert state["ability"] == pytest.approx(ability)
    assert state["history"] == pytest.approx([0.5, ability])
    easy = run(pipeline, case([[1.0, 1.0, 1.0, 0.0]]))
    assert easy[0] == pytest.approx(0.25 * 1.3 * math.exp(-(0.75 - ability)))
    assert easy[3] == pytest.approx(-0.75 * 1.3 * math.exp(0.75 - ability))


def test_ha_dws_memory_is_bounded_survives_a_checkpoint_and_is_frozen_in_evaluation() -> None:
    algorithm = Algorithm("t", (HistoryWeight(step=1.0),))
    first = Pipeline(algorithm)
    abilities = [0.5]
    for batch in range(70):
        outcome = ONE_OF_FOUR if batch % 3 else [1.0, 1.0, 1.0, 0.0]
        run(first, case([outcome]))
        past = [*abilities[-50:], sum(outcome) / 4]
        share = statistics.pstdev(past)
        abilities.append((1 - share) * abilities[-1] + share * sum(outcome) / 4)
    saved = json.loads(json.dumps(first.state_dict()))
    assert saved["HistoryWeight"]["state"]["history"] == pytest.approx(abilities[-50:])
    second = Pipeline(algorithm)
    second.load_state_dict(saved)
    assert run(second, case([ONE_OF_FOUR])) == run(first, case([ONE_OF_FOUR]))
    frozen = Pipeline(algorithm, frozen=True)
    run(frozen, case([ONE_OF_FOUR]))
    assert frozen.state_dict()["HistoryWeight"]["state"] == {"ability": 0.5, "history": [0.5]}


def test_ha_dw_counts_only_rows_that_could_be_scored() -> None:
    pipeline = Pipeline(Algorithm("t", (HistoryWeight(step=8.0),)))
    run(pipeline, case([[1.0, math.nan, math.nan, 0.0]]))  # accuracy 1/2: nothing to move
    assert pipeline.state_dict()["HistoryWeight"]["state"]["ability"] == 0.5
    run(pipeline, case([[math.nan] * 4]))
    assert pipeline.state_dict()["HistoryWeight"]["state"] == {"ability": 0.5, "history": [0.5, 0.5]}


def shaped(made: Case, *mechanisms: Mechanism) -> list[float]:
    found: list[float] = Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).shaped.tolist()
    return found


def test_the_likeliest_correct_row_is_paid_least() -> None:
    """Sequence log-probabilities -2, -8, -4, -6: ranks 1, 4, 2, 3; beta = 0.4; wrong rows keep what they have."""
    logp = [[-1.0, -1.0], [-4.0, -4.0], [-2.0, -2.0], [-3.0, -3.0]]
    made = case([[1, 1, 0.5, 1]], lengths=[2] * 4, old_logp=logp)
    assert shaped(made, UnlikelyReward(beta=0.4)) == pytest.approx([1 - 0.4 * 3 / 4, 1.0, 0.5, 1 - 0.4 * 1 / 4])


def test_equally_likely_rows_are_paid_alike() -> None:
    assert shaped(case([[1, 1, 1]]), UnlikelyReward(beta=0.3)) == pytest.approx([0.8] * 3)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=8), st.floats(0, 4))
def test_weights_never_turn_a_sign(outcomes: list[float], strength: float) -> None:
    made = case([outcomes])
    plain = advantages(made)
    weights = (
        *(DifficultyBoost(alpha=strength), HardPromptWeight(gain=strength), NegativeWeight(factor=strength)),
        *(HistoryWeight(), AdvantageClip(limit=0.1 + strength), SilenceAllFail(), UniformDamping()),
    )
    for m in weights:
        assert (advantages(made, m) * plain >= 0).all(), m.name
