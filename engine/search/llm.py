"""The one place that calls a language model: bounded in time, attempts and money, every attempt on record.

litellm hides retries, never times out on a server that drips bytes, and raises on the cost of a model it does
not know; so the deadline, the retries and the price of the unknown are kept here.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import PoiseError
from engine.search.faults import fault_of
from engine.search.ledger import Identity
from engine.search.ledger import Ledger as Ledger
from engine.search.models import chain_of
from engine.search.pricing import Price, list_local, paid, price_of, with_cache_marks
from engine.search.prompts import prompt
from engine.search.text import redact

if TYPE_CHECKING:
    from engine.search.record import Recording

ATTEMPTS = 3
BACKOFF = 0.5
"""Seconds before the second attempt; doubled for each further one, longer where the server asks for it."""
MOST_TOKENS = 16_000
"""Of one answer, thoughts included."""
MOST_CHARACTERS = 12 * MOST_TOKENS
"""Of one answer; a server that sends more does not keep to the tokens it was allowed."""
_plainer: dict[str, int] = {}
"""Steps from a schema towards free text that a model's refusals have led to, for the life of this process."""


class LLMFailed(PoiseError):
    """No answer came: one redacted line says why.

    Args:
        message: the line.
        fatal: the next call will fare no better: no such model, no valid key.
    """

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


@dataclass(frozen=True)
class LLMAnswer:
    """What came back, and what it cost when it came."""

    text: str
    tokens_in: int
    tokens_out: int
    usd: float
    seconds: float
    model: str
    """Who answered, of a chain."""
    tokens_cached: int = 0
    """Of `tokens_in`: what the provider had in its cache."""


async def complete(
    model: str,
    messages: Sequence[Mapping[str, str]],
    *,
    purpose: str,
    schema: Mapping[str, Any] | None,
    timeout: float,
    seed: int,
    ledger: Ledger,
    turn: int = 1,
) -> LLMAnswer:
    """Ask a model once, however many attempts that takes; what it has answered before is not asked again.

    Args:
        model: as litellm names it, or a chain `a|b` in which b is asked where a gives no answer; `poise/composer`
            needs no key and no network.
        messages: the conversation, `{"role", "content"}` each; a first system message is what providers may cache.
        purpose: propose, repair, screen, consistency or reflect; the version of the prompt of that name is recorded.
        schema: JSON schema of the answer, where the model takes one.
        timeout: seconds for everything, attempts and pauses together; the models of a chain share it.
        seed: of the decision; passed on to models that take one.
        ledger: pays and records every attempt; its recording answers in place of the models.
        turn: which answer of the decision this is.

    Raises:
        LLMFailed: no answer within the attempts or the time.
        NotRecorded: a recording answers, and this question is not in it.
        PoiseError: refused (4), the budget does not allow the call.
    """
    chain = chain_of(model)
    identities = {name: Identity.of(purpose, name, seed, turn, messages) for name in chain}
    for identity in identities.values():
        if (known := ledger.recorded(identity)) is not None:
            return _answer(known)
    litellm = await load()
    call = _Call(litellm, model, identities, messages, schema, ledger, time.monotonic() + timeout)
    if len(chain) == 1:
        return await call.step(model)
    fallbacks = await asyncio.to_thread(importlib.import_module, "engine.search.fallbacks")
    with suppress(Exception):  # the steps have kept what is to be known of it
        await fallbacks.ask(chain, call.tell)
    if call.refusal is not None:
        raise call.refusal
    if call.answer is None:
        raise LLMFailed("; ".join(map(str, call.failures)), all(f.fatal for f in call.failures))
    return call.answer


