"""Literature priors: what is told of the catalogue bears on the parent's trouble, and is the same each time."""

from __future__ import annotations

from engine.algorithms.catalogue import catalogue
from engine.search.literature import in_detail, relevant


def test_a_topic_brings_the_mechanisms_that_speak_of_it() -> None:
    found = [e.name for e in relevant("many groups fail altogether: rare successes of hard prompts")]
    assert "HardPromptWeight" in found
    assert any("entropy" in e.doc.lower() for e in relevant("the entropy collapses")[:2])


def test_a_remedy_of_a_symptom_comes_before_mere_likeness() -> None:
    topic = "groups of equal rewards"
    assert "ClipHigher" not in [e.name for e in relevant(topic)]
    assert relevant(topic, remedies=["ClipHigher"])[0].name == "ClipHigher"


def test_what_the_parent_has_is_not_told_again_and_nothing_is_told_of_nothing() -> None:
    first = relevant("the entropy collapses")[0].name
    assert first not in [e.name for e in relevant("the entropy collapses", leave_out=[first])]
    assert relevant("") == []


def test_detail_holds_the_formula() -> None:
    assert " = " in in_detail(catalogue()["FlooredStd"]) or "->" in in_detail(catalogue()["FlooredStd"])
