"""Composition, order and state as properties: whatever mechanisms meet, and wherever a training is interrupted."""

from __future__ import annotations

import json
from functools import reduce
from typing import Annotated

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Inner, Mechanism, Range, Rollouts
from engine.verify.behave import SEED, behave, update_figures
from engine.verify.case import rollouts
from engine.verify.regimes import regime, regimes
from tests.verify.library import mechanism

NAMES = [case.name for case in regimes()]


class Times(Mechanism):
    by: Annotated[float, Range(-4.0, 4.0)] = 2.0

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return self.by * inner(value)


class Plus(Mechanism):
    by: Annotated[float, Range(-4.0, 4.0)] = 1.0

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) + self.by


class FedTimes(Mechanism):
    """Changes what the rest is fed, not what it gives."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(3.0 * value)


class Square(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) ** 2


class Level(Mechanism):
    """A replacer."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.full_like(r.rewards, 1.5)


AFTER = {"Times": lambda x: 2.0 * x, "Plus": lambda x: x + 1.0, "Square": lambda x: x**2}
LATER = (Times(), Plus(), Square())


def advantages(*mechanisms: Mechanism) -> Tensor:
    return Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(regime("mixed groups"))).values


@given(st.permutations(LATER), st.integers(0, 3))
def test_transformers_apply_in_the_order_of_the_tuple(order: list[Mechanism], count: int) -> None:
    wanted = reduce(lambda x, m: AFTER[m.name](x), order[:count], advantages())
    assert torch.equal(advantages(*order[:count]), wanted)


@given(st.permutations(LATER), st.integers(0, 3))
def test_what_feeds_the_rest_acts_before_it_wherever_it_is_listed(order: list[Mechanism], place: int) -> None:
    listed = [*order[:place], FedTimes(), *order[place:]]
    wanted = reduce(lambda x, m: AFTER[m.name](x), order, 3.0 * advantages())
    assert torch.allclose(advantages(*listed), wanted)


@given(st.permutations(LATER), st.integers(0, 3))
def test_a_replacer_may_be_listed_anywhere(order: list[Mechanism], place: int) -> None:
    listed = [*order[:place], Level(), *order[place:]]
    assert torch.equal(advantages(*listed), advantages(Level(), *order))


REMEMBERING = ("AdaptiveEntropy", "AnnealedEntropy", "HistoryWeight", "CovarianceClip")
"""Library mechanisms with a state or random numbers of their own; the two of entropy stand in one another's way."""


@settings(deadline=None, max_examples=25)
@given(
    chosen=st.sets(st.sampled_from(REMEMBERING), min_size=1).filter(lambda s: len(s & set(REMEMBERING[:2])) < 2),
    cases=st.lists(st.sampled_from(NAMES), min_size=2, max_size=7),
    at=st.integers(0, 7),
)
def test_a_training_interrupted_anywhere_goes_on_as_if_it_were_not(chosen: set[str], cases: list[str], at: int) -> None:
    algorithm = Algorithm("t", tuple(mechanism(name) for name in sorted(chosen)))

    def run(pipeline: Pipeline, first: int, last: int) -> list[Tensor]:
        seen = []
        for i, name in list(enumerate(cases))[first:last]:
            seen.append(behave(algorithm, regime(name), pipeline=pipeline).flat())
            pipeline.on_optimizer_step(update_figures(i % 5))
        return seen

    at = min(at, len(cases))
    whole = run(Pipeline(algorithm, SEED), 0, len(cases))
    before = Pipeline(algorithm, SEED)
    parts = run(before, 0, at)
    after = Pipeline(algorithm, SEED + 7)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    parts += run(after, at, len(cases))
    assert all(torch.equal(x, y) for x, y in zip(whole, parts, strict=True))


@settings(deadline=None, max_examples=25)
@given(st.sets(st.sampled_from(REMEMBERING[1:]), min_size=1), st.lists(st.sampled_from(NAMES), max_size=5))
def test_evaluation_leaves_every_state_as_it_was(chosen: set[str], cases: list[str]) -> None:
    algorithm = Algorithm("t", tuple(mechanism(name) for name in sorted(chosen)))
    frozen = Pipeline(algorithm, SEED, frozen=True)
    states = {name: entry["state"] for name, entry in frozen.state_dict().items()}
    for i, name in enumerate(cases):
        behave(algorithm, regime(name), pipeline=frozen)
        frozen.on_optimizer_step(update_figures(i % 5))
    assert {name: entry["state"] for name, entry in frozen.state_dict().items()} == states
