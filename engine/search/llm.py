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
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import PoiseError
from engine.search.ledger import Identity
from engine.search.ledger import Ledger as Ledger
from engine.search.text import one_line, redact

ATTEMPTS = 3
BACKOFF = 0.5
"""Seconds before the second attempt; doubled for each further one."""
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses that a second attempt may not meet."""
FATAL = frozenset({401, 403, 404})
"""HTTP statuses that no later call will escape either."""
MOST_TOKENS = 16_000
"""Of one answer, thoughts included."""
PESSIMISTIC = (20e-6, 100e-6)
"""Dollars a token, in and out, of a model whose price is unknown: above every common list price."""
CHARACTERS_A_TOKEN = 3
"""For reservations: fewer than any common tokenizer has, so that a prompt is never dearer than reserved."""


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
        model: as litellm names it; `poise/composer` needs no key and no network.
        messages: the conversation, `{"role", "content"}` each.
        purpose: propose, repair or reflect; for the record.
        schema: JSON schema of the answer, where the model takes one.
        timeout: seconds for everything, attempts and pauses together.
        seed: of the decision; passed on to models that take one.
        ledger: pays and records every attempt.
        turn: which answer of the decision this is.

    Raises:
        LLMFailed: no answer within the attempts or the time.
        PoiseError: refused (4), the budget does not allow the call.
    """
    identity = Identity.of(purpose, model, seed, turn, messages)
    if (known := ledger.recorded(identity)) is not None:
        return _answer(known)
    litellm = await load()
    options = await asyncio.to_thread(_options, litellm, model, schema)
    price_in, price_out = _price(litellm, model)
    worst = price_in * sum(len(m["content"]) for m in messages) / CHARACTERS_A_TOKEN
    worst += price_out * options["max_tokens"]
    deadline = time.monotonic() + timeout
    for attempt in range(1, ATTEMPTS + 1):
        record: dict[str, Any] = {
            **asdict(identity),
            "attempt": attempt,
            "ok": False,
            "messages": list(messages),
            "answer": None,
            "error": "interrupted",
            "tokens_in": 0,
            "tokens_out": 0,
            # Until an outcome is known the provider may bill all of it.
            "usd": worst,
            "seconds": 0.0,
        }
        key = f"{identity.prompt[:12]}-{time.time_ns()}"
        await ledger.reserve(key, record)
        start = time.monotonic()
        again, fatal, pause = False, False, BACKOFF * 2 ** (attempt - 1)
        try:
            left = max(deadline - start, 0.001)
            call = litellm.acompletion(
                model=model,
                messages=list(messages),
                seed=seed,
                timeout=left,
                num_retries=0,
                max_retries=0,
                **options,
            )
            response = await asyncio.wait_for(call, left)
            record.update(_outcome(litellm, model, response, (price_in, price_out)))
        except Exception as e:
            timed_out = isinstance(e, (TimeoutError, litellm.Timeout))
            status = None if timed_out else getattr(e, "status_code", None)
            told = f"no answer within {timeout:g} s" if timed_out else f"{type(e).__name__}: {e}"
            record.update(error=one_line(redact(told)), usd=0.0 if _surely_free(e, status) else worst)
            fatal = status in FATAL or "LLM Provider NOT provided" in str(e)
            again = status in TRANSIENT and attempt < ATTEMPTS and time.monotonic() + pause < deadline
        finally:
            record["seconds"] = round(time.monotonic() - start, 3)
            ledger.settle(key, record)
        if record["ok"]:
            return _answer(record)
        if not again:
            tries = "once" if attempt == 1 else f"{attempt} times"
            raise LLMFailed(f"{model} was asked {tries} and gave no answer: {record['error']}", fatal)
        await asyncio.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


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
        logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
        provider.register()
    return litellm


def _options(litellm: Any, model: str, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    options: dict[str, Any] = {"max_tokens": MOST_TOKENS}
    with suppress(Exception):  # litellm raises a bare one for a model it does not know
        most = litellm.get_model_info(model)["max_output_tokens"]
        options["max_tokens"] = min(MOST_TOKENS, most or MOST_TOKENS)
    if schema is not None and litellm.supports_response_schema(model):
        strict = {"name": "answer", "schema": dict(schema), "strict": True}
        options["response_format"] = {"type": "json_schema", "json_schema": strict}
    elif schema is not None:
        options["response_format"] = {"type": "json_object"}
    return options


def _price(litellm: Any, model: str) -> tuple[float, float]:
    """Dollars a token, in and out."""
    if model.startswith("poise/"):
        return 0.0, 0.0
    try:
        million = 1_000_000
        cost_in, cost_out = litellm.cost_per_token(model=model, prompt_tokens=million, completion_tokens=million)
    except Exception:  # litellm raises a bare Exception for a model it does not know
        return PESSIMISTIC
    return cost_in / million, cost_out / million


def _answer(record: Mapping[str, Any]) -> LLMAnswer:
    return LLMAnswer(*(record[k] for k in ("answer", "tokens_in", "tokens_out", "usd", "seconds")))


def _surely_free(error: BaseException, status: int | None) -> bool:
    """Whether nobody can bill a failed attempt: it was refused, or never reached a server.

    litellm calls everything else a 500, an answer that broke off in the middle included; what happened is only in
    the chain of causes.
    """
    if status is None or status < 500:
        return status is not None
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in ("HTTPStatusError", "ConnectError", "ConnectTimeout", "ClientConnectorError"):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _outcome(litellm: Any, model: str, response: Any, price: tuple[float, float]) -> dict[str, Any]:
    text = response.choices[0].message.content
    sent, back = response.usage.prompt_tokens, response.usage.completion_tokens
    found = {"tokens_in": int(sent or 0), "tokens_out": int(back or 0)}
    usd = price[0] * found["tokens_in"] + price[1] * found["tokens_out"]
    if not model.startswith("poise/"):
        with suppress(Exception):  # an unknown model: the pessimistic price stands
            usd = float(litellm.completion_cost(completion_response=response, model=model))
    if not text:
        return {**found, "usd": usd, "error": "the answer is empty"}
    # A server may echo what it was sent: nothing of an answer goes on before its secrets are out.
    return {**found, "usd": usd, "answer": redact(text), "error": None, "ok": True}
