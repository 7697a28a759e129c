"""Ideas wait in the archive until a later round takes them up."""

from __future__ import annotations

from typing import Any

from engine.algorithms.catalogue import MechanismChoice, digest_of
from engine.search.ideas import MOST, Idea, open_ideas
from tests.search.samples import choice


def idea(id: str, *mechanisms: MechanismChoice) -> dict[str, Any]:
    return Idea(id, f"{id}-GRPO", "It should help.", "invent", mechanisms, "code", "another was better").document()


def document(
    id: str, parent: str | None, *mechanisms: MechanismChoice, ideas: Any = (), status: str = "scored"
) -> dict[str, Any]:
    listed = [m.document() for m in mechanisms]
    return {"id": id, "parent": parent, "status": status, "proposal": {"mechanisms": listed}, "ideas": list(ideas)}


ROOT = document("c000", None)
A, B, C = choice("NoStd"), choice("TokenMean"), choice("SoftGate")


def offered(documents: list[dict[str, Any]], parent: str = "c000", **more: Any) -> list[str]:
    return [i["id"] for i in open_ideas(documents, parent, **more)]


def test_an_idea_is_offered_until_somebody_tries_its_mechanisms() -> None:
    first = document("c001", "c000", A, ideas=[idea("c001/2", B), idea("c001/3", C)])
    assert offered([ROOT, first]) == ["c001/2", "c001/3"]
    assert offered([ROOT, first, document("c002", "c000", B, status="queued")]) == ["c001/3"]
    assert offered([ROOT, first], tried=[digest_of([C])]) == ["c001/2"]


def test_an_idea_in_words_alone_is_offered_whatever_was_tried() -> None:
    assert offered([ROOT, document("c001", "c000", A, ideas=[idea("c001/2")])]) == ["c001/2"]


def test_ideas_near_the_parent_come_first_and_only_so_many() -> None:
    documents = [ROOT, document("c001", "c000", A, ideas=[idea("c001/2", B)])]
    documents += [document("c002", "c001", A, B, ideas=[idea("c002/2", C)])]
    documents += [document("c003", "c000", choice("KlScale"), ideas=[idea("c003/1", choice("PassAtK"))])]
    assert offered(documents, "c001") == ["c002/2", "c001/2", "c003/1"]
    many = document(
        "c004", "c000", C, ideas=[idea(f"c004/{i}", choice("MeanScale", p_min=i / 20)) for i in range(1, 13)]
    )
    assert len(offered([ROOT, many])) == MOST


def test_equal_ideas_are_offered_once_and_those_of_pruned_branches_not_at_all() -> None:
    twice = [document(f"c00{i}", "c000", A, ideas=[idea(f"c00{i}/2", B)]) for i in (1, 2)]
    assert offered([ROOT, *twice]) == ["c002/2"]
    assert offered([ROOT, document("c001", "c000", A, ideas=[idea("c001/2", B)], status="pruned")]) == []


def test_documents_without_ideas_have_none() -> None:
    assert open_ideas([{"id": "c000", "parent": None, "status": "scored"}], "c000") == []
