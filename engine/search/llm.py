"""The one place that calls a language model: bounded in time, attempts and money, every attempt on record.

litellm hides retries, never times out on a server that drips bytes, and raises on the cost of a model it does
not know; so the deadline, the retries and the price of the unknown are kept here.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError
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
    """What came back, and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int
    usd: float
    seconds: float


class Ledger:
    """Every call on record in llm.jsonl, and the money: what is spent, what running calls may yet cost.

    Args:
        path: the run's llm.jsonl.
        limit_usd: never to be exceeded; None is no limit.
        spent_usd: what the run has spent before.
        on_call: told of every attempt: the data of an `llm.call` event.
    """

    def __init__(
        self,
        path: Path,
        limit_usd: float | None = None,
        spent_usd: float = 0.0,
        on_call: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.path = path
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.reserved_usd = 0.0
        self._on_call = on_call

    def reserve(self, usd: float) -> None:
        """Set aside the most a call can cost.

        Raises:
            PoiseError: refused (4): the limit would be passed.
        """
        if self.limit_usd is not None and self.spent_usd + self.reserved_usd + usd > self.limit_usd:
            raise PoiseError(
                f"the language model's budget of ${self.limit_usd:.2f} allows no further call: "
                f"${self.spent_usd:.2f} is spent and one call may cost ${usd:.2f}; raise --usd",
                Exit.REFUSED,
            )
        self.reserved_usd += usd

    def settle(self, reserved: float, record: Mapping[str, Any]) -> None:
        """Turn a reservation into what was spent, and write the attempt down."""
        self.reserved_usd = max(self.reserved_usd - reserved, 0.0)
        self.spent_usd += record["usd"]
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(_redacted({"time": time.time(), **record}), ensure_ascii=False) + "\n")
        if self._on_call is not None:
            keys = ("purpose", "model", "tokens_in", "tokens_out", "usd", "seconds", "ok")
            self._on_call({key: record[key] for key in keys})


async def complete(
    model: str,
    messages: Sequence[Mapping[str, str]],
    *,
    purpose: str,
    schema: Mapping[str, Any] | None,
    timeout: float,
    seed: int,
    ledger: Ledger,
) -> LLMAnswer:
    """Ask a model once, however many attempts that takes.

    Args:
        model: as litellm names it; `poise/composer` needs no key and no network.
        messages: the conversation, `{"role", "content"}` each.
        purpose: propose, repair or reflect; for the record.
        schema: JSON schema of the answer, where the model takes one.
        timeout: seconds for everything, attempts and pauses together.
        seed: passed on to models that take one.
        ledger: pays and records every attempt.

    Raises:
        LLMFailed: no answer within the attempts or the time.
        PoiseError: refused (4), the budget does not allow the call.
    """
    litellm = await load()
    options = await asyncio.to_thread(_options, litellm, model, schema)
    price_in, price_out = _price(litellm, model)
    worst = price_in * sum(len(m["content"]) for m in messages) / CHARACTERS_A_TOKEN
    worst += price_out * options["max_tokens"]
    deadline = time.monotonic() + timeout
    for attempt in range(1, ATTEMPTS + 1):
        ledger.reserve(worst)
        start = time.monotonic()
        record: dict[str, Any] = {
            "purpose": purpose,
            "model": model,
            "attempt": attempt,
            "seed": seed,
            "ok": False,
            "messages": list(messages),
            "answer": None,
            "error": "interrupted",
            "tokens_in": 0,
            "tokens_out": 0,
            # Until an outcome is known the provider may bill all of it.
            "usd": worst,
        }
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
            record.update(error=one_line(redact(told)), usd=worst if status is None else 0.0)
            fatal = status in FATAL or "LLM Provider NOT provided" in str(e)
            again = status in TRANSIENT and attempt < ATTEMPTS and time.monotonic() + pause < deadline
        finally:
            record["seconds"] = round(time.monotonic() - start, 3)
            ledger.settle(worst, record)
        if record["ok"]:
            return LLMAnswer(*(record[k] for k in ("answer", "tokens_in", "tokens_out", "usd", "seconds")))
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


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_redacted(v) for v in value]
    return redact(value) if isinstance(value, str) else value


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
    return {**found, "usd": usd, "answer": text, "error": None, "ok": True}
