"""The knowledge page: every line has its evidence behind it, and nothing within the noise is called help."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.search.evidence import Evidence
from engine.search.findings import Finding
from engine.search.knowledge import knowledge
from tests.search.samples import ROOT, scored


def learnt(id: str, about: str, gain: float | None, margin: float = 1.0, **more: object) -> Evidence:
    """A candidate with one finding."""
    finding = Finding((about,), "no score: diverged" if gain is None else "seen", gain=gain, margin=margin, **more)  # type: ignore[arg-type]
    return replace(scored(id, "c000"), findings=(finding,))


def test_what_exceeds_its_interval_helps_or_hurts_and_all_else_cannot_be_told() -> None:
    page = knowledge([ROOT, learnt("c001", "A", 3.0), learnt("c002", "B", -3.0), learnt("c003", "C", 0.5)])
    assert [le.about for le in page.helps] == [("A",)]
    assert [le.about for le in page.hurts] == [("B",)]
    assert [le.about for le in page.unclear] == [("C",)]


def test_known_noise_between_seeds_takes_small_gains_back() -> None:
    evidence = [ROOT, learnt("c001", "A", 3.0)]
    assert knowledge(evidence, noise=0.1).helps
    assert not knowledge(evidence, noise=3.0).helps


def test_repetition_narrows_an_interval_and_contradiction_widens_it() -> None:
    one = knowledge([ROOT, learnt("c001", "A", 3.0)]).helps[0]
    agreeing = knowledge([ROOT, *(learnt(f"c00{i}", "A", 3.0) for i in range(1, 5))]).helps[0]
    torn = knowledge([ROOT, learnt("c001", "A", 9.0), learnt("c002", "A", -3.0)]).unclear[0]
    assert agreeing.margin == one.margin / 2
    assert agreeing.seen_in == ("c001", "c002", "c003", "c004")
    assert torn.mean == 3.0
    assert torn.margin > 50  # t with one degree of freedom


def test_failures_are_told_apart_from_losses() -> None:
    page = knowledge([ROOT, learnt("c001", "A", None, never="A on GRPO in this form")])
    assert [le.about for le in page.fails] == [("A",)]
    assert math.isinf(page.fails[0].margin)
    assert "without a score: diverged" in page.markdown()
    assert page.warnings == ("A on GRPO in this form",)


def test_the_control_arm_and_pruned_candidates_teach_nothing() -> None:
    control = replace(learnt("r001", "A", 3.0), arm="control")
    pruned = replace(learnt("c001", "B", 3.0), status="pruned")
    assert knowledge([ROOT, control, pruned]) == knowledge([ROOT])


def test_one_change_is_one_lesson_whatever_the_order_of_its_mechanisms() -> None:
    a = replace(scored("c001", "c000"), findings=(Finding(("A", "B"), "seen", gain=1.0, margin=0.5),))
    b = replace(scored("c002", "c000"), findings=(Finding(("B", "A"), "seen", gain=1.0, margin=0.5),))
    assert len(knowledge([ROOT, a, b]).helps[0].gains) == 2


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=30), st.integers(0, 2000))
def test_the_brief_is_whole_lines_within_its_room(gains: list[float], room: int) -> None:
    page = knowledge([ROOT, *(learnt(f"c{i:03d}", f"M{i}", g) for i, g in enumerate(gains, 1))])
    brief = page.brief(room)
    assert len(brief) <= room
    whole = set(page.markdown().splitlines())
    assert all(line in whole for line in brief.splitlines() if line.startswith("- "))


def test_a_mechanism_named_like_markup_stays_text() -> None:
    page = knowledge([ROOT, learnt("c001", "A\x1b[31m```\n# Helps", 3.0)])
    assert "\x1b" not in page.markdown()
    assert "```" not in page.brief(1000)
    assert page.markdown().count("\n## ") == 1
