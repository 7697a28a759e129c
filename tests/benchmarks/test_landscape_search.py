"""Searches on the landscape see what the engine's decisions see, and are measured by what is true."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.landscape import search as command
from benchmarks.landscape.design import SUBSETS, source
from benchmarks.landscape.search_effects import believed, effects, features, informed
from benchmarks.landscape.search_measure import Outcomes, outcomes, ratio, summary, trust, truth
from benchmarks.landscape.search_peers import TENTH, openevolve, shinka
from benchmarks.landscape.search_plot import draw
from benchmarks.landscape.search_rules import (
    anybody,
    composed,
    constants,
    drawn,
    one_step,
    screened,
    stepped,
    the_best,
    the_root,
)
from benchmarks.landscape.search_tables import tables
from benchmarks.landscape.search_world import (
    BUDGET,
    LAG,
    PARENTS,
    Seen,
    Strategy,
    digest,
    evidence,
    mechanisms,
    name_of,
    number_of,
    search,
    subset_of,
    within_reach,
    world,
)
from benchmarks.landscape.views import Landscape
from engine.algorithms.catalogue import digest_of
from engine.errors import PoiseError
from engine.loop.settled import visible
from engine.search import beliefs, select
from engine.search.answers import read_algorithm
from engine.search.combine import REACH
from engine.search.evidence import Evidence
from engine.search.moves import MOST
from tests.benchmarks.synthetic import model, synthetic

QUICK = tuple(s for s in command.ARMS if "bayes" not in s.name and s.name != command.OURS)


@pytest.fixture(scope="module")
def made() -> Landscape:
    """Clear effects, little noise."""
    return synthetic(3)


def test_a_subset_is_the_algorithm_that_the_landscape_trained() -> None:
    """The composer's restricted library has the landscape's constants."""
    for subset in (1, 37, 201, 255):
        assert digest(subset) == digest_of(read_algorithm(source(subset))[1])
        assert subset_of(mechanisms(subset)) == subset
    assert all(bin(s).count("1") <= MOST for s in within_reach())
    assert len(within_reach()) == 219


def test_a_decision_sees_what_the_engines_decision_sees(made: Landscape) -> None:
    """Scores up to `LAG` before its round's first slot, and the proposals of every slot before that."""
    rounds: list[Seen] = []

    def watching(seed: int) -> object:
        def rule(seen: Seen, rng: random.Random) -> list[str]:
            rounds.append(seen)
            return [seen.candidates[0].id] * PARENTS

        return rule

    order = search(Strategy("watch", watching, drawn), world(made, 0)[0], 0, budget=20)  # type: ignore[arg-type]
    for number, seen in enumerate(rounds):
        first = PARENTS * number + 1
        assert [number_of(c.id) for c in seen.candidates] == order[:first]
        known = [k for k, c in enumerate(seen.candidates) if c.overall is not None]
        assert known == sorted({0, *visible(first, LAG)})
        assert [number_of(c.id) for c in seen.settled] == [order[k] for k in known]


@pytest.mark.parametrize("strategy", QUICK, ids=lambda s: s.name)
def test_no_search_proposes_a_thing_twice_or_what_the_engine_would_not(strategy: Strategy, made: Landscape) -> None:
    shown = world(made, 1)[0]
    order = search(strategy, shown, 1)
    assert order[0] == 0
    assert len(order) == len(set(order)) == BUDGET + 1
    assert set(order) <= set(within_reach())
    assert order == search(strategy, shown, 1)
    assert order != search(strategy, shown, 2)


def test_a_training_that_fails_is_a_candidate_without_a_score(made: Landscape) -> None:
    root = evidence(0, None, 55.0, ())
    failed = evidence(3, root, 0.0, ())
    assert (failed.status, failed.overall, failed.eligible) == ("failed", None, False)


