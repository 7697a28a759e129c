"""A recorded llm.jsonl answers in place of its models: exactly, without a network, or it says what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.search import llm
from engine.search.analyst import Case, write_reflection
from engine.search.context import Request
from engine.search.ledger import Ledger
from engine.search.llm import LLMFailed, complete
from engine.search.models import Models, parse_models
from engine.search.proposer import Proposal, propose
from engine.search.record import NotRecorded, Recording, opened
from tests.search.model_server import CUT, Reply, serving
from tests.search.samples import ROOT, ROOT_CODE, answer_text

CANARY = "sk-canary-77aa1c2e9b3d4f60"
REQUEST = Request(ROOT.id, [ROOT], ROOT_CODE)
POPULATION: tuple[Reply, ...] = (
    answer_text("Dr-GRPO", "NoStd"),
    (500, "oops"),
    CUT,
    "no JSON at all",
    answer_text("Mean-GRPO", "TokenMean"),
    answer_text("Third-GRPO", "NoStd"),
)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setattr(llm, "BACKOFF", 0.01)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The key is gone, and the address leads nowhere."""

    def cut() -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")

    return cut


async def decide(ledger: Ledger, model: str, seed: int = 1, request: Request = REQUEST) -> Any:
    made = await propose(request, models=(model,), seed=seed, ledger=ledger, population=4, node="c001")
    case = Case(ROOT, None, None)
    return made, await write_reflection(case, model=model, seed=seed, ledger=ledger)


def told(ledger: Ledger) -> list[dict[str, Any]]:
    """The records without what differs between two runs: keys, clocks, and the mark of a replay."""
    own = ("id", "time", "replayed", "seconds")
    found = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    rows = [{k: v for k, v in record.items() if k not in own} for record in found]
    return sorted(rows, key=lambda r: (r["purpose"], r["turn"], r["attempt"]))


async def test_a_replay_gives_the_same_proposal_reflection_failures_and_costs_without_network_or_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: Any
) -> None:
    first = Ledger(tmp_path / "llm.jsonl")
    async with serving(*POPULATION) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        made, reflection = await decide(first, "openai/test")
    assert isinstance(made, Proposal) and len(server.requests) >= 6
    no_network()
    again = Ledger(tmp_path / "again.jsonl", recording=Recording(first.path))
    assert await decide(again, "openai/test") == (made, reflection)
    assert told(again) == told(first) and again.spent_usd == pytest.approx(first.spent_usd)
    third = Ledger(tmp_path / "third.jsonl", recording=Recording(again.path))
    assert await decide(third, "openai/test") == (made, reflection), "a replay can be replayed"
    assert CANARY not in first.path.read_text() + again.path.read_text()


async def test_a_chain_is_replayed_with_the_model_that_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: Any
) -> None:
    async def ask(ledger: Ledger) -> llm.LLMAnswer:
        messages = [{"role": "user", "content": "what next?"}]
        return await complete(
            "openai/a|openai/b", messages, purpose="propose", schema=None, timeout=20, seed=1, ledger=ledger
        )

    first = Ledger(tmp_path / "llm.jsonl")
    async with serving(by_model={"a": [(503, "busy")], "b": ["by b"]}) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        answer = await ask(first)
    no_network()
    recording = Recording(first.path)
    assert await ask(Ledger(tmp_path / "again.jsonl", recording=recording)) == answer
    assert answer.model == "openai/b" and recording.arms == ("openai/a|openai/b",)


async def test_a_failed_call_fails_again_with_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: Any
) -> None:
    async def failure(ledger: Ledger) -> LLMFailed:
        with pytest.raises(LLMFailed) as caught:
            await complete("openai/test", [], purpose="x", schema=None, timeout=9, seed=1, ledger=ledger)
        return caught.value

    first = Ledger(tmp_path / "llm.jsonl")
    async with serving((401, "no such key")) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        then = await failure(first)
    no_network()
    now = await failure(Ledger(tmp_path / "again.jsonl", recording=Recording(first.path)))
    assert str(now) == str(then) and now.fatal and then.fatal


@pytest.fixture
async def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One decision, seed 1, answered at once."""
    ledger = Ledger(tmp_path / "run" / "llm.jsonl")
    ledger.path.parent.mkdir()
    async with serving(answer_text("Dr-GRPO", "NoStd")) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        await propose(REQUEST, models=("openai/test",), seed=1, ledger=ledger, population=1)
    return ledger.path


async def replay(recorded: Path, request: Request = REQUEST, seed: int = 1, limit: float | None = None) -> Any:
    ledger = Ledger(recorded.with_name(f"again-{seed}.jsonl"), limit_usd=limit, recording=Recording(recorded))
    return await propose(request, models=("openai/test",), seed=seed, ledger=ledger, population=1)


async def test_a_call_that_was_not_recorded_is_named(recorded: Path) -> None:
    with pytest.raises(NotRecorded) as caught:
        await replay(recorded, seed=2)
    line = str(caught.value)
    assert "propose call 1 of decision seed 2 to openai/test" in line and "another --seed" in line
    assert "\n" not in line and str(recorded) in line


async def test_a_prompt_that_differs_is_shown_where_it_differs(recorded: Path) -> None:
    with pytest.raises(NotRecorded, match="another prompt") as caught:
        await replay(recorded, replace(REQUEST, directive="shorter answers"))
    assert "Directive of the researcher" in str(caught.value) and len(str(caught.value)) < 700


async def test_a_budget_that_does_not_allow_a_call_refuses_its_replay_too(recorded: Path) -> None:
    with pytest.raises(PoiseError) as caught:
        await replay(recorded, limit=0.001)
    assert caught.value.code is Exit.REFUSED


async def test_a_damaged_line_is_passed_over_and_counted_where_its_answer_is_missing(recorded: Path) -> None:
    whole = recorded.read_bytes()
    recorded.write_bytes(whole + b"garbage\n" + whole[:50])
    assert isinstance(await replay(recorded), Proposal)
    assert recorded.read_bytes() == whole + b"garbage\n" + whole[:50], "a recording is never written to"
    with pytest.raises(NotRecorded, match="2 lines of the file cannot be read"):
        await replay(recorded, seed=2)


def test_a_recording_without_any_call_is_refused(tmp_path: Path) -> None:
    (tmp_path / "llm.jsonl").write_bytes(b"")
    with pytest.raises(PoiseError, match="holds no recorded call"):
        opened(parse_models(f"record:{tmp_path}"))


async def test_the_models_of_a_replay_are_those_of_the_recorded_run(recorded: Path) -> None:
    models, recording = opened(parse_models(f"record:{recorded.parent}"))
    assert models == Models(("openai/test",), recorded) and recording is not None
    recorded.with_name("run.toml").write_text('llm = "openai/test|ollama/x,poise/composer"\n')
    assert opened(parse_models(f"record:{recorded}"))[0].arms == ("openai/test|ollama/x", "poise/composer")
    assert opened(parse_models("openai/test")) == (Models(("openai/test",)), None)
