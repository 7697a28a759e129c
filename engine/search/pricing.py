"""What a call may cost before it is made, and what it did cost after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

PESSIMISTIC = (20e-6, 100e-6)
"""Dollars a token, in and out, of a model whose price is unknown: above every common list price."""
CHARACTERS_A_TOKEN = 3
"""For reservations: fewer than any common tokenizer has, so that a prompt is never dearer than reserved."""


@dataclass(frozen=True)
class Price:
    """Dollars a token."""

    sent: float
    """Also where the provider asks more for tokens that it puts into its cache."""
    back: float
    known: bool = True

    def most(self, messages: Sequence[Mapping[str, str]], tokens: int) -> float:
        """What a call can cost that sends these and may get so many tokens back."""
        return self.sent * sum(len(m["content"]) for m in messages) / CHARACTERS_A_TOKEN + self.back * tokens


def list_local(litellm: Any, model: str) -> None:
    """Put a model of Ollama's on litellm's list, free: for one that is not there litellm asks the server, at every
    look-up, on the event loop and for as long as that takes.
    """
    provider = model.partition("/")[0]
    if provider in ("ollama", "ollama_chat"):
        free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        litellm.model_cost.setdefault(model, {**free, "litellm_provider": provider, "mode": "chat"})


def price_of(litellm: Any, model: str) -> Price:
    """By litellm's list; free for the composer, pessimistic for what nobody knows."""
    if model.startswith("poise/"):
        return Price(0.0, 0.0)
    try:
        million = 1_000_000
        sent, back = litellm.cost_per_token(model=model, prompt_tokens=million, completion_tokens=million)
    except Exception:  # litellm raises a bare Exception for a model it does not know
        return Price(*PESSIMISTIC, known=False)
    written = 0.0
    with suppress(Exception):
        written = litellm.get_model_info(model).get("cache_creation_input_token_cost") or 0.0
    return Price(max(sent / million, written), back / million)


def paid(litellm: Any, model: str, response: Any, price: Price) -> dict[str, Any]:
    """The tokens of an answer and their price; those that the provider had in its cache are cheaper where it says so.

    Returns:
        `{"tokens_in", "tokens_cached", "tokens_out", "usd"}`; `tokens_cached` of `tokens_in` were read from the cache.
    """
    usage = response.usage
    sent, back = int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0)
    details = getattr(usage, "prompt_tokens_details", None)
    cached = int(getattr(details, "cached_tokens", 0) or 0)
    usd = price.sent * sent + price.back * back
    if price.known and price.back:
        with suppress(Exception):  # then every token counts in full
            usd = float(litellm.completion_cost(completion_response=response, model=model))
    return {"tokens_in": sent, "tokens_cached": cached, "tokens_out": back, "usd": usd}


def with_cache_marks(litellm: Any, model: str, messages: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The messages, the stable system part marked for the provider's prompt cache where it has one."""
    marked: list[dict[str, Any]] = [dict(m) for m in messages]
    supports = False
    with suppress(Exception):
        supports = litellm.utils.supports_prompt_caching(model)
    if supports and marked and marked[0]["role"] == "system":
        part = {"type": "text", "text": marked[0]["content"], "cache_control": {"type": "ephemeral"}}
        marked[0]["content"] = [part]
    return marked