@dataclass
class _Call:
    """One question on its way through the models of a chain."""

    litellm: Any
    arm: str
    identities: Mapping[str, Identity]
    messages: Sequence[Mapping[str, str]]
    schema: Mapping[str, Any] | None
    ledger: Ledger
    deadline: float
    failures: list[LLMFailed] = field(default_factory=list)
    """Of the chain's models so far."""
    refusal: PoiseError | None = None
    """Why no further one may be asked."""
    answer: LLMAnswer | None = None

    async def tell(self, model: str) -> str:
        """A step for the Router, which changes every error on its way: what happened is kept here."""
        if self.refusal is not None:
            raise self.refusal
        try:
            self.answer = await self.step(model)
        except LLMFailed as e:
            self.failures.append(e)
            raise
        except PoiseError as e:
            self.refusal = e
            raise
        return self.answer.text

    async def step(self, model: str) -> LLMAnswer:
        """Ask one model, in as many attempts as it takes, within its share of the time."""
        litellm = self.litellm
        list_local(litellm, model)
        most, price = await asyncio.to_thread(lambda: (_most_tokens(litellm, model), price_of(litellm, model)))
        worst = price.most(self.messages, most)
        if self.ledger.recording is not None:
            return await self._replayed(self.ledger.recording, model, worst)
        share = (self.deadline - time.monotonic()) / (len(self.identities) - len(self.failures))
        deadline = time.monotonic() + share
        for attempt in range(1, ATTEMPTS + 1):
            record = self._record(model, attempt, worst)
            key = self._key(model)
            await self.ledger.reserve(key, record)
            start, pause, again = time.monotonic(), BACKOFF * 2 ** (attempt - 1), False
            try:
                left = max(deadline - start, 0.001)
                response = await asyncio.wait_for(self._ask(model, most, left), left)
                record.update(_outcome(litellm, model, response, price))
            except Exception as e:
                fault = fault_of(e, share, isinstance(e, litellm.Timeout))
                record.update(error=fault.line, fatal=fault.fatal, usd=0.0 if fault.free else worst)
                pause, again = max(pause, fault.pause), fault.again
                if self.schema is not None and fault.unformatted:
                    # Not a fault of the question: it is asked in plainer form.
                    _plainer[model] = _plainer.get(model, 0) + 1
                    pause, again = 0.0, True
            finally:
                record["seconds"] = round(time.monotonic() - start, 3)
                self.ledger.settle(key, record)
            if record["ok"]:
                return _answer(record)
            if not again or attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                raise _no_answer(model, record)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _replayed(self, recording: Recording, model: str, worst: float) -> LLMAnswer:
        """What a recorded run was answered, its failed attempts and costs included."""
        then = recording.attempts(self.identities[model])
        for attempt, outcome in enumerate(then, start=1):
            record = self._record(model, attempt, worst)
            key = self._key(model)
            await self.ledger.reserve(key, record)
            record.update(outcome)
            self.ledger.settle(key, record)
            if record["ok"]:
                return _answer(record)
        record = then[-1] | {"attempt": len(then)} if then else self._record(model, 1, worst)
        if then:
            raise _no_answer(model, record)
        key = self._key(model)
        await self.ledger.reserve(key, record)  # refused as the recorded run was, if that is why there is no answer
        self.ledger.settle(key, record | {"usd": 0.0, "error": "not in the recording"})
        raise recording.missing(self.identities[model], self.messages)

    def _key(self, model: str) -> str:
        return f"{self.identities[model].prompt[:12]}-{time.time_ns()}"

    def _record(self, model: str, attempt: int, worst: float) -> dict[str, Any]:
        """An attempt as it stands if nothing more is ever known of it: the provider may bill all of it."""
        identity = self.identities[model]
        return {
            **asdict(identity),
            "arm": self.arm,
            "version": _version(identity.purpose),
            "attempt": attempt,
            "ok": False,
            "messages": list(self.messages),
            "answer": None,
            "error": "interrupted",
            "fatal": False,
            "tokens_in": 0,
            "tokens_cached": 0,
            "tokens_out": 0,
            "usd": worst,
            "seconds": 0.0,
        }

    async def _ask(self, model: str, most: int, left: float) -> Any:
        return await self.litellm.acompletion(
            model=model,
            messages=with_cache_marks(self.litellm, model, self.messages),
            seed=self.identities[model].seed,
            timeout=left,
            num_retries=0,
            max_retries=0,
            max_tokens=most,
            **_format(self.litellm, model, self.schema),
        )


async def load() -> Any:
    """litellm, imported on first use in a thread (it takes seconds), quiet, with its built-in price list."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    provider = await asyncio.to_thread(importlib.import_module, "engine.search.composer_provider")
    litellm: Any = importlib.import_module("litellm")
    if not litellm.suppress_debug_info:
        litellm.suppress_debug_info = True
        litellm.drop_params = True
        litellm.telemetry = False
        # Its log lines may quote requests, keys included.
        for name in ("LiteLLM", "LiteLLM Router"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        provider.register()
    return litellm


def _most_tokens(litellm: Any, model: str) -> int:
    with suppress(Exception):  # litellm raises a bare one for a model it does not know
        return min(MOST_TOKENS, litellm.get_model_info(model)["max_output_tokens"] or MOST_TOKENS)
    return MOST_TOKENS


def _format(litellm: Any, model: str, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the shape of an answer is asked for: by schema, as any JSON or not at all, as the model allows."""
    if schema is None:
        return {}
    strict = {"name": "answer", "schema": dict(schema), "strict": True}
    ways = [{"type": "json_schema", "json_schema": strict}, {"type": "json_object"}]
    ways = ways[0 if litellm.supports_response_schema(model) else 1 :][_plainer.get(model, 0) :]
    return {"response_format": ways[0]} if ways else {}


def _version(purpose: str) -> int | None:
    """Of the prompt that is named like the purpose."""
    with suppress(FileNotFoundError):
        return prompt(purpose).version
    return None


def _answer(record: Mapping[str, Any]) -> LLMAnswer:
    figures = {key: record[key] for key in ("tokens_in", "tokens_out", "usd", "seconds", "model")}
    return LLMAnswer(record["answer"], **figures, tokens_cached=record.get("tokens_cached", 0))


def _no_answer(model: str, record: Mapping[str, Any]) -> LLMFailed:
    tries = "once" if record["attempt"] == 1 else f"{record['attempt']} times"
    return LLMFailed(f"{model} was asked {tries} and gave no answer: {record['error']}", bool(record.get("fatal")))


def _outcome(litellm: Any, model: str, response: Any, price: Price) -> dict[str, Any]:
    text = response.choices[0].message.content
    found = paid(litellm, model, response, price)
    if not text:
        return {**found, "error": "the answer is empty"}
    if len(text) > MOST_CHARACTERS:
        return {**found, "error": f"the answer has {len(text)} characters, more than {MOST_CHARACTERS} are not read"}
    # A server may echo what it was sent: nothing of an answer goes on before its secrets are out.
    return {**found, "answer": redact(text), "error": None, "ok": True}
