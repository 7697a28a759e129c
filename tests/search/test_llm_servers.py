"""Servers with ways of their own: pauses asked for, formats refused, pages for answers, caches, chains of models."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.search import llm
from engine.search.ledger import Ledger
from engine.search.llm import LLMAnswer, LLMFailed, complete
from tests.search.model_server import DRIP, HTML, HUGE, HUGE_CHARACTERS, SILENT, Refusal, serving

CANARY = "sk-canary-81d0c2e7a9b3d4f6"
MESSAGES = [{"role": "system", "content": "You discover algorithms. " * 200}, {"role": "user", "content": "what next?"}]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CLAUDE = "anthropic/claude-sonnet-4-5"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{provider}_API_KEY", CANARY)
    monkeypatch.setattr(llm, "BACKOFF", 0.01)
    monkeypatch.setattr(llm, "_plainer", {})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "llm.jsonl")


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Any:
    def to(server: Any) -> None:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        monkeypatch.setenv("ANTHROPIC_API_BASE", server.url.removesuffix("/v1"))

    return to


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


async def ask(ledger: Ledger, model: str = "openai/a", timeout: float = 20.0, schema: Any = None) -> LLMAnswer:
    await llm.load()
    return await complete(
        model, MESSAGES, purpose="propose", schema=schema, timeout=timeout, seed=1, ledger=ledger, turn=1
    )


async def test_a_pause_that_the_server_asks_for_is_kept(ledger: Ledger, point: Any) -> None:
    async with serving(Refusal(429, "slow down", {"Retry-After": "1"}), "fine") as server:
        point(server)
        start = time.monotonic()
        assert (await ask(ledger)).text == "fine"
    assert time.monotonic() - start >= 1.0 and len(server.requests) == 2


async def test_a_pause_longer_than_the_time_left_is_not_waited_for(ledger: Ledger, point: Any) -> None:
    async with serving(Refusal(429, "come back tomorrow", {"Retry-After": "86400"})) as server:
        point(server)
        start = time.monotonic()
        with pytest.raises(LLMFailed, match="come back tomorrow"):
            await ask(ledger)
    assert time.monotonic() - start < 10 and len(server.requests) == 1


async def test_a_server_that_refuses_response_format_is_asked_without_it_now_and_later(
    ledger: Ledger, point: Any
) -> None:
    def refuses(request: dict[str, Any]) -> str | None:
        return "Unsupported parameter: 'response_format'" if "response_format" in request else None

    async with serving("fine", "fine too", refuses=refuses) as server:
        point(server)
        assert (await ask(ledger, schema=SCHEMA)).text == "fine"
        other = await complete(
            "openai/a", MESSAGES, purpose="repair", schema=SCHEMA, timeout=9, seed=1, ledger=ledger, turn=2
        )
    assert other.text == "fine too"
    assert ["response_format" in r for r in server.requests] == [True, False, False]
    assert [line["usd"] > 0 for line in lines(ledger)] == [False, True, True]


async def test_a_model_that_takes_no_schema_is_asked_for_json_then_for_text(ledger: Ledger, point: Any) -> None:
    def refuses(request: dict[str, Any]) -> str | None:
        return "response_format is not supported" if "response_format" in request else None

    async with serving("fine", refuses=refuses) as server:
        point(server)
        assert (await ask(ledger, "openai/gpt-4o", schema=SCHEMA)).text == "fine"
    asked = [r.get("response_format", {}).get("type") for r in server.requests]
    assert asked == ["json_schema", "json_object", None]


async def test_another_bad_request_is_not_taken_for_a_refused_format(ledger: Ledger, point: Any) -> None:
    async with serving((400, "the prompt is too long")) as server:
        point(server)
        with pytest.raises(LLMFailed, match="too long"):
            await ask(ledger, schema=SCHEMA)
    assert len(server.requests) == 1


async def test_a_page_instead_of_an_answer_is_a_failure_in_one_line(ledger: Ledger, point: Any) -> None:
    async with serving(HTML) as server:
        point(server)
        with pytest.raises(LLMFailed) as caught:
            await ask(ledger, timeout=3)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert not any(line["ok"] for line in lines(ledger))


async def test_a_huge_answer_is_refused_and_does_not_fill_the_disk(ledger: Ledger, point: Any) -> None:
    async with serving(HUGE) as server:
        point(server)
        with pytest.raises(LLMFailed, match=f"{HUGE_CHARACTERS} characters"):
            await ask(ledger)
    assert ledger.path.stat().st_size < 20_000 and ledger.spent_usd > 0


# Chains: a|b asks b where a gives no answer.


@pytest.mark.parametrize("first", [(500, "oops"), (401, "no such key"), (400, "bad"), HTML, SILENT, DRIP])
async def test_where_one_model_gives_no_answer_the_next_is_asked_within_the_same_time(
    ledger: Ledger, point: Any, first: Any
) -> None:
    await llm.load()
    async with serving(by_model={"a": [first], "b": ["by b"]}) as server:
        point(server)
        start = time.monotonic()
        answer = await ask(ledger, "openai/a|openai/b", timeout=4.0)
    assert time.monotonic() - start < 8
    assert (answer.text, answer.model) == ("by b", "openai/b")
    assert [line["model"] for line in lines(ledger) if line["ok"]] == ["openai/b"]
    assert len([line for line in lines(ledger) if line["model"] == "openai/a"]) == len(
        [r for r in server.requests if r["model"] == "a"]
    ), "each attempt is on record, and no other place retries"
    assert answer == await ask(ledger, "openai/a|openai/b"), "what the second answered is not asked again"


async def test_a_chain_that_ends_says_what_each_model_said_and_is_fatal_only_if_all_are(
    ledger: Ledger, point: Any
) -> None:
    async with serving(by_model={"a": [(401, "bad key")], "b": [(503, "busy")]}) as server:
        point(server)
        with pytest.raises(LLMFailed) as caught:
            await ask(ledger, "openai/a|openai/b")
        with pytest.raises(LLMFailed) as alone:
            await ask(ledger, "openai/a")
    assert "openai/a was asked once" in str(caught.value) and "openai/b was asked 3 times" in str(caught.value)
    assert not caught.value.fatal and alone.value.fatal


async def test_the_first_of_a_chain_answers_alone_while_it_can(ledger: Ledger, point: Any) -> None:
    async with serving("by a") as server:
        point(server)
        assert (await ask(ledger, "openai/a|openai/b|openai/c")).model == "openai/a"
    assert len(server.requests) == 1


async def test_a_spent_budget_ends_a_chain_as_it_ends_a_single_model(ledger: Ledger, point: Any) -> None:
    poor = Ledger(ledger.path, limit_usd=0.01)
    async with serving("never") as server:
        point(server)
        with pytest.raises(PoiseError) as caught:
            await ask(poor, "openai/a|openai/b")
    assert caught.value.code is Exit.REFUSED and server.requests == []


# Prompt caching and prices.


async def test_ollama_needs_no_key_and_costs_nothing(
    ledger: Ledger, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    broke = Ledger(ledger.path, limit_usd=0.0)
    async with serving('{"name": "x"}') as server:
        monkeypatch.setenv("OLLAMA_API_BASE", server.url)
        answer = await ask(broke, "ollama/qwen3:8b", schema=SCHEMA)
    assert (answer.text, answer.usd, answer.tokens_in) == ('{"name": "x"}', 0.0, 1000)
    assert server.requests[0]["options"]["seed"] == 1 and "what next?" in json.dumps(server.requests[0])


async def test_the_stable_part_is_marked_for_the_cache_and_cached_tokens_cost_less(ledger: Ledger, point: Any) -> None:
    async with serving("fine", usage={"cache_read_input_tokens": 9000, "cache_creation_input_tokens": 0}) as server:
        point(server)
        answer = await ask(ledger, CLAUDE)
    (request,) = server.requests
    assert request["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in json.dumps(request["messages"]), "what changes is not cached"
    assert answer.tokens_cached == 9000 == lines(ledger)[0]["tokens_cached"] and answer.tokens_in == 10_000
    price_in, price_cached, price_out = 3e-6, 0.3e-6, 15e-6
    assert answer.usd == pytest.approx(1000 * price_in + 9000 * price_cached + 100 * price_out)
    assert lines(ledger)[0]["messages"] == MESSAGES, "the record has the words, not the marks"


async def test_writing_into_the_cache_costs_no_more_than_was_set_aside(ledger: Ledger, point: Any) -> None:
    set_aside: list[float] = []
    reserve = ledger.reserve

    async def watched(key: str, record: Any) -> None:
        set_aside.append(record["usd"])
        await reserve(key, record)

    ledger.reserve = watched  # type: ignore[method-assign]
    sent = sum(len(m["content"]) for m in MESSAGES) // 3
    usage = {"input_tokens": 0, "cache_creation_input_tokens": sent, "output_tokens": llm.MOST_TOKENS}
    async with serving("fine", usage=usage) as server:
        point(server)
        answer = await ask(ledger, CLAUDE)
    assert server.requests[0]["max_tokens"] == llm.MOST_TOKENS
    assert 0.99 * set_aside[0] < answer.usd <= set_aside[0]


async def test_a_server_without_a_cache_gets_plain_messages(ledger: Ledger, point: Any) -> None:
    async with serving("fine") as server:
        point(server)
        await ask(ledger)
    assert server.requests[0]["messages"] == MESSAGES


async def test_the_prompts_version_is_on_record(ledger: Ledger, point: Any) -> None:
    async with serving("fine") as server:
        point(server)
        await ask(ledger)
    assert lines(ledger)[0]["version"] >= 1 and lines(ledger)[0]["arm"] == "openai/a"


async def test_no_key_is_left_by_a_chain(ledger: Ledger, point: Any) -> None:
    echo = (401, f"wrong key {CANARY} Authorization: Bearer {CANARY}")
    async with serving(by_model={"a": [echo], "b": [f"you sent {CANARY}"]}) as server:
        point(server)
        await ask(ledger, "openai/a|openai/b")
    assert server.keys == [f"Bearer {CANARY}"] * 2, "it did reach the server"
    left = [p for p in ledger.path.parent.rglob("*") if p.is_file() and CANARY in p.read_text()]
    assert not left and "[secret]" in ledger.path.read_text()
