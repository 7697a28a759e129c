"""What the keyless proposer promises."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.algorithms.catalogue import catalogue, conflicts, key_of
from engine.algorithms.lint import lint
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.search import composer_provider
from engine.search.answers import read_algorithm, stated_claims
from engine.search.combine import REACH, UNKNOWN
from engine.search.composer import compose
from engine.search.context import Request, evidence_block, proposal_messages, repair_messages
from engine.search.directions import directions
from engine.search.evidence import Evidence
from engine.search.findings import Finding
from engine.search.moves import MOST
from engine.search.select import select_round
from engine.search.symptoms import SYMPTOMS
from tests.search.samples import ROOT, ROOT_CODE, archive, choice, scored

ARCHIVES = {n: archive(1, n) for n in (0, 3, 12, 40)}


def block(
    candidates: list[Evidence], parent: str = "c000", code: str = ROOT_CODE, directive: str | None = None
) -> dict:  # type: ignore[type-arg]
    return evidence_block(Request(parent, candidates, code, directive), 10**9)


def changed(candidates: list[Evidence], seeds: int, parent: str = "c000", **more: str) -> Counter[str]:
    """How often each mechanism is in what it composes, over seeds."""
    found: Counter[str] = Counter()
    for seed in range(seeds):
        _, mechanisms = read_algorithm(compose(block(candidates, parent, **more), seed)["code"])
        found.update(m.name for m in mechanisms)
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(sorted(ARCHIVES)), st.data())
def test_it_is_deterministic_new_and_legal_whatever_the_seed_and_archive(
    seed: int, size: int, data: st.DataObject
) -> None:
    candidates = ARCHIVES[size]
    parent = data.draw(st.sampled_from([c.id for c in candidates if c.scored]))
    evidence = block(candidates, parent)
    made = compose(evidence, seed)
    assert made == compose(json.loads(json.dumps(evidence)), seed)
    name, mechanisms = read_algorithm(made["code"])
    assert lint(made["code"]) == []
    assert key_of(mechanisms) not in {c.key for c in candidates}
    assert 1 <= len(mechanisms) <= MOST
    assert conflicts([catalogue()[m.name] for m in mechanisms]) == []
    assert name == made["name"] and name.endswith("-GRPO") and len(name) <= 48
    assert name not in {c.name for c in candidates}
    assert "Overall rises" in made["hypothesis"] and "\n" not in made["hypothesis"]


def test_decisions_in_a_row_never_repeat_a_set_even_one_that_the_prompt_has_no_room_for() -> None:
    candidates, rng = [ROOT], random.Random("in a row")
    for k in range(1, 51):
        parent = rng.choice(candidates[-20:]).id
        evidence = evidence_block(Request(parent, candidates, ""), 6_000)
        name, mechanisms = read_algorithm(compose(evidence, k)["code"])
        candidates.append(replace(scored(f"c{k:03d}", parent, mechanisms, rng.gauss(30, 4)), name=name))
    shown = evidence["candidates"]
    assert len(shown) < 35, "the archive must be larger than the prompt, or this proves less than it says"
    assert len({c.key for c in candidates}) == 51


def test_the_order_of_pythons_hashes_changes_nothing() -> None:
    code = (
        "import json, sys; from engine.search.composer import compose\n"
        "print([compose(json.loads(sys.argv[1]), s) for s in range(20)])"
    )
    evidence = json.dumps(block(ARCHIVES[12], "c003"))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, evidence],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_seeds_lead_to_many_different_proposals() -> None:
    keys = {compose(block([ROOT]), seed)["code"].split("algorithm = ")[1] for seed in range(100)}
    assert len(keys) > 50


def test_every_kind_of_change_happens_and_none_is_large() -> None:
    kinds: Counter[str] = Counter()
    candidates = ARCHIVES[40]
    for parent in [c for c in candidates if c.scored and len(c.mechanisms) < MOST]:
        before = {m.name: m.key for m in parent.mechanisms}
        _, mechanisms = read_algorithm(compose(block(candidates, parent.id), 7)["code"])
        after = {m.name: m.key for m in mechanisms}
        new, gone = after.keys() - before.keys(), before.keys() - after.keys()
        tuned = {name for name in before.keys() & after.keys() if before[name] != after[name]}
        assert 1 <= len(new) + len(gone) + len(tuned) <= REACH
        kinds.update(name for name, some in (("add", new), ("remove", gone), ("tune", tuned)) if some)
        kinds["several"] += len(new) + len(gone) + len(tuned) > 1
    assert all(kinds[kind] for kind in ("add", "remove", "tune", "several")), kinds


def test_not_more_than_two_unknown_mechanisms_are_tried_at_once() -> None:
    candidates = ARCHIVES[12]
    known = {m.key for c in candidates for m in c.mechanisms}
    for seed in range(40):
        _, mechanisms = read_algorithm(compose(block(candidates, "c003"), seed)["code"])
        assert sum(m.key not in known for m in mechanisms) <= UNKNOWN


def test_evidence_moves_it_towards_what_gained_and_away_from_what_lost_or_failed() -> None:
    gained = [
        scored(f"c1{i}", "c000", (choice("TokenMean"), m), 36.0)
        for i, m in enumerate([choice("NoStd"), choice("KlScale")])
    ]
    lost = [
        scored(f"c2{i}", "c000", (choice("SoftGate"), m), 20.0)
        for i, m in enumerate([choice("BatchStd"), choice("DropUniform")])
    ]
    broke = [
        replace(scored(f"c3{i}", "c000", (choice("MeanScale", p_min=p),)), status="failed", overall=None)
        for i, p in enumerate((0.0625, 0.25))
    ]
    found = changed([ROOT, *gained, *lost, *broke], 150)
    assert found["TokenMean"] > 3 * max(found["SoftGate"], 1)
    assert found["TokenMean"] > 3 * max(found["MeanScale"], 1)


def test_a_set_in_which_a_mechanism_was_found_inert_is_not_built_upon() -> None:
    parent = scored("c001", "c000", (choice("KlScale"), choice("NoStd")))
    dead = {"KlScale(factor=0.0)", "UnsolvedKl(pass_rate=0.5)"}
    with_dead = 0
    for inert in ([], [sorted(dead)]):
        evidence = {**block([ROOT, parent], "c001", directive="try UnsolvedKl"), "inert": inert}
        made = [read_algorithm(compose(evidence, seed)["code"])[1] for seed in range(150)]
        with_dead = sum(dead <= {m.key for m in mechanisms} for mechanisms in made)
        assert (with_dead > 0) == (not inert)


def test_searching_by_evidence_proposes_better_algorithms_than_searching_blindly() -> None:
    """On drawn worlds where mechanisms add up and scores are noisy: the true value of the later proposals."""

    def later_proposals(world: int, blind: bool) -> float:
        rng = random.Random(f"world {world}")
        effect = {name: rng.gauss(-0.3, 1.2) for name in catalogue()}
        found, truth = [ROOT], [0.0]
        for k in range(1, 17):
            known = [replace(c, overall=30.0) for c in found] if blind else found
            parent = select_round(known, seed=world, round=k, parents=1)[0].parent
            name, mechanisms = read_algorithm(compose(block(known, parent), world * 100 + k)["code"])
            truth.append(sum(effect[m.name] for m in mechanisms))
            score = 30.0 + truth[-1] + rng.gauss(0, 0.8)
            found.append(replace(scored(f"c{k:03d}", parent, mechanisms, score), name=name))
        return sum(truth[-8:]) / 8

    value = {blind: sum(later_proposals(world, blind) for world in range(10)) / 10 for blind in (True, False)}
    assert value[False] > value[True] + 0.8, value


def test_it_follows_the_directive_and_the_suggestion_of_the_reflection() -> None:
    def length(found: Counter[str]) -> int:
        return sum(n for name, n in found.items() if catalogue()[name].module in ("lengths", "efficiency"))

    free = changed([ROOT], 120)
    assert length(changed([ROOT], 120, directive="compress responses, keep accuracy")) > 1.5 * length(free)
    tried = changed([ROOT], 120, directive="try SoftGate")["SoftGate"]
    assert tried > 2 * free["SoftGate"]
    asked = replace(
        ROOT, reflection="# GRPO\n\n## Suggestion\nAgainst 'the clip is busy': ClippedWeight or SoftGate.\n"
    )
    suggested = changed([asked], 120)["SoftGate"]
    assert suggested > 1.5 * free["SoftGate"]
    assert changed([asked], 120, directive="avoid SoftGate please")["SoftGate"] < 0.5 * suggested


def test_the_hypothesis_says_what_changes_where_it_comes_from_and_what_is_known() -> None:
    known = [scored("c001", "c000", (choice("NoStd"),), 33.0)]
    texts = [compose(block([ROOT, *known]), seed)["hypothesis"] for seed in range(200)]
    tuned = [compose(block([ROOT, *known], "c001"), seed)["hypothesis"] for seed in range(100)]
    assert all("c000-GRPO" in t for t in texts)
    assert any("arXiv" in t for t in texts) and any("no evidence on it yet" in t for t in texts)
    assert any("NoStd" in t and "+3.0 points" in t for t in tuned)


OWN = '''\
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch


class Invented(Mechanism):
    """A mechanism of somebody's own."""

    strength: float = 2.0

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return self.strength * inner(ratio)


