"""What the descendant potential promises: its target, what it may know, and that it finds parents of good children."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.search.curves import summarize
from engine.search.evidence import Evidence, fingerprint_of
from engine.search.features import Features
from engine.search.potential import FEWEST, Potential, Settings, targets
from engine.search.select import Weights, select_round
from tests.search.samples import ROOT, archive, choice, scored


def brute(candidates: list[Evidence], given: Settings) -> dict[str, float]:
    """The formula of the paper, read off for every pair."""
    by_id = {c.id: c for c in candidates}
    known = [c for c in candidates if c.overall is not None]
    found = {}
    for d in known:
        gains = []
        for c in known:
            depth, at = 0, c
            while at.id != d.id and at.parent is not None:
                depth, at = depth + 1, by_id[at.parent]
            if at.id == d.id and depth:
                gains.append(given.gamma**depth * math.tanh((c.overall - d.overall) / given.beta))  # type: ignore[operator]
        best = sorted(gains, reverse=True)[: given.top_k]
        if best:
            found[d.id] = sum(best) / len(best)
    return found


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([(3, 8), (4, 30), (5, 60)]),
    st.floats(0.2, 1.0),
    st.integers(1, 5),
    st.floats(0.5, 20.0),
)
def test_the_target_is_the_discounted_gain_of_the_best_descendants(
    size: tuple[int, int], gamma: float, top_k: int, beta: float
) -> None:
    candidates = archive(*size)
    given = Settings(gamma=gamma, top_k=top_k, beta=beta)
    found, expected = targets(candidates, given), brute(candidates, given)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=2e-3)  # generations whose discount is below 0.001 are not walked


def test_no_descendant_with_a_score_is_no_target_rather_than_none_gained() -> None:
    parent, childless = scored("c001", "c000", (), 30.0), scored("c002", "c000", (), 31.0)
    failed = replace(scored("c003", "c001"), status="failed", overall=None)
    assert targets([ROOT, parent, childless, failed]).keys() == {"c000"}
    pruned = replace(scored("c004", "c001", (), 40.0), status="pruned")
    assert targets([ROOT, parent, childless, failed, pruned])["c001"] > 0  # pruned branches keep their evidence
    control = replace(scored("r001", "c002", (), 90.0), arm="control")
    assert "c002" not in targets([ROOT, parent, childless, control])


def test_as_long_as_few_have_descendants_nobody_is_expected_to_differ() -> None:
    chain = [ROOT, *(scored(f"c00{i}", f"c00{i - 1}", (choice("NoStd"),), 30.0 + i) for i in range(1, FEWEST + 1))]
    assert Potential().beliefs(chain[:FEWEST]) == {}
    assert Potential().beliefs(chain).keys() == {c.id for c in chain}


def test_beliefs_are_the_same_whoever_asks_and_whatever_was_asked_before() -> None:
    candidates = archive(6, 60)
    fresh = Potential().beliefs(candidates)
    used = Potential()
    for end in (10, 30, 45):
        used.beliefs(candidates[:end])
    assert used.beliefs(candidates) == fresh
    assert used.beliefs(list(candidates)) is used.beliefs(candidates), "nothing new: answered from memory"
    assert fresh.keys() == {c.id for c in candidates if c.eligible}
    assert all(b.std >= 0 and b.ucb == b.mean + b.std for b in fresh.values())


def barren_and_fertile(size: int = 40) -> list[Evidence]:
    """Half of the root's children carry NoStd, score low and have good children; the others score high and have bad
    ones. The last of each kind has none yet.
    """
    rng = random.Random("landscape")
    found = [ROOT]
    for i in range(size):
        fertile = i % 2 == 0
        mechanisms = (choice("NoStd" if fertile else "TokenMean"),)
        parent = scored(f"c{2 * i + 1:03d}", "c000", mechanisms, (27.0 if fertile else 33.0) + rng.gauss(0, 1))
        found.append(parent)
        if i < size - 2:
            gain = (6.0 if fertile else -4.0) + rng.gauss(0, 1)
            mechanisms = (*mechanisms, choice("AdvantageClip", limit=1 + i / 10))
            found.append(scored(f"c{2 * i + 2:03d}", parent.id, mechanisms, (parent.overall or 0) + gain))
    return found


def test_low_scoring_parents_of_good_children_are_found_and_those_like_them() -> None:
    candidates = barren_and_fertile()
    beliefs = Potential().beliefs(candidates)
    fertile, barren = (c.id for c in candidates[-2:])  # neither has a child
    assert beliefs[fertile].mean > beliefs[barren].mean + 0.2
    by_bayes = select_round(candidates, seed=1, round=0, weights=Weights(0, 0, 0, 1), potential=beliefs)[0].terms
    by_score = select_round(candidates, seed=1, round=0, weights=Weights(1, 0, 0, 0), potential=beliefs)[0].terms
    assert by_bayes[fertile].probability > by_bayes[barren].probability
    assert by_score[fertile].probability < by_score[barren].probability


def test_kappa_makes_the_unknown_attractive() -> None:
    candidates = barren_and_fertile()
    odd = scored("c900", "c000", (choice("DualClip"), choice("TokenMean")), 60.0)
    careful, bold = (Potential(Settings(kappa=k)).beliefs([*candidates, odd]) for k in (0.0, 3.0))
    others = [c.id for c in candidates]
    assert bold["c900"].std > max(bold[id].std for id in others)
    rank = [sum(b[id].ucb > b["c900"].ucb for id in others) for b in (careful, bold)]
    assert rank[1] < rank[0]


def test_every_group_of_features_has_the_same_say_and_unknowns_are_average() -> None:
    rng = random.Random(1)
    candidates = []
    for c in archive(6, 60):
        points = [{"step": i, "reward": rng.random(), "grad_norm": 1.0} for i in range(8)] if rng.random() < 0.7 else []
        vector = (rng.gauss(0, 1), rng.gauss(0, 1)) if rng.random() < 0.7 else None
        candidates.append(replace(c, curves=summarize(points) if points else None, fingerprint=vector))
    x = Features().matrix(candidates, [c for c in candidates if c.scored])
    apart = [float(((x[i] - x[j]) ** 2).sum()) for i in range(len(x)) for j in range(len(x)) if i != j]
    assert sum(apart) / len(x) ** 2 == pytest.approx(1.0)
    assert all(math.isfinite(v) for row in x.tolist() for v in row)


def test_a_fingerprint_ignores_the_size_of_the_gradient() -> None:
    def report(factor: float) -> dict[str, object]:
        return {"signature": {"mixed": {"group_size": 8, "policy": [3 * factor, 0.0], "rest": [4 * factor]}}}

    assert fingerprint_of(report(1.0)) == pytest.approx((0.6, 0.0, 0.8)) == fingerprint_of(report(7.0))
    assert fingerprint_of({"signature": None}) is None
    assert fingerprint_of(report(0.0)) is None


def test_selection_loads_no_heavy_library_before_there_is_something_to_learn() -> None:
    code = (
        "import sys\n"
        "from engine.search.potential import Potential\n"
        "from engine.search.select import select_round\n"
        "from engine.search.evidence import Evidence\n"
        "root = [Evidence('c000', 'GRPO', None, 'training')]\n"
        "select_round(root, seed=1, round=0, potential=Potential().beliefs(root))\n"
        "print(sorted({'numpy', 'scipy', 'sklearn', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
