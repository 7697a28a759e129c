"""What parent selection promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PoiseError
from engine.search.evidence import LONGEST_LIST, Evidence, Reader, branches, distance, seen
from engine.search.potential import Belief
from engine.search.select import RECORDED, Selection, Weights, round_of, select_round
from tests.search.samples import ROOT, archive, choice, scored

ARCHIVES = [archive(seed, size) for seed, size in ((1, 0), (2, 1), (3, 8), (4, 30))]


def first(candidates: list[Evidence], seed: int = 1, round: int = 1, weights: Weights | None = None) -> Selection:
    return select_round(candidates, seed=seed, round=round, parents=1, weights=weights or Weights())[0]


def three_branches() -> list[Evidence]:
    """The root, three branches below it, and a child in each."""
    tops = [scored(f"c00{i}", "c000", (choice("NoStd"),), 30.0 + i) for i in (1, 2, 3)]
    return [ROOT, *tops, *(scored(f"c00{i + 3}", f"c00{i}", (choice("TokenMean"),), 30.0) for i in (1, 2, 3))]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ARCHIVES), st.integers(0, 2**31), st.integers(0, 500), st.integers(1, 5))
def test_parents_are_eligible_and_the_same_for_the_same_seed(
    candidates: list[Evidence], seed: int, round: int, parents: int
) -> None:
    made = select_round(candidates, seed=seed, round=round, parents=parents)
    assert made == select_round(candidates, seed=seed, round=round, parents=parents)
    assert len(made) == parents
    eligible = {c.id for c in candidates if c.scored or c.parent is None}
    for one in made:
        assert one.parent in one.saw == tuple(one.terms)
        assert set(one.saw) == eligible
        for t in one.terms.values():
            each = (t.performance, t.diversity, t.pareto, t.bayes, t.score, t.probability)
            assert all(0 <= x <= 1 for x in each)
        assert sum(t.probability for t in one.terms.values()) == pytest.approx(1)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ARCHIVES), st.integers(0, 2**31), st.integers(1, 5))
def test_the_parents_of_a_round_come_from_as_many_lineages_as_there_are(
    candidates: list[Evidence], seed: int, parents: int
) -> None:
    branch = branches(candidates)
    live = {branch[c.id] for c in candidates if c.eligible}
    made = [one.parent for one in select_round(candidates, seed=seed, round=0, parents=parents)]
    assert len({branch[id] for id in made}) == min(parents, len(live))
    assert len(set(made)) == min(parents, sum(c.eligible for c in candidates))


def test_an_archive_with_only_an_unscored_root_gives_the_root_for_every_parent_of_a_round() -> None:
    root = Evidence("c000", "GRPO", None, "training")
    assert [s.parent for s in select_round([root], seed=1, round=0)] == ["c000"] * 3


def test_no_root_is_refused() -> None:
    with pytest.raises(PoiseError, match="no root"):
        first([scored("c001", "c000")])


@pytest.mark.parametrize("status", ["pruned", "failed", "duplicate", "training"])
def test_what_is_not_scored_is_never_a_parent_even_if_it_is_pinned(status: str) -> None:
    other = replace(scored("c001", "c000", (choice("NoStd"),), 99.0), status=status, pinned=True)
    assert {s.parent for seed in range(20) for s in select_round([ROOT, other], seed=seed, round=0)} == {"c000"}


def test_who_stopped_at_a_rung_may_be_a_parent_by_what_is_expected_of_it() -> None:
    other = replace(scored("c001", "c000", (choice("NoStd"),), 99.0), status="stopped", fidelity=0.25)
    assert "c001" in {s.parent for seed in range(20) for s in select_round([ROOT, other], seed=seed, round=0)}


def test_the_control_arm_is_never_a_parent_and_changes_nothing() -> None:
    control = replace(scored("r001", "c000", (choice("NoStd"),), 99.0), arm="control", pinned=True)
    candidates = three_branches()
    for round in range(20):
        without = select_round(candidates, seed=1, round=round)
        assert select_round([*candidates, control], seed=1, round=round) == without


def test_pinned_candidates_are_parents_of_every_round_before_any_is_drawn() -> None:
    candidates = [replace(c, pinned=c.id in ("c001", "c004")) for c in three_branches()]  # of one branch
    for round in range(20):
        made = select_round(candidates, seed=1, round=round)
        assert [(s.parent, s.why) for s in made[:2]] == [("c001", "pinned"), ("c004", "pinned")]
        assert made[2].why == "drawn" and made[2].parent not in ("c001", "c004")


def test_more_pinned_candidates_than_parents_take_turns() -> None:
    candidates = [replace(c, pinned=c.parent is not None) for c in three_branches()]
    made = [s.parent for round in range(2) for s in select_round(candidates, seed=1, round=round)]
    assert sorted(made) == [f"c00{i}" for i in range(1, 7)]


def test_decisions_fall_into_rounds_of_equal_size() -> None:
    assert [round_of(k, 3) for k in (1, 3, 4, 6, 7)] == [(0, 1), (0, 1), (1, 4), (1, 4), (2, 7)]


def test_better_candidates_are_parents_more_often_and_worse_ones_still_may_be() -> None:
    good = scored("c001", "c000", (choice("NoStd"),), 33.0)
    bad = scored("c002", "c000", (choice("TokenMean"),), 28.0)
    draws = [first([ROOT, good, bad], seed=s) for s in range(2000)]
    found = Counter(d.parent for d in draws)
    terms = draws[0].terms
    assert terms["c001"].probability > terms["c000"].probability > terms["c002"].probability > 1e-4
    for id, t in terms.items():
        assert found[id] / 2000 == pytest.approx(t.probability, abs=0.03)


def test_visited_ground_counts_less() -> None:
    pair = [scored("c001", "c000", (choice("NoStd"),)), scored("c002", "c000", (choice("TokenMean"),))]
    children = [replace(scored(f"c1{i}", "c001"), status="queued", overall=None) for i in range(4)]
    terms = first([ROOT, *pair, *children]).terms
    assert terms["c001"].diversity < terms["c002"].diversity


def test_one_weight_alone_decides() -> None:
    good, bad = scored("c001", "c000", (choice("NoStd"),), 40.0), scored("c002", "c000", (choice("TokenMean"),), 20.0)
    terms = first([ROOT, good, bad], weights=Weights(1.0, 0.0, 0.0, 0.0)).terms
    assert (terms["c001"].score, terms["c002"].score) == (1.0, 0.0)
    beliefs = {"c000": Belief(0.0, 0.1, 0.1), "c001": Belief(-0.2, 0.1, -0.1), "c002": Belief(0.1, 0.2, 0.3)}
    made = select_round([ROOT, good, bad], seed=1, round=0, weights=Weights(0, 0, 0, 1), potential=beliefs)
    terms = made[0].terms
    assert {id: t.score for id, t in terms.items()} == {"c000": 0.5, "c001": 0.0, "c002": 1.0}
    assert (terms["c002"].mean, terms["c002"].std) == (0.1, 0.2)


def test_without_any_belief_the_fourth_term_prefers_nobody() -> None:
    assert {t.bayes for t in first(ARCHIVES[3]).terms.values()} == {0.5}


def test_a_decision_keeps_the_terms_of_its_parent_and_of_the_best_others() -> None:
    made = select_round(ARCHIVES[3], seed=3, round=9)[2]
    document = made.document()
    terms = document["terms"]
    assert isinstance(terms, dict)
    assert next(iter(terms)) == made.parent and len(terms) == RECORDED
    others = [t["score"] for id, t in terms.items() if id != made.parent]
    left_out = [t.score for id, t in made.terms.items() if id not in terms]
    assert others == sorted(others, reverse=True) and others[-1] >= max(left_out) - 1e-6
    assert document["saw"] == list(made.saw) and document["round"] == 9


@given(st.data())
def test_distance_is_symmetric_bounded_and_zero_only_for_equals(data: st.DataObject) -> None:
    a, b = (data.draw(st.sampled_from(ARCHIVES[3])) for _ in range(2))
    assert 0 <= distance(a, b) == distance(b, a) <= 1
    assert (distance(a, b) == 0) == (a.key == b.key)


def test_a_decision_looks_at_a_bounded_list_with_the_root_the_best_the_newest_and_the_most_promising() -> None:
    many = [
        scored(f"c{i:03d}", "c000", (choice("AdvantageClip", limit=i / 100),), float(i % 97)) for i in range(1, 400)
    ]
    poor = next(c for c in many if c.overall == 0.0)
    weak = next(c for c in many if c.overall == 1.0)
    tasks = {**weak.benchmarks, "sort": replace(weak.benchmarks["sort"], value=99.0)}
    many[many.index(weak)] = replace(weak, benchmarks=tasks)  # nowhere good but in one task
    made = select_round([ROOT, *many], seed=1, round=400, potential={poor.id: Belief(0.5, 0.1, 0.6)})[0]
    assert len(made.saw) == LONGEST_LIST + 1
    assert {"c000", "c096", "c399", poor.id, weak.id} <= set(made.saw)


def document(i: int, **fields: object) -> dict[str, object]:
    mechanisms = [choice("NoStd").document()] if i else []
    return {
        "id": f"c{i:03d}",
        "name": f"n{i}",
        "parent": "c000" if i else None,
        "depth": 1 if i else 0,
        "status": "scored",
        "overall": 30.0 + i,
        "benchmarks": {"add": {"metric": "avg@4", "value": 30.0, "n": 10, "ci": [25.0, 35.0]}},
        "proposal": {"hypothesis": "h", "mechanisms": mechanisms},
        "cause": None,
        "reflection": "r",
        "findings": [{"about": ["NoStd"], "effect": "helps"}] if i else [],
        **fields,
    }


def test_a_decision_sees_no_result_outside_its_prefix_however_early_it_came() -> None:
    early = [document(0), document(1), document(2, overall=99.0)]
    late = [document(0), document(1), document(2, status="training", overall=None, benchmarks={}, reflection=None)]
    assert seen(early, range(2)) == seen(late, range(2))
    hidden = seen(early, range(2), lambda _: None, lambda _: (1.0,))[2]
    assert not hidden.scored and hidden.overall is None and hidden.mechanisms == (choice("NoStd"),)
    assert (hidden.findings, hidden.curves, hidden.fingerprint, hidden.depth) == ((), None, None, 1)
    assert [c.overall for c in seen(early, range(3))] == [30.0, 31.0, 99.0]
    assert len(seen(early, range(3))[2].findings) == 1


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_reading_only_what_changed_gives_what_reading_everything_gives(data: st.DataObject) -> None:
    reader = Reader()
    for _ in range(4):
        size = data.draw(st.integers(1, 5))
        results = st.one_of(
            st.just({"status": "training", "overall": None, "benchmarks": {}, "reflection": None, "findings": []}),
            st.just({"status": "failed", "overall": None, "benchmarks": {}, "cause": "diverged: loss is nan"}),
            st.floats(0, 100).map(lambda x: {"status": "scored", "overall": x}),
            st.just({"status": "pruned"}),
        )
        rows = [document(i, **data.draw(results), pinned=data.draw(st.booleans())) for i in range(size)]
        visible = range(data.draw(st.integers(0, size)))
        assert reader.seen(rows, visible) == seen(rows, visible)
