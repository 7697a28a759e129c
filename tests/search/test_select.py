"""What parent selection promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PoiseError
from engine.search.evidence import LONGEST_LIST, Benchmark, Evidence, distance, fronts, seen
from engine.search.select import Weights, select_parent
from tests.search.samples import ROOT, archive, choice, scored

ARCHIVES = [archive(seed, size) for seed, size in ((1, 0), (2, 1), (3, 8), (4, 30))]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ARCHIVES), st.integers(0, 2**31), st.integers(1, 500))
def test_the_parent_is_eligible_and_the_same_for_the_same_seed(candidates: list[Evidence], seed: int, k: int) -> None:
    made = select_parent(candidates, seed=seed, k=k)
    assert made == select_parent(candidates, seed=seed, k=k)
    assert made.parent in made.saw == tuple(made.terms)
    eligible = {c.id for c in candidates if c.scored or c.parent is None}
    assert set(made.saw) <= eligible and "c000" in made.saw
    for t in made.terms.values():
        assert all(0 <= x <= 1 for x in (t.performance, t.diversity, t.pareto, t.score, t.probability))
    assert sum(t.probability for t in made.terms.values()) == pytest.approx(1)


def test_an_archive_with_only_an_unscored_root_gives_the_root() -> None:
    root = Evidence("c000", "GRPO", None, "training")
    assert select_parent([root], seed=1, k=1).parent == "c000"


def test_no_root_is_refused() -> None:
    with pytest.raises(PoiseError, match="no root"):
        select_parent([scored("c001", "c000")], seed=1, k=1)


@pytest.mark.parametrize("status", ["pruned", "failed", "duplicate", "training", "stopped"])
def test_what_is_not_scored_is_never_a_parent(status: str) -> None:
    other = replace(scored("c001", "c000", (choice("NoStd"),), 99.0), status=status)
    assert {select_parent([ROOT, other], seed=s, k=1).parent for s in range(50)} == {"c000"}


def test_better_candidates_are_parents_more_often_and_worse_ones_still_may_be() -> None:
    good = scored("c001", "c000", (choice("NoStd"),), 33.0)
    bad = scored("c002", "c000", (choice("TokenMean"),), 28.0)
    draws = [select_parent([ROOT, good, bad], seed=s, k=1) for s in range(2000)]
    found = Counter(d.parent for d in draws)
    terms = draws[0].terms
    assert terms["c001"].probability > terms["c000"].probability > terms["c002"].probability > 1e-4
    for id, t in terms.items():
        assert found[id] / 2000 == pytest.approx(t.probability, abs=0.03)


def test_visited_ground_counts_less() -> None:
    pair = [scored("c001", "c000", (choice("NoStd"),)), scored("c002", "c000", (choice("TokenMean"),))]
    children = [replace(scored(f"c1{i}", "c001"), status="queued", overall=None) for i in range(4)]
    terms = select_parent([ROOT, *pair, *children], seed=1, k=1).terms
    assert terms["c001"].diversity < terms["c002"].diversity


def test_one_weight_alone_decides() -> None:
    good, bad = scored("c001", "c000", (choice("NoStd"),), 40.0), scored("c002", "c000", (choice("TokenMean"),), 20.0)
    terms = select_parent([ROOT, good, bad], seed=1, k=1, weights=Weights(1.0, 0.0, 0.0)).terms
    assert (terms["c001"].score, terms["c002"].score) == (1.0, 0.0)


def test_the_pareto_front_is_what_no_other_beats_in_every_task() -> None:
    def with_tasks(id: str, a: float, b: float) -> Evidence:
        rows = {n: Benchmark(v, v, v, "avg@4") for n, v in (("a", a), ("b", b))}
        return Evidence(id, id, "c000", "scored", (), a + b, rows)

    found = fronts([with_tasks("x", 10, 1), with_tasks("y", 1, 10), with_tasks("z", 1, 1), with_tasks("w", 0, 0)])
    assert found == {"x": 0, "y": 0, "z": 1, "w": 2}


@given(st.data())
def test_distance_is_symmetric_bounded_and_zero_only_for_equals(data: st.DataObject) -> None:
    a, b = (data.draw(st.sampled_from(ARCHIVES[3])) for _ in range(2))
    assert 0 <= distance(a, b) == distance(b, a) <= 1
    assert (distance(a, b) == 0) == (a.key == b.key)


def test_a_decision_looks_at_a_bounded_list_that_keeps_the_root_and_the_best() -> None:
    many = [
        scored(f"c{i:03d}", "c000", (choice("AdvantageClip", limit=i / 100),), float(i % 97)) for i in range(1, 400)
    ]
    saw = select_parent([ROOT, *many], seed=1, k=400).saw
    assert len(saw) == LONGEST_LIST + 1 and "c000" in saw and "c096" in saw and "c399" in saw


def document(i: int, **fields: object) -> dict[str, object]:
    mechanisms = [choice("NoStd").document()] if i else []
    return {
        "id": f"c{i:03d}",
        "name": f"n{i}",
        "parent": "c000" if i else None,
        "status": "scored",
        "overall": 30.0 + i,
        "benchmarks": {"add": {"metric": "avg@4", "value": 30.0, "n": 10, "ci": [25.0, 35.0]}},
        "proposal": {"hypothesis": "h", "mechanisms": mechanisms},
        "cause": None,
        "reflection": "r",
        **fields,
    }


def test_a_decision_sees_no_result_outside_its_prefix_however_early_it_came() -> None:
    early = [document(0), document(1), document(2, overall=99.0)]
    late = [document(0), document(1), document(2, status="training", overall=None, benchmarks={}, reflection=None)]
    assert seen(early, range(2)) == seen(late, range(2))
    hidden = seen(early, range(2))[2]
    assert not hidden.scored and hidden.overall is None and hidden.mechanisms == (choice("NoStd"),)
    assert [c.overall for c in seen(early, range(3))] == [30.0, 31.0, 99.0]
