"""A population of proposals over real HTTP: broken ones are handled and recorded, and never lose the others."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.lint import MAX_SOURCE
from engine.errors import PoiseError
from engine.search import llm
from engine.search.answers import Answer
from engine.search.context import Request
from engine.search.ideas import Idea
from engine.search.llm import Ledger
from engine.search.proposer import Proposal, ProposalFailed, Verdict, propose
from tests.search.samples import ROOT, ROOT_CODE, answer_text, choice, scored
from tests.search.scripted import scripted

MODEL = "openai/test-model"
KNOWN = scored("c001", "c000", (choice("MeanScale"),), 33.0)
REQUEST = Request(ROOT.id, [ROOT, KNOWN], ROOT_CODE)
FOUR = ("free", "repair", "cross", "invent")
"""The directions that this request has something for."""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(llm, "BACKOFF", 0.01)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "llm.jsonl")


@pytest.fixture
def verified(tmp_path: Path) -> Any:
    """The real verification, in this process."""
    from engine.verify.verify import verify

    async def check(answer: Answer) -> Verdict:
        path = tmp_path / "algorithm.py"
        path.write_text(answer.code)
        report = await asyncio.to_thread(verify, path)
        return Verdict(report["cause"] or next((w for w in report["warnings"] if "is inert" in w), None), report)

    return check


async def made(server: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    request = options.pop("request", REQUEST)
    return await propose(request, models=(MODEL,), seed=1, ledger=ledger, node="c002", **options)


def with_code(code: str, **more: Any) -> str:
    return json.dumps({**json.loads(answer_text()), "code": code, **more})


def own(body: str, name: str = "Invented") -> str:
    """A file with a mechanism of its own at the stage `advantages`."""
    return (
        "import torch\nfrom torch import Tensor\n\n"
        "from engine.contract import Algorithm, Inner, Mechanism, Rollouts\n\n\n"
        f'class {name}(Mechanism):\n    """Invented for a test."""\n\n'
        "    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:\n"
        f"        {body}\n\n\n"
        f'algorithm = Algorithm(name="{name}-GRPO", mechanisms=({name}(),))\n'
    )


CODE = json.loads(answer_text())["code"]
BROKEN = {
    "not JSON": ("Sure! Here is what I would do:", "no JSON object"),
    "wrong shape": (json.dumps({"name": "X", "code": CODE}), "hypothesis: Field required"),
    "syntax error": (with_code(CODE + "\ndef broken(:\n"), "syntax error"),
    "forbidden import": (with_code("import os\n" + CODE), "import of os is not allowed"),
    "unknown stage": (
        with_code(own("return inner(value)").replace("def advantages", "def advantage")),
        "hooks no stage",
    ),
    "inert": (with_code(own("return inner(value) * 1.0")), "is inert"),
    "NaN": (with_code(own("return inner(value) * float('nan')")), "finite"),
    "refuted claim": (with_code(CODE, expected=["penalises_length"]), "penalises_length"),
    "unknown claim": (with_code(CODE, expected=["penalizes_length"]), "did you mean penalises_length"),
    "duplicate": (answer_text("Again-GRPO", "MeanScale"), "exactly these mechanisms"),
    "over-long": (with_code("#" * (MAX_SOURCE + 1)), "code:"),
    "mis-named library mechanism": (with_code(CODE.replace("ones_like", "zeros_like")), "not the library's NoStd"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_each_kind_of_broken_answer_is_told_what_is_wrong_and_repaired(
    kind: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    broken, told = BROKEN[kind]
    async with scripted(free=broken, repair=answer_text("Good-GRPO", "TokenMean")) as server:
        proposal = await made(server, ledger, monkeypatch, population=1, check=verified)
    assert isinstance(proposal, Proposal), proposal
    assert (proposal.name, proposal.attempts) == ("Good-GRPO", 2)
    assert proposal.report["passed"] and server.topics == ["free", "repair"]
    assert told in server.asked_for[1]


@pytest.mark.parametrize("kind", ["not JSON", "syntax error", "NaN", "refuted claim", "duplicate"])
async def test_one_that_stays_broken_fails_with_its_cause_and_leaves_its_code(
    kind: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    broken, told = BROKEN[kind]
    async with scripted(free=broken, repair=broken) as server:
        failed = await made(server, ledger, monkeypatch, population=1, check=verified, tries=2)
    assert isinstance(failed, ProposalFailed) and not failed.fatal
    assert told in failed.cause and failed.attempts == 2
    assert bool(failed.report) == (kind in ("NaN", "refuted claim")) == (failed.answer is not None)


async def test_code_that_is_not_what_the_hypothesis_says_goes_back_as_a_repair(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    no = json.dumps({"consistent": False, "mismatches": ["the hypothesis speaks of length, the code does not"]})
    yes = json.dumps({"consistent": True, "mismatches": []})
    async with scripted(free=answer_text(), repair=answer_text("B-GRPO", "TokenMean"), consistency=[no, yes]) as server:
        proposal = await made(server, ledger, monkeypatch, population=1, check=verified, read=True)
    assert isinstance(proposal, Proposal) and proposal.name == "B-GRPO"
    assert server.topics == ["free", "consistency", "repair", "consistency"]
    assert "code and hypothesis differ: the hypothesis speaks of length" in server.asked_for[2]


@pytest.mark.parametrize("reading", ["no idea", (500, "oops"), json.dumps({"consistent": "perhaps"})], ids=str)
async def test_a_reading_that_fails_takes_nothing_away(
    reading: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(free=answer_text(), consistency=reading) as server:
        proposal = await made(server, ledger, monkeypatch, population=1, read=True)
    assert isinstance(proposal, Proposal) and proposal.attempts == 1


GOOD = {
    "free": answer_text("A-GRPO", "NoStd"),
    "repair": answer_text("B-GRPO", "TokenMean"),
    "cross": answer_text("C-GRPO", "ClipHigher"),
    "invent": answer_text("D-GRPO", "SoftGate"),
}


async def test_the_directions_are_asked_side_by_side_and_all_but_the_chosen_become_ideas(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(**GOOD) as server:
        proposal = await made(server, ledger, monkeypatch)
    assert isinstance(proposal, Proposal) and sorted(server.topics) == sorted(FOUR)
    rows = proposal.document()["screening"]
    assert {row["direction"] for row in rows} == set(FOUR) and all(row["why"] for row in rows)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert [row["outcome"] for row in rows] == ["implemented"] + ["kept as an idea"] * 3
    assert rows[0]["name"] == proposal.name and json.loads(json.dumps(rows)) == rows
    assert {i.name for i in proposal.ideas} == {row["name"] for row in rows[1:]}
    assert all(i.id.startswith("c002/") and i.code and i.why and Idea.read(i.document()) == i for i in proposal.ideas)
    assert proposal.usd == pytest.approx(ledger.spent_usd) == pytest.approx(ledger.spent_on(1))


async def test_the_same_answers_in_any_order_of_arrival_give_the_same_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = []
    for held in (("free", "repair"), ("cross", "invent")):
        async with scripted(*held, **GOOD) as server:
            proposal = await made(server, Ledger(tmp_path / f"{held[0]}.jsonl"), monkeypatch)
        assert server.topics[2:] == list(held) or server.topics[2:] == list(held)[::-1]
        documents.append((proposal.name, proposal.document(), [x.document() for x in proposal.ideas]))
    assert documents[0] == documents[1]


async def test_three_broken_directions_do_not_lose_the_fourth_and_only_the_best_is_repaired(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    script = {"free": "gibberish", "repair": (400, "no"), "cross": BROKEN["NaN"][0], "invent": GOOD["invent"]}
    async with scripted(**script) as server:  # type: ignore[arg-type]
        proposal = await made(server, ledger, monkeypatch, check=verified)
    assert isinstance(proposal, Proposal) and proposal.name == "D-GRPO" and proposal.attempts == 4
    outcomes = {row["direction"]: row["outcome"] for row in proposal.screening}
    assert outcomes["invent"] == "implemented" and set(outcomes) == {"free", "cross", "invent"}
    why = {row["direction"]: row["why"] for row in proposal.screening}
    assert "unreadable" in why["free"] and "finite" in why["cross"]


async def test_where_all_are_broken_the_best_idea_is_the_one_that_is_repaired(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: dict[str, Any] = dict.fromkeys(FOUR, "gibberish") | {"cross": BROKEN["syntax error"][0]}
    # `repair` names a direction and the repair of any: the first reply is the direction's.
    script["repair"] = ["gibberish", answer_text("Mended-GRPO", "TokenMean")]
    async with scripted(**script) as server:
        proposal = await made(server, ledger, monkeypatch)
    assert isinstance(proposal, Proposal) and proposal.name == "Mended-GRPO" and proposal.attempts == 5
    assert "syntax error" in server.asked_for[-1]


async def test_when_the_best_fails_its_checks_to_the_end_the_next_best_is_implemented(ledger: Ledger) -> None:
    checked: list[str] = []

    async def check(answer: Answer) -> Verdict:
        checked.append(answer.key)
        return Verdict("it diverges" if len(checked) == 1 else None)

    proposal = await propose(REQUEST, models=("poise/composer",), seed=1, ledger=ledger, check=check, tries=1)
    assert isinstance(proposal, Proposal) and len(set(checked)) == 2
    first, second = (row["outcome"] for row in proposal.screening[:2])
    assert "failed: " in first and "it diverges" in first and second == "implemented"
    assert [row["outcome"] for row in proposal.screening[2:]] == ["kept as an idea"] * 2


async def test_the_models_own_reading_takes_part_in_the_ranking_and_says_why(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def favouring(place: int) -> str:
        rows = [{"proposal": p, "score": 10 if p == place else 0, "why": f"reason {p}"} for p in (1, 2, 3, 4)]
        return json.dumps({"readings": rows})

    chosen = set()
    for place in (1, 2, 3, 4):
        yes = json.dumps({"consistent": True, "mismatches": []})
        async with scripted(**GOOD, screen=favouring(place), consistency=yes) as server:
            log = Ledger(ledger.path.with_name(f"{place}.jsonl"))
            proposal = await made(server, log, monkeypatch, read=True)
        assert isinstance(proposal, Proposal) and proposal.screening[0]["place"] == place
        assert f"read as: reason {place}" in proposal.screening[0]["why"]
        assert server.topics.count("screen") == server.topics.count("consistency") == 1
        chosen.add(proposal.name)
    assert len(chosen) == 4


async def test_two_models_take_turns_with_the_directions(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(**GOOD) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        models = (MODEL, "openai/other-model")
        proposal = await propose(REQUEST, models=models, seed=1, ledger=ledger)
    assert isinstance(proposal, Proposal)
    assert sorted(r["model"] for r in server.requests) == ["other-model"] * 2 + ["test-model"] * 2
    made_by = models[(proposal.screening[0]["place"] - 1) % 2]
    assert proposal.provenance == {"proposer": "llm", "model": made_by}


async def test_a_model_that_refuses_the_key_is_fatal_and_one_that_is_busy_is_not(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reply, fatal in (((401, "no such key"), True), ((503, "busy"), False)):
        async with scripted(**dict.fromkeys(FOUR, reply)) as server:  # type: ignore[arg-type]
            failed = await made(server, ledger, monkeypatch)
        assert isinstance(failed, ProposalFailed) and failed.fatal == fatal


async def test_a_budget_that_allows_no_call_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(**GOOD) as server:
        with pytest.raises(PoiseError, match="allows no further call"):
            await made(server, Ledger(tmp_path / "llm.jsonl", limit_usd=0.000001), monkeypatch)
    assert server.requests == []


async def test_a_cancelled_decision_leaves_no_call_behind(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(**dict.fromkeys(FOUR, "silent")) as server:
        task = asyncio.create_task(made(server, ledger, monkeypatch))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ledger.reserved_usd == pytest.approx(0)
    others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and "_ask" in repr(t)]
    assert others == []


async def test_an_answered_decision_is_not_asked_again_after_a_crash(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    yes = json.dumps({"consistent": True, "mismatches": []})
    screen = json.dumps({"readings": [{"proposal": 2, "score": 9, "why": "clear"}]})
    async with scripted(**GOOD, screen=screen, consistency=yes) as server:
        first = await made(server, ledger, monkeypatch, read=True)
        asked = len(server.requests)
        again = await made(server, Ledger(ledger.path), monkeypatch, read=True)
    assert len(server.requests) == asked and again.document() == first.document()


async def test_the_composers_population_goes_different_ways_and_is_verified_only_as_far_as_needed(
    ledger: Ledger,
) -> None:
    checked: list[str] = []

    async def check(answer: Answer) -> Verdict:
        checked.append(answer.key)
        return Verdict()

    request = replace(REQUEST, directive="compress responses, keep accuracy")
    options = {"models": ("poise/composer",), "ledger": ledger, "check": check}
    proposal = await propose(request, seed=3, **options)
    assert isinstance(proposal, Proposal) and len(checked) == 1 and proposal.usd == 0
    keys = {proposal.answer.key, *("+".join(m.key for m in i.mechanisms) for i in proposal.ideas)}
    assert len(keys) == 4 and "follow" in {row["direction"] for row in proposal.screening}
