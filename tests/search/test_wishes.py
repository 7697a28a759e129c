"""A directive's words become weights over mechanisms."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.algorithms.render import render
from engine.search.effects import CLAIMS, claims_of
from engine.search.moves import variants
from engine.search.wishes import preferences, wishes


def weights(directive: str) -> dict[str, float]:
    return preferences(directive, catalogue().values())


@pytest.mark.parametrize(
    ("directive", "meant"),
    [
        ("compress responses, keep accuracy", {"brevity": 1, "accuracy": 1}),
        ("answers are far too long", {"brevity": 1}),
        ("avoid long answers", {"brevity": 1}),
        ("do not shorten the answers", {"brevity": -1}),
        ("don't touch the length", {"brevity": -1}),
        ("avoid entropy collapse", {"exploration": 1}),
        ("more exploration; no KL tricks", {"exploration": 1, "closeness to the reference": -1}),
        ("reward the hard problems but leave the format alone", {"hard problems": 1, "format": -1}),
        ("no format rewards", {"format": -1}),
        ("training is noisy and it diverges", {"stability": 1}),
        ("something new", {}),
        ("", {}),
    ],
)
def test_a_directive_is_understood_clause_by_clause_negation_included(directive: str, meant: dict[str, int]) -> None:
    assert wishes(directive) == meant


def test_what_is_measured_to_serve_a_wish_weighs_more_than_what_only_speaks_of_it() -> None:
    found = weights("compress responses")
    assert found["LengthBudget"] > found["LengthExponent"] > 0 and "NoStd" not in found
    assert "penalises_length" in CLAIMS["LengthBudget"]


def test_wishes_add_up_and_what_is_to_be_left_alone_weighs_double() -> None:
    both = weights("compress responses, keep accuracy")
    assert both["SolvedLengthPenalty"] > weights("compress responses")["SolvedLengthPenalty"]
    assert weights("no length tricks")["LengthBudget"] == -2 * weights("use length tricks")["LengthBudget"]


def test_a_mechanism_that_is_named_is_wanted_or_unwanted_whatever_else_is_said() -> None:
    assert weights("try SoftGate")["SoftGate"] > max(v for n, v in weights("stability").items())
    assert weights("be stable, but avoid softgate please")["SoftGate"] < 0


def test_a_stage_that_is_named_speaks_for_what_hooks_it() -> None:
    found = weights("change the baseline")
    assert found and all("baseline" in catalogue()[name].stages for name in found)
    unwanted = weights("leave the kl term, without touching the baseline")
    assert unwanted and all(v < 0 for v in unwanted.values())


def every_claim() -> list[tuple[MechanismChoice, str]]:
    return [(v, claim) for e in catalogue().values() for v in variants(e) for claim in claims_of(v)]


def test_nothing_is_claimed_of_constants_that_were_not_measured() -> None:
    entry = catalogue()["AdvantageClip"]
    assert claims_of(entry.choice()) and not claims_of(entry.choice(limit=77.0))
    assert claims_of(MechanismChoice("Unknown", {})) == ()
    assert {key.split("(")[0] for key in CLAIMS} <= catalogue().keys()


def _refuted(pairs: list[tuple[MechanismChoice, str]], folder: Path) -> list[str]:
    from engine.algorithms.loader import load_algorithm
    from engine.verify.claims import check

    found = []
    for choice, claim in pairs:
        path = folder / "a.py"
        path.write_text(render("X-GRPO", "h", [choice]))
        if not check(load_algorithm(path), claim).holds:
            found.append(f"{choice.key} {claim}")
    return found


def test_each_claim_that_is_written_down_of_the_library_is_measured_to_hold(tmp_path: Path) -> None:
    assert (
        _refuted([(c, claim) for c, claim in every_claim() if c.params == catalogue()[c.name].params], tmp_path) == []
    )


@pytest.mark.slow
def test_each_claim_with_other_constants_is_measured_to_hold_as_well(tmp_path: Path) -> None:
    assert _refuted(every_claim(), tmp_path) == []