def test_a_repetition_shows_one_of_the_two_trainings_of_each_and_the_same_to_every_strategy(made: Landscape) -> None:
    (a, which), (b, _) = world(made, 5), world(made, 5)
    assert (a.seen == b.seen).all()
    assert (a.seen == made.end[np.arange(SUBSETS), which]).all()
    assert 90 < which.sum() < 166
    assert len(set(world(made, 5, common=True)[1].tolist())) == 1


def test_a_step_is_one_of_the_composers_moves() -> None:
    """One mechanism more or less, two more, or one in another's place at its stage."""
    for parent in (0, 5, 131):
        for child in one_step(parent):
            added, removed = bin(child & ~parent).count("1"), bin(parent & ~child).count("1")
            assert (added, removed) in {(1, 0), (2, 0), (1, 1), (0, 1)}
    assert {1 << i for i in range(8)} < one_step(0)


def test_the_best_parent_is_the_best_seen(made: Landscape) -> None:
    seen = _archive([50, 60, 70, 65])
    assert set(the_best(0)(seen, random.Random(0))) == {name_of(2)}
    assert set(the_root(0)(seen, random.Random(0))) == {name_of(0)}
    assert {p for s in range(30) for p in anybody(0)(seen, random.Random(s))} == {name_of(i) for i in range(4)}


def test_openevolve_explores_its_island_and_exploits_the_archive() -> None:
    """0.2 any elite of the island, 0.7 the archive, the rest the island's by score; the best is all of a tenth."""
    seen = _archive([50.0, 40, 45, 90, 41, 42, 43, 44, 46, 47, 48])
    parents = [openevolve(TENTH)(0)(seen, random.Random(s))[0] for s in range(1500)]  # island 0
    counted = Counter(parents)
    assert set(counted) == {name_of(k) for k in (0, 1, 6, 3)}  # the root, what slots 1 and 6 made, and the best
    assert counted[name_of(3)] / len(parents) == pytest.approx(0.7, abs=0.045)
    whole = Counter(p for s in range(1500) for p in openevolve()(0)(seen, random.Random(s))[:1])
    assert set(whole) == {name_of(k) for k in range(11)}


def test_openevolve_keeps_the_best_of_every_cell() -> None:
    """Two of one cell: the better one is the parent, unless the archive gives the other."""
    seen = _archive([50.0, 40, 0.1, 0.1, 0.1, 0.1, 45])  # slots 1 and 6 are of island 0
    cell = [replace(c, mechanisms=mechanisms(1)) if k in (1, 6) else c for k, c in enumerate(seen.candidates)]
    parents = {openevolve(0.01)(0)(Seen(0, tuple(cell)), random.Random(s))[0] for s in range(300)}
    assert name_of(6) in parents
    assert name_of(1) not in parents


def test_shinka_takes_who_is_above_the_median_and_has_few_children() -> None:
    """Weights are sigmoid(10 (F - median) / MAD) / (1 + children)."""
    seen = _archive([50.0, 70.0, 0.1, 52.0, 0.1, 30.0, 0.1], parents=[None, 0, 0, 1, 1, 1, 1])
    counted = Counter(p for s in range(4000) for p in shinka(0)(seen, random.Random(s))[:1])
    # On island 0 are the root and slots 1, 3 and 5: median 51, MAD 10, sigmoids 0.27, 1, 0.73, 0; children 2, 4, 0, 0.
    expected = np.array([0.269 / 3, 1 / 5, 0.731, 0.0])
    assert [counted[name_of(k)] / 4000 for k in (0, 1, 3, 5)] == pytest.approx(expected / expected.sum(), abs=0.03)


def test_the_model_of_effects_learns_what_was_planted() -> None:
    true = model(5)
    rng = np.random.default_rng(0)
    shown = rng.choice(SUBSETS, 80, replace=False)
    mean, root = believed(tuple((int(s), float(true[s])) for s in shown))
    hidden = np.setdiff1d(np.arange(SUBSETS), shown)
    missed = (features(True) @ mean)[hidden] - true[hidden]
    assert np.sqrt(np.mean(missed**2)) < 0.2 * true[hidden].std()
    spread = np.sqrt(np.sum((features(True) @ root) ** 2, axis=1))
    assert spread[hidden].mean() > spread[shown].mean()


