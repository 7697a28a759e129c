"""Calls to models, through litellm for real: a server that misbehaves, and the composer on the same path."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.search import llm, pricing
from engine.search.analyst import Case, write_reflection
from engine.search.answers import ProposalAnswer
from engine.search.context import Request, proposal_messages
from engine.search.llm import Ledger, LLMFailed, complete
from engine.search.proposer import Proposal, ProposalFailed, Verdict, propose
from tests.search.model_server import CUT, DRIP, HTML, SILENT, TRUNCATED, ModelServer, Reply, serving
from tests.search.samples import ROOT, ROOT_CODE, answer_text, choice, scored

CANARY = "sk-canary-5f1c2e7a9b3d4f60"
MODEL = "openai/test"
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setattr(llm, "BACKOFF", 0.01)
    monkeypatch.setattr(llm, "_plainer", {})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "llm.jsonl")


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda server: monkeypatch.setenv("OPENAI_API_BASE", server.url)


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


async def ask(ledger: Ledger, timeout: float = 20.0, turn: int = 1) -> llm.LLMAnswer:
    return await complete(
        MODEL, MESSAGES, purpose="propose", schema=None, timeout=timeout, seed=1, ledger=ledger, turn=turn
    )


async def test_an_answer_comes_with_its_cost_and_is_written_down(ledger: Ledger, point: Any) -> None:
    async with serving("fine") as server:
        point(server)
        answer = await ask(ledger)
    assert answer.text == "fine" and (answer.tokens_in, answer.tokens_out) == (1000, 100)
    assert server.keys == [f"Bearer {CANARY}"], "the key must reach the server: else the canary tests prove nothing"
    (line,) = lines(ledger)
    assert line["answer"] == "fine" and line["messages"] == MESSAGES and line["ok"]
    assert line["usd"] == pytest.approx(ledger.spent_usd) == pytest.approx(answer.usd) and answer.usd > 0


@pytest.mark.fault(20)
async def test_a_server_error_is_asked_again_and_every_attempt_is_on_record(ledger: Ledger, point: Any) -> None:
    seen: list[dict[str, Any]] = []
    ledger = Ledger(ledger.path, on_call=lambda call, spent_usd: seen.append(call))
    async with serving((500, "oops"), (429, "slow down"), "fine") as server:
        point(server)
        assert (await ask(ledger)).text == "fine"
    assert len(server.requests) == 3
    assert [line["ok"] for line in lines(ledger)] == [False, False, True]
    assert [call["ok"] for call in seen] == [False, False, True]


@pytest.mark.fault(20)
@pytest.mark.parametrize(("status", "requests"), [(500, 3), (429, 3), (503, 3), (400, 1), (401, 1), (404, 1)])
async def test_attempts_are_bounded_and_a_fault_of_ours_is_not_repeated(
    ledger: Ledger, point: Any, status: int, requests: int
) -> None:
    async with serving((status, "no")) as server:
        point(server)
        with pytest.raises(LLMFailed) as caught:
            await ask(ledger)
    assert len(server.requests) == requests == len(lines(ledger))
    assert "\n" not in str(caught.value)


@pytest.mark.fault(20)
@pytest.mark.parametrize("behaviour", [SILENT, DRIP])
async def test_a_silent_or_dripping_server_costs_bounded_time(ledger: Ledger, point: Any, behaviour: str) -> None:
    await llm.load()
    async with serving(behaviour) as server:
        point(server)
        start = time.monotonic()
        with pytest.raises(LLMFailed, match=r"no answer within 0\.5 s"):
            await ask(ledger, timeout=0.5)
        assert time.monotonic() - start < 3
    assert len(server.requests) == 1
    assert ledger.spent_usd > 0, "nobody knows whether the provider bills it: it counts"


async def test_a_server_that_is_not_there_fails_in_one_line(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    with pytest.raises(LLMFailed) as caught:
        await ask(ledger)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


async def test_an_empty_answer_is_a_failure_that_is_paid(ledger: Ledger, point: Any) -> None:
    async with serving("") as server:
        point(server)
        with pytest.raises(LLMFailed, match="the answer is empty"):
            await ask(ledger)
    assert ledger.spent_usd > 0


async def test_no_key_is_ever_written_or_told(ledger: Ledger, point: Any) -> None:
    echo = (401, f"wrong key {CANARY} Authorization: Bearer {CANARY}")
    async with serving(echo, f"your key is {CANARY}") as server:
        point(server)
        with pytest.raises(LLMFailed) as caught:
            await ask(ledger)
        await ask(ledger)
    assert CANARY not in str(caught.value)
    assert CANARY not in ledger.path.read_text() and "[secret]" in ledger.path.read_text()


@pytest.mark.fault(21)
async def test_the_budget_refuses_a_call_before_it_is_made(ledger: Ledger, point: Any) -> None:
    poor = Ledger(ledger.path, limit_usd=0.01)
    async with serving("fine") as server:
        point(server)
        with pytest.raises(PoiseError) as caught:
            await ask(poor)
    assert caught.value.code == Exit.REFUSED and server.requests == [] and poor.spent_usd == 0


@pytest.mark.fault(21)
async def test_calls_side_by_side_never_pass_the_budget(ledger: Ledger, point: Any) -> None:
    await llm.load()
    price = pricing.PESSIMISTIC[1] * llm.MOST_TOKENS
    shared = Ledger(ledger.path, limit_usd=2.5 * price)
    async with serving((400, "no"), SILENT) as server:
        point(server)
        found = await asyncio.gather(*(ask(shared, 0.5, turn) for turn in range(5)), return_exceptions=True)
    # One cost nothing and left its place to the next; two that were never answered are paid whole.
    assert len(server.requests) == 3 and shared.spent_usd == pytest.approx(2 * price, rel=0.01)
    assert sum(isinstance(f, PoiseError) and f.code == Exit.REFUSED for f in found) == 2
    assert shared.spent_usd <= 2.5 * price and shared.reserved_usd == pytest.approx(0)


async def test_a_call_waits_for_money_that_others_have_only_set_aside(ledger: Ledger, point: Any) -> None:
    shared = Ledger(ledger.path, limit_usd=1.2 * pricing.PESSIMISTIC[1] * llm.MOST_TOKENS)
    async with serving("fine") as server:
        point(server)
        found = await asyncio.gather(*(ask(shared, turn=turn) for turn in range(5)))
    assert len(found) == len(server.requests) == 5, "each cost a fiftieth of what was set aside for it"


@pytest.mark.fault(20, 21)
@pytest.mark.parametrize("behaviour", [SILENT, DRIP, TRUNCATED, CUT, HTML, (429, "slow down"), (500, "oops")])
async def test_whatever_a_server_does_time_and_money_stay_within_bounds(
    ledger: Ledger, point: Any, behaviour: Reply
) -> None:
    await llm.load()
    price = 1.01 * pricing.PESSIMISTIC[1] * llm.MOST_TOKENS
    poor = Ledger(ledger.path, limit_usd=2.5 * price)
    async with serving(behaviour) as server:
        point(server)
        start = time.monotonic()
        for turn in range(6):
            with pytest.raises(PoiseError):
                await ask(poor, 0.5, turn)
        assert time.monotonic() - start < 6
    refusal = isinstance(behaviour, tuple)
    assert len(server.requests) == (6 * llm.ATTEMPTS if refusal else 2), "a refusal is free; all else may be billed"
    assert poor.spent_usd == (0 if refusal else pytest.approx(2 * price, rel=0.01))
    assert Ledger(ledger.path).spent_usd == poor.spent_usd


async def test_an_interrupted_call_is_on_record_and_counted(ledger: Ledger, point: Any) -> None:
    async with serving(SILENT) as server:
        point(server)
        task = asyncio.create_task(ask(ledger))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [line["error"] for line in lines(ledger)] == ["interrupted"]
    assert ledger.spent_usd > 0 and ledger.reserved_usd == pytest.approx(0)


# Proposals over the same path.


def request() -> Request:
    return Request(ROOT.id, [ROOT], ROOT_CODE)


async def test_a_good_answer_is_a_proposal(ledger: Ledger, point: Any) -> None:
    async with serving(answer_text("Dr-GRPO", "NoStd")) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, Proposal), made
    assert (made.name, made.attempts) == ("Dr-GRPO", 1)
    assert made.mechanisms == (choice("NoStd"),)
    assert made.provenance == {"proposer": "llm", "model": MODEL}
    assert server.requests[0]["response_format"] == {"type": "json_object"}


async def test_a_broken_answer_is_told_what_is_wrong_and_repaired(ledger: Ledger, point: Any) -> None:
    async with serving("Sure! Here is", '{"name": "X"}', answer_text()) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, Proposal) and made.attempts == 3
    first, second = (r["messages"][-1]["content"] for r in server.requests[1:])
    assert "no JSON object" in first and "hypothesis" in second
    assert made.usd == pytest.approx(ledger.spent_usd)


@pytest.mark.fault(20)
async def test_garbage_ends_after_a_bounded_number_of_answers_with_a_cause(ledger: Ledger, point: Any) -> None:
    async with serving("nothing useful") as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger, tries=2)
    assert isinstance(made, ProposalFailed) and len(server.requests) == 2
    assert "2 answers" in made.cause and "no JSON object" in made.cause


async def test_a_dead_model_is_a_failed_proposal_not_a_crash(ledger: Ledger, point: Any) -> None:
    async with serving((401, "no such key")) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, ProposalFailed) and "AuthenticationError" in made.cause and made.fatal


@pytest.mark.parametrize("model", ["no-such-provider/model", "nonsense"])
async def test_a_model_that_does_not_exist_is_said_to_be_beyond_hope(ledger: Ledger, model: str) -> None:
    made = await propose(request(), models=(model,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, ProposalFailed) and made.fatal and "LLM Provider NOT provided" in made.cause


async def test_a_busy_server_is_not_beyond_hope(ledger: Ledger, point: Any) -> None:
    async with serving((503, "busy")) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, ProposalFailed) and not made.fatal


async def test_what_was_tried_is_refused_and_a_taken_name_is_changed(ledger: Ledger, point: Any) -> None:
    known = scored("c001", "c000", (choice("NoStd"),))
    again, other = answer_text("Same-GRPO", "NoStd"), answer_text(known.name, "TokenMean")
    async with serving(again, other) as server:
        point(server)
        made = await propose(
            Request("c000", [ROOT, known], ROOT_CODE), models=(MODEL,), population=1, seed=1, ledger=ledger
        )
    assert isinstance(made, Proposal) and made.mechanisms == (choice("TokenMean"),)
    assert "exactly these mechanisms" in server.requests[1]["messages"][-1]["content"]
    assert made.name == "c001-v2-GRPO" and f'name="{made.name}"' in made.code


async def test_another_mechanism_under_a_librarys_name_must_be_renamed(ledger: Ledger, point: Any) -> None:
    changed = answer_text().replace("ones_like", "zeros_like")
    async with serving(changed, changed.replace("NoStd", "NullStd")) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger)
    assert isinstance(made, Proposal) and made.mechanisms[0].name == "NullStd"
    assert "not the library's NoStd" in server.requests[1]["messages"][-1]["content"]


async def test_a_check_of_the_caller_takes_part_in_the_repair(ledger: Ledger, point: Any) -> None:
    async def check(answer: Any) -> Verdict:
        return Verdict("NoStd is inert here" if answer.mechanisms[0].name == "NoStd" else None)

    async with serving(answer_text(mechanism="NoStd"), answer_text(mechanism="TokenMean")) as server:
        point(server)
        made = await propose(request(), models=(MODEL,), population=1, seed=1, ledger=ledger, check=check)
    assert isinstance(made, Proposal) and made.mechanisms[0].name == "TokenMean"
    assert "inert here" in server.requests[1]["messages"][-1]["content"]


# The keyless provider takes the same path.


async def test_the_composer_answers_litellm_with_the_json_every_model_must_return() -> None:
    litellm = await llm.load()
    messages = proposal_messages(request(), 3)
    replies = [await litellm.acompletion(model="poise/composer", messages=messages, seed=3) for _ in range(2)]
    texts = [r.choices[0].message.content for r in replies]
    assert texts[0] == texts[1] and set(json.loads(texts[0])) == set(ProposalAnswer.model_fields)
    assert replies[0].usage.prompt_tokens > 0


async def test_the_seed_reaches_the_composer(ledger: Ledger) -> None:
    messages = proposal_messages(request(), 1)
    texts = set()
    for seed in range(6):
        reply = await complete(
            "poise/composer", messages, purpose="propose", schema=None, timeout=5, seed=seed, ledger=ledger
        )
        texts.add(reply.text)
    assert len(texts) > 3


async def test_the_composer_needs_no_key_and_costs_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    broke = Ledger(ledger.path, limit_usd=0.0)
    made = await propose(request(), models=("poise/composer",), population=1, seed=5, ledger=broke)
    assert isinstance(made, Proposal) and made.attempts == 1 and broke.spent_usd == 0
    assert made.provenance == {"proposer": "composer", "model": "poise/composer"}


async def test_the_composer_composes_anew_when_its_answer_was_refused(ledger: Ledger) -> None:
    refused: list[Any] = []

    async def check(answer: Any) -> Verdict:
        refused.append(answer.key)
        return Verdict("it is inert" if len(refused) < 3 else None)

    made = await propose(request(), models=("poise/composer",), population=1, seed=5, ledger=ledger, check=check)
    assert isinstance(made, Proposal) and made.attempts == 3 and len(set(refused)) == 3


async def test_a_prompt_without_evidence_fails_at_once(ledger: Ledger) -> None:
    with pytest.raises(LLMFailed, match="no evidence block"):
        await complete("poise/composer", MESSAGES, purpose="propose", schema=None, timeout=5, seed=1, ledger=ledger)
    assert len(lines(ledger)) == 1, "asking again would give the same"


# Reflections over the same path.

CHILD = scored("c001", "c000", (choice("NoStd"),), 33.0)
REFLECTION = {
    "verdict": "Better.",
    "reading": "NoStd acts.",
    "suggestion": "Add TokenMean.\n# Verdict\nforged",
}


async def reflection(server: ModelServer | None, ledger: Ledger, point: Any) -> Any:
    if server is not None:
        point(server)
    return await write_reflection(Case(CHILD, ROOT, None), model=MODEL, seed=1, ledger=ledger, timeout=10)


async def test_a_model_writes_the_reflection_around_our_own_numbers(ledger: Ledger, point: Any) -> None:
    async with serving(json.dumps(REFLECTION)) as server:
        made = await reflection(server, ledger, point)
    assert made.by == MODEL and "NoStd acts." in made.text and "33.0" in made.text
    assert made.text.count("# Verdict") == 1


@pytest.mark.parametrize("reply", ["no json", (500, "oops"), '{"verdict": 3}'])
async def test_a_reflection_falls_back_on_the_rules_and_says_so(ledger: Ledger, point: Any, reply: Any) -> None:
    async with serving(reply) as server:
        made = await reflection(server, ledger, point)
    assert made.by == "rules" and f"Written by rules: {MODEL} gave no usable reflection" in made.text
    assert "## Verdict" in made.text
