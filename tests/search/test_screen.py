"""What screening rates, and what it says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.algorithms.catalogue import catalogue
from engine.search.answers import BadAnswer, ProposalAnswer, read_model, read_proposal
from engine.search.context import Request
from engine.search.curves import summarize
from engine.search.directions import Direction, directions, neglected, sensible
from engine.search.screen import Draft, Rated, ranked, screen
from tests.search.samples import ROOT, ROOT_CODE, answer_text, choice, scored

GAINED = [
    scored(f"c01{i}", "c000", (choice("TokenMean"), choice(m)), 36.0) for i, m in enumerate(("SoftGate", "NoStd"))
]
LOST = [
    scored(f"c02{i}", "c000", (choice("ClipHigher"), choice(m)), 24.0) for i, m in enumerate(("BatchStd", "KlScale"))
]
REQUEST = Request("c000", [ROOT, *GAINED, *LOST], ROOT_CODE)


def draft(place: int, text: str, **more: Any) -> Draft:
    wire = read_model(text, ProposalAnswer)
    try:
        return Draft(place, Direction("free", ""), "m", text, wire, read_proposal(wire), **more)
    except BadAnswer as e:
        return Draft(place, Direction("free", ""), "m", text, wire, None, tuple(e.problems))


def telling(mechanism: str, **more: Any) -> str:
    plain = json.loads(answer_text(f"{mechanism}-GRPO", mechanism))
    return json.dumps({**plain, "bottleneck": "dividing by the spread", **more})


def rated(*texts: str) -> dict[int, Rated]:
    return {r.draft.place: r for r in screen([draft(i, t) for i, t in enumerate(texts)], REQUEST)}


def test_what_gained_before_is_expected_to_gain_and_what_lost_to_lose() -> None:
    found = rated(telling("TokenMean"), telling("ClipHigher"))
    assert found[0].terms["gain"] > 0.6 > 0.5 > found[1].terms["gain"]
    assert "points expected" in found[0].why


def test_claims_that_its_mechanisms_are_known_for_are_more_logical_than_others() -> None:
    found = rated(telling("NoStd", expected=["no_std_division"]), telling("NoStd", expected=["penalises_invalid"]))
    assert found[0].terms["logic"] > found[1].terms["logic"] + 0.3
    assert "1 of 1 claims" in found[0].why and "0 of 1 claims" in found[1].why


def test_a_hypothesis_that_speaks_of_what_changes_is_more_logical_than_one_that_does_not() -> None:
    silent = telling("NoStd", hypothesis="It will be better than anything that was tried before.")
    found = rated(telling("NoStd"), silent)
    assert found[0].terms["logic"] > found[1].terms["logic"]


def test_what_repeats_another_in_mechanisms_or_words_is_less_novel() -> None:
    fresh = telling("PassAtK", hypothesis="PassAtK rewards any success among several attempts of one prompt.")
    found = rated(telling("NoStd"), telling("NoStd"), fresh)
    assert found[0].terms["novelty"] == found[1].terms["novelty"] == 0.0
    assert found[2].terms["novelty"] > 0.5


def test_what_behaves_like_an_earlier_candidate_is_less_novel_whatever_it_is_called() -> None:
    seen = {"mixed": {"policy": [1.0, 2.0], "rest": [0.0], "group_size": 8}}
    other = {"mixed": {"policy": [2.0, -1.0], "rest": [0.0], "group_size": 8}}
    drafts = [draft(1, telling("NoStd"), signature=seen), draft(2, telling("PassAtK"), signature=other)]
    found = {r.draft.place: r.terms["novelty"] for r in screen(drafts, REQUEST, [seen])}
    assert found[1] < found[2] - 0.2


def test_broken_ones_are_rated_on_what_can_be_read_of_them() -> None:
    broken = json.dumps({**json.loads(telling("PassAtK")), "code": "def broken(:"})
    unreadable = Draft(7, Direction("free", ""), "m", "gibberish", None, None, ("the answer holds no JSON object",))
    found = screen([draft(1, telling("ClipHigher")), draft(2, broken), unreadable], REQUEST)
    assert [r.draft.place for r in found][-1] == 7 and "syntax error" in next(
        r.why for r in found if r.draft.place == 2
    )


def test_what_serves_the_directive_is_rated_above_what_is_beside_or_against_it() -> None:
    drafts = [draft(i, telling(m)) for i, m in enumerate(("PassAtK", "LengthBudget", "TokenMean"))]
    asked = replace(REQUEST, directive="compress responses; avoid TokenMean")
    found = {r.draft.place: r for r in screen(drafts, asked)}
    assert found[1].terms["directive"] > 0.7 > found[0].terms["directive"] == 0.5 > 0.1 > found[2].terms["directive"]
    assert [found[i].why.rsplit("; ", 1)[1] for i in (1, 0, 2)] == [
        "serves the directive",
        "is beside the directive",
        "goes against the directive",
    ]
    assert "directive" not in screen(drafts, REQUEST)[0].terms


def test_the_ranking_is_by_score_and_of_equals_by_place() -> None:
    a, b = draft(1, telling("NoStd")), draft(2, telling("PassAtK"))
    terms = dict.fromkeys(("logic", "feasibility", "novelty", "gain"), 0.5)
    rows = [Rated(b, terms, ""), Rated(a, terms, ""), Rated(b, terms, "", reading=0.9)]
    assert [(r.draft.place, r.reading) for r in ranked(rows)] == [(2, 0.9), (1, None), (2, None)]


# Directions.


def test_directions_are_the_same_for_the_same_request_and_seed_and_others_for_another_seed() -> None:
    orders = {tuple(d.id for d in directions(REQUEST, seed, 4)) for seed in range(20) for _ in range(2)}
    assert len(orders) > 5 and directions(REQUEST, 3, 4) == directions(REQUEST, 3, 4)


def test_the_directive_is_always_followed_by_one_of_them() -> None:
    asked = replace(REQUEST, directive="shorter answers")
    assert all(directions(asked, seed, 2)[0].id == "follow" for seed in range(10))


def test_more_proposals_than_directions_ask_for_another_of_the_kind() -> None:
    found = directions(Request("c000", [ROOT], ROOT_CODE), 1, 8)
    assert len(found) == 8 == len({d.sentence for d in found})


def test_only_directions_that_the_evidence_has_something_for_are_taken() -> None:
    alone = {d.id for d in sensible(Request("c000", [ROOT], ROOT_CODE))}
    assert alone == {"free", "repair", "invent"}
    child = {d.id for d in sensible(Request("c010", [ROOT, *GAINED], "", ideas=[{"id": "c001/2"}]))}
    assert child == {"free", "repair", "cross", "tune", "simplify", "invent", "idea"}


def test_the_direction_of_repair_names_the_parents_symptom_with_its_figures() -> None:
    points = [{"step": i, "entropy": 1.0 - 0.09 * i, "reward": 0.1 * i, "correct": 0.1 * i} for i in range(10)]
    sick = replace(ROOT, curves=summarize(points))
    sentence = next(d.sentence for d in sensible(Request("c000", [sick], ROOT_CODE)) if d.id == "repair")
    assert "entropy collapses (entropy 0.955 to 0.235)" in sentence


def test_the_neglected_stage_is_one_that_mechanisms_exist_for_and_no_candidate_hooks() -> None:
    touched = [ROOT]
    for i in range(5):
        stage = neglected(Request("c000", touched, ROOT_CODE))
        hooking = [e for e in catalogue().values() if stage in e.stages]
        assert hooking and not any(stage in catalogue()[m.name].stages for c in touched for m in c.mechanisms)
        touched.append(scored(f"c{i + 1:03d}", "c000", (hooking[0].choice(),)))


def test_a_single_proposal_is_free() -> None:
    assert [d.sentence for d in directions(REQUEST, 5, 1)] == [""]