def test_a_search_by_effects_needs_fewer_trainings_than_sampling(made: Landscape) -> None:
    real = truth(made)
    by_effects, sampled = (
        command.repeated(Strategy(name, the_root, child), made, real, range(6))
        for name, child in (("effects", effects()), ("sampled", drawn))
    )
    assert np.median(by_effects.first["top 5 %"]) <= 15
    assert by_effects.regret[:, 16].mean() < 0.6 * sampled.regret[:, 16].mean()


def test_nobody_is_faster_than_one_that_knows_the_truth(made: Landscape) -> None:
    """Rounds and lag alone cost it some trainings: what its moves lead to has to settle first."""
    real, shown = truth(made), world(made, 0)[0]
    known = search(Strategy("known", the_root, informed(real.value)), shown, 0, 20)
    best = max(real.targets["top 1 %"], key=lambda s: real.value[s])
    assert best in known
    assert known[1] in one_step(0)
    assert known.index(best) >= min(
        k for k in range(1, 30) if len(visible(PARENTS * ((k - 1) // PARENTS) + 1, LAG)) > 1
    )


def test_the_composer_takes_a_few_changes_at_once_and_a_mutation_takes_one(made: Landscape) -> None:
    seen = _archive([50.0, 60.0, 40.0])
    far = {rule: set() for rule in ("composed", "stepped")}  # type: dict[str, set[int]]
    for seed in range(40):
        for name, rule in (("composed", composed()), ("stepped", stepped)):
            _, child = rule(seen, frozenset({0, 1, 2}), name_of(0), random.Random(seed))
            far[name].add(child.bit_count())
            assert name == "composed" or child in one_step(0)
    assert max(far["composed"]) == REACH


def test_a_search_by_effects_takes_any_set_and_calls_the_nearest_its_parent(made: Landscape) -> None:
    seen = _archive([50.0, 60.0, 40.0])
    for seed in range(20):
        parent, child = effects()(seen, frozenset({0, 1, 2}), name_of(0), random.Random(seed))
        assert child in within_reach()
        near = {s: (s ^ child).bit_count() for s in (0, 1, 2)}
        assert near[number_of(parent)] == min(near.values())


def test_sampling_finds_a_target_as_soon_as_chance_says(made: Landscape) -> None:
    """The first of m among n in random order is at (n + 1) / (m + 1) on average."""
    targets, shown = truth(made).targets, world(made, 0)[0]
    orders = [search(Strategy("sampled", the_root, drawn), shown, seed, 218) for seed in range(60)]
    for name in ("top 1 %", "top 5 %"):
        first = [next(i for i, s in enumerate(order) if s in targets[name]) for order in orders]
        expected = 219 / (len(targets[name]) + 1)
        assert np.mean(first) == pytest.approx(expected, abs=4 * expected / np.sqrt(60))


def test_measures_are_what_their_names_say() -> None:
    """By hand: an order, its targets, its regrets, and the gain of the chosen on the training it did not see."""
    made = synthetic(0, noise=1e-9)
    made = replace(made, confirmed=made.end)
    real = truth(made)
    best = real.reach[np.argsort(-real.value[real.reach])]
    rest = [int(s) for s in real.reach if s not in best[:20] and s != 0][:BUDGET]
    order = [0, *rest[:9], int(best[5]), *rest[9 : BUDGET - 2], int(best[0])]
    shown, which = world(made, 0)
    found = outcomes(real, [order], [shown.seen], [which])
    assert {name: found.first[name][0] for name in ("top 1 %", "top 5 %")} == {"top 1 %": BUDGET, "top 5 %": 10}
    assert found.regret[0, 10] == pytest.approx(real.value[best[0]] - real.value[best[5]], abs=1e-6)
    assert (found.regret[0, -1], found.chosen[0, -1]) == pytest.approx((0, 0), abs=1e-6)
    assert found.fresh[0] == pytest.approx(real.value[best[0]] - real.value[0], abs=1e-6)


def test_a_target_that_most_searches_never_reach_has_no_median() -> None:
    never = _outcomes([np.inf, np.inf, 20.0])
    told = summary(never)
    assert told["top 1 %"]["median"][0] is None
    assert told["top 1 %"]["share_within_budget"] == pytest.approx(1 / 3)
    assert ratio(_outcomes([5.0, 5.0, 5.0]), _outcomes([10.0, 10.0, 10.0]), "top 1 %")["medians"] == [0.5, 0.5, 0.5]


def test_the_truth_is_trusted_as_far_as_its_noise_allows() -> None:
    clear, noisy = trust(truth(synthetic(3, noise=0.01))), trust(truth(synthetic(3, noise=8.0)))
    assert clear["shared_with_the_real_top"]["top 5 %"] > 0.95
    assert noisy["shared_with_the_real_top"]["top 5 %"] < 0.8
    assert noisy["noise_of_a_training"] == pytest.approx(8.0, rel=0.15)


def test_another_start_is_the_same_landscape_seen_from_there(made: Landscape) -> None:
    there = command.turned(made, 37)
    assert there.truth[0] == made.truth[37]
    assert there.truth[37 ^ 5] == made.truth[5]
    assert (command.turned(there, 37).end == made.end).all()


def test_of_a_population_the_one_that_screening_prefers_is_trained() -> None:
    """So what is trained is expected to gain more, and is further from what there was, than a single proposal."""
    seen = _archive([50.0, 60.0, 40.0, 58.0, 45.0])
    mother = seen.candidates[0]

    def worth(population: int) -> float:
        rule, proposed = composed(population), frozenset(range(5))
        children = [rule(seen, proposed, mother.id, random.Random(s))[1] for s in range(60)]
        return float(np.mean([screened(seen, mother, mechanisms(child)) for child in children]))

    assert worth(4) > worth(1)


def test_the_engines_constants_are_back_after_a_setting() -> None:
    before = select.TEMPERATURE, beliefs.SPREAD
    with pytest.raises(KeyError), constants(9.0, 8.0):
        assert (select.TEMPERATURE, beliefs.SPREAD) == (9.0, 8.0)
        raise KeyError
    assert before == (select.TEMPERATURE, beliefs.SPREAD)


def test_a_landscape_that_lacks_trainings_is_refused_with_how_many(
    made: Landscape, capsys: pytest.CaptureFixture[str]
) -> None:
    end = made.end.copy()
    end[5, 1] = np.nan
    with pytest.raises(PoiseError, match=r"1 trainings .* missing"):
        command.ready(replace(made, end=end))
    assert "693 of 694 trainings" in capsys.readouterr().err
    end = made.end.copy()
    end[255] = np.nan  # out of the composer's reach
    command.ready(replace(made, end=end))


@pytest.mark.slow
def test_the_study_tells_every_arm_and_can_be_repeated(made: Landscape, tmp_path: Path) -> None:
    first, again = (command.study(made, 2, starts=2) | {"cpu_seconds": 0} for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(again, allow_nan=False)
    told = tables(first)
    assert all(f"| {s.name} |" in told for s in command.ARMS)
    assert not re.search(r"\bnan\b|\bNone\b", told)
    draw(first["arms"], command.SHOWN, tmp_path / "a.svg")
    draw(first["arms"], command.SHOWN, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def _archive(scores: Sequence[float], parents: Sequence[int | None] | None = None) -> Seen:
    """Slot k is subset k, a child of the root unless said."""
    found: list[Evidence] = []
    for k, score in enumerate(scores):
        parent = None if k == 0 else found[(parents[k] or 0) if parents else 0]
        found.append(evidence(k, parent, score, ()))
    return Seen(0, tuple(found))


def _outcomes(first: Sequence[float]) -> Outcomes:
    flat = np.zeros((len(first), BUDGET + 1))
    return Outcomes({"top 1 %": np.array(first)}, flat, flat, flat[:, 0], flat[:, 0])
