"""What mechanisms add is learnt from all trainings together, and where little is known much may be true."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean, pstdev

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.search.beliefs import beliefs
from engine.search.evidence import Evidence
from tests.search.samples import ROOT, choice, scored

NAMES = sorted(catalogue())[:12]
EFFECT = dict(zip(NAMES, (6.0, -5.0, 3.0, 0.0, 0.0, -2.0, 1.0, -1.0, 4.0, 0.0, -3.0, 2.0), strict=True))


def world(seed: int, candidates: int, noise: float = 0.5) -> list[Evidence]:
    """Candidates of three mechanisms each, whose effects add up."""
    rng = random.Random(seed)
    found = [ROOT]
    for k in range(1, candidates + 1):
        names = rng.sample(NAMES, 3)
        score = 30.0 + sum(EFFECT[n] for n in names) + rng.gauss(0, noise)
        found.append(scored(f"c{k:03d}", "c000", tuple(choice(n) for n in names), score))
    return found


def spread(candidates: list[Evidence], mechanism: MechanismChoice) -> float:
    believed = beliefs(candidates)
    return pstdev(believed.draw([mechanism], random.Random(s))[0] for s in range(200))


def test_effects_that_add_up_are_told_apart_though_every_candidate_has_several() -> None:
    believed = beliefs(world(1, 40))
    for name, points in EFFECT.items():
        assert abs(believed.points(choice(name)) - points) < 1.0, name


def test_draws_scatter_around_what_is_believed_and_less_the_more_was_seen() -> None:
    one = choice(NAMES[0])
    few, many = spread(world(1, 6), one), spread(world(1, 60), one)
    assert many < few / 2
    believed = beliefs(world(1, 60))
    mean = fmean(believed.draw([one], random.Random(s))[0] for s in range(400))
    assert abs(mean - believed.points(one)) < 0.2


def test_of_what_nobody_tried_nothing_is_expected_and_much_may_be_true() -> None:
    candidates = world(1, 40)
    new = choice(sorted(catalogue())[20])
    assert beliefs(candidates).points(new) == 0.0 and not beliefs(candidates).known(new)
    assert spread(candidates, new) > 3 * spread(candidates, choice(NAMES[0]))


def test_other_constants_of_a_known_mechanism_are_expected_to_do_much_the_same() -> None:
    entry = next(e for e in catalogue().values() if e.tunable)
    name, values = next(iter(entry.tunable.items()))
    known, other = entry.choice(), entry.choice(**{name: next(v for v in values if v != entry.params[name])})
    pairs = [choice(n) for n in NAMES if n != entry.name]
    found = [ROOT, *(scored(f"c{k:03d}", "c000", (known, m), 40.0) for k, m in enumerate(pairs, 1))]
    found += [scored(f"d{k:03d}", "c000", (m,), 30.0) for k, m in enumerate(pairs, 1)]
    believed = beliefs(found)
    assert 0 < believed.points(other) < believed.points(known)


def test_a_mechanism_whose_trainings_fail_is_expected_to_cost() -> None:
    broken = choice(sorted(catalogue())[20])
    failed = [
        replace(scored(f"f{k}", "c000", (broken, choice(n))), status="failed", overall=None)
        for k, n in enumerate(NAMES[4:8])
    ]
    assert beliefs([*world(1, 30), *failed]).points(broken) < -0.5


def test_expected_scores_weigh_less_where_they_scatter_more() -> None:
    """Half of the candidates stopped at a rung: their noisy expectations blur little of what whole ones tell."""
    rng = random.Random(3)
    whole = world(1, 40)
    early = [
        replace(c, id="e" + c.id, overall=(c.overall or 0.0) + rng.gauss(0, 12), fidelity=0.1) for c in world(2, 40)[1:]
    ]

    def error(candidates: list[Evidence]) -> float:
        believed = beliefs(candidates)
        return fmean(abs(believed.points(choice(n)) - points) for n, points in EFFECT.items())

    assert error([*whole, *early]) < 0.6 * error([*whole, *(replace(c, fidelity=1.0) for c in early)])


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_the_order_of_candidates_changes_nothing(rng: random.Random, number: int) -> None:
    candidates = world(4, number)
    shuffled = rng.sample(candidates, len(candidates))
    one, other = beliefs(candidates), beliefs(shuffled)
    for name in NAMES:
        assert abs(one.points(choice(name)) - other.points(choice(name))) < 1e-6