algorithm = Algorithm(name="Invented-GRPO", mechanisms=(Invented(strength=3.0),))
'''


def test_a_mechanism_that_only_the_parent_has_is_carried_on_with_its_source() -> None:
    parent = scored("c001", "c000", read_algorithm(OWN)[1])
    carried = 0
    for seed in range(40):
        code = compose(block([ROOT, parent], "c001", OWN), seed)["code"]
        _, mechanisms = read_algorithm(code)
        if "Invented(strength=3.0)" in {m.key for m in mechanisms}:
            carried += 1
            assert "return self.strength * inner(ratio)" in code
    assert carried > 20


def test_a_parents_own_form_of_a_library_mechanism_stays_its_own() -> None:
    own = render("Own-GRPO", "h", [choice("NoStd")]).replace("ones_like", "zeros_like")
    parent = scored("c001", "c000", (choice("NoStd"),))
    codes = [compose(block([ROOT, parent], "c001", own), seed)["code"] for seed in range(20)]
    kept = [c for c in codes if "class NoStd(" in c]
    assert kept and all("zeros_like" in c for c in kept)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"parent": "c9", "candidates": [], "tried": []},
        {"parent": "c000", "candidates": [{"id": "c000"}], "tried": []},
    ],
)
def test_a_block_that_is_none_is_refused_in_one_line(broken: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(PoiseError, match="evidence block cannot be read"):
        compose(broken, 1)


# Directions, directives, claims.


def composed(direction: str, seed: int, candidates: list[Evidence], parent: str = "c000", **more: Any) -> Any:
    evidence = {**block(candidates, parent), "direction": direction, **more}
    answer = compose(evidence, seed)
    before = {m.name: m.key for m in next(c for c in candidates if c.id == parent).mechanisms}
    after = {m.name: m.key for m in read_algorithm(answer["code"])[1]}
    return answer, before, after


PARENT = scored("c001", "c000", (choice("NoStd"), choice("AdvantageClip")), 31.0)
DONOR = scored("c002", "c000", (choice("SequenceRatio"), choice("AdvantageClip", limit=3.0)), 34.0)
FAMILY = [ROOT, PARENT, DONOR]


def test_repair_brings_in_a_remedy_of_the_symptom_it_is_told() -> None:
    cure = next(s for s in SYMPTOMS if s.name == "entropy collapses")
    for seed in range(20):
        told = "repair: c001-GRPO suffers from this: entropy collapses (entropy 1 to 0.2). Cure it."
        answer, before, after = composed(told, seed, FAMILY, "c001")
        assert set(cure.remedies) & (after.keys() - before.keys())
        assert "entropy 1 to 0.2" in answer["bottleneck"] and cure.meaning in answer["hypothesis"]


def test_cross_brings_over_mechanisms_of_another_lineage_and_one_of_the_same_name_takes_its_place() -> None:
    kinds = Counter()
    for seed in range(40):
        answer, before, after = composed("cross: ...", seed, FAMILY, "c001")
        foreign = {n: k for n, k in after.items() if before.get(n) != k}
        assert foreign and foreign.items() <= DONOR.keys.items() and before.keys() <= after.keys()
        assert DONOR.name in answer["hypothesis"]
        kinds["replaced" if "AdvantageClip" in foreign else "added"] += 1
    assert len(kinds) == 2


def test_tune_simplify_and_invent_do_that_and_nothing_else() -> None:
    for seed in range(15):
        _, before, after = composed("tune: ...", seed, FAMILY, "c001")
        assert before.keys() == after.keys() and before != after
        _, before, after = composed("simplify: ...", seed, FAMILY, "c001")
        assert len(after) == 1 and after.items() <= before.items()
        _, before, after = composed(
            "invent: change the stage `kl`, which was hardly touched yet.", seed, FAMILY, "c001"
        )
        assert any("kl" in catalogue()[name].stages for name in after.keys() - before.keys())


def test_an_open_idea_is_brought_over_to_the_parent_once() -> None:
    open_idea = {"id": "c002/3", "name": "Waiting-GRPO", "mechanisms": [choice("TokenMean").document()]}
    answer, before, after = composed("idea: ...", 1, FAMILY, "c001", ideas=[open_idea])
    assert after.keys() - before.keys() == {"TokenMean"} and "Waiting-GRPO" in answer["hypothesis"]
    done = scored("c003", "c001", (*PARENT.mechanisms, choice("TokenMean")))
    _, _, after = composed("idea: ...", 1, [*FAMILY, done], "c001", ideas=[open_idea])
    assert key_of(read_algorithm(compose(block([*FAMILY, done], "c001"), 1)["code"])[1]) != done.key
    assert after != done.keys


def test_a_direction_with_nothing_left_is_as_good_as_none() -> None:
    for direction in ("cross: ...", "tune: ...", "simplify: ...", "idea: ...", "nonsense", "follow: ..."):
        answer, _, after = composed(direction, 2, [ROOT])
        assert after and answer["code"]


def test_different_directions_of_one_decision_give_different_algorithms() -> None:
    asked = Request("c001", FAMILY, ROOT_CODE, "compress responses, keep accuracy")
    for seed in range(10):
        found = [d.sentence for d in directions(asked, seed, 4)]
        keys = {key_of(read_algorithm(composed(d, seed, FAMILY, "c001")[0]["code"])[1]) for d in found}
        assert len(keys) >= 3


def test_findings_near_the_parent_speak_for_what_is_next_and_against_what_is_never() -> None:
    never = (
        "TokenMean",
        "BatchStd",
        "KlScale",
        "DropUniform",
        "BestOnly",
        "PassAtK",
        "QuantileBaseline",
        "SoftOverlong",
    )
    said = Finding(("NoStd",), "it spikes", next="AdvantageClip or SoftGate", never=f"{', '.join(never)} on GRPO")
    taught = replace(ROOT, findings=(said,) * 3)
    assert block([taught])["lessons"] == {"AdvantageClip": 3, "SoftGate": 3, **dict.fromkeys(never, -3)}
    free, found = changed([ROOT], 100), changed([taught], 100)
    assert found["SoftGate"] > 2 * free["SoftGate"]
    assert sum(found[name] for name in never) < 0.6 * sum(free[name] for name in never)


@pytest.mark.slow
def test_what_it_claims_of_a_composition_is_nearly_always_measured_to_hold(tmp_path: Path) -> None:
    from engine.algorithms.loader import load_algorithm
    from engine.verify.claims import check

    claims = held = 0
    for seed in range(100):
        candidates = ARCHIVES[40]
        parent = [c.id for c in candidates if c.scored][seed % 30]
        answer = compose(block(candidates, parent), seed)
        (tmp_path / "a.py").write_text(answer["code"])
        algorithm = load_algorithm(tmp_path / "a.py")
        assert list(algorithm.claims) == answer["expected"]
        claims += len(algorithm.claims)
        held += sum(check(algorithm, claim).holds for claim in algorithm.claims)
    assert claims > 50 and held > 0.85 * claims


def test_a_refuted_claim_is_withdrawn_and_the_algorithm_kept() -> None:
    request = Request("c000", [ROOT], ROOT_CODE)
    messages = proposal_messages(request, 1)
    seed = next(s for s in range(50) if len(compose(block([ROOT]), s)["expected"]) > 1)
    first = composer_provider.answer(messages, seed)
    claim, *rest = first["expected"]
    refused = repair_messages(
        messages, json.dumps(first), [f"does what it claims: X: expected {claim}: words, found 0"]
    )
    second = composer_provider.answer(refused, seed)
    assert second["expected"] == rest and stated_claims(second["code"]) == tuple(rest)
    assert read_algorithm(second["code"]) == read_algorithm(first["code"])
    again = repair_messages(refused, json.dumps(second), [f"does what it claims: expected {rest[0]}: words, found 0"])
    assert composer_provider.answer(again, seed)["expected"] == []
