"""The pane `idea` says why a candidate's parent was chosen."""

from __future__ import annotations

from typing import Any

from engine.archive.events import Event
from engine.search.potential import Belief
from engine.search.select import Selection, select_round
from poise_tui.store import Store
from poise_tui.widgets.detail_text import MOST_RIVALS, idea
from tests.dashboard.recorded import START, candidate, events
from tests.search.samples import archive


def said(decision: dict[str, Any], parent: str) -> list[str]:
    """The lines under the heading."""
    store = Store()
    document = candidate("c900", "Child-GRPO", parent, "queued", decision=decision)
    store.fold([*events(), Event("candidate.created", "c900", document, 10_000, START + 9)])
    snapshot = store.snapshot()
    return idea(snapshot.candidates["c900"], snapshot).plain.partition("Why this parent\n")[2].splitlines()


def selected() -> Selection:
    candidates = archive(4, 30)
    beliefs = {c.id: Belief(i / 100, 0.1, i / 100 + 0.1) for i, c in enumerate(candidates)}
    return select_round(candidates, seed=1, round=2, potential=beliefs)[1]


def test_the_four_terms_of_the_parent_and_of_the_best_others_stand_side_by_side() -> None:
    made = selected()
    head, *rows, bayes, how = said(made.document(), made.parent)
    assert head.split() == ["pareto", "performance", "diversity", "bayes", "score", "chance"]
    assert len(rows) == 1 + MOST_RIVALS and rows[0].split()[0] == made.parent
    terms = made.terms[made.parent]
    figures = [terms.pareto, terms.performance, terms.diversity, terms.bayes, terms.score]
    assert rows[0].split()[1:] == [*(f"{x:.3f}" for x in figures), f"{terms.probability:.1%}"]
    scores = [float(row.split()[5]) for row in rows[1:]]
    assert scores == sorted(scores, reverse=True)
    assert f"{terms.mean:+.2f}, std {terms.std:.2f}" in bayes
    assert "drawn" in how and how.endswith(f"among {len(made.saw)} candidates")


def test_a_pin_is_named_as_the_reason() -> None:
    made = selected()
    assert "pinned by its user" in said(made.document() | {"why": "pinned"}, made.parent)[-1]


def test_terms_that_an_older_run_did_not_have_are_dashes() -> None:
    row = said({"saw": ["c000"], "terms": {"c000": {"performance": 0.5, "pareto": 1.0, "score": 0.6}}}, "c000")[1]
    assert row.split() == ["c000", "1.000", "0.500", "-", "-", "0.600", "-"]
