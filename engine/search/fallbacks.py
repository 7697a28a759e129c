"""Models that stand in for one another: litellm's Router goes down the chain, each step is a call within our bounds.

The Router would retry, and knows neither our deadlines nor our ledger; so what it routes to is a provider of our own,
`bounded/MODEL`, that hands each step back to `engine.search.llm`. Importing this imports litellm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

import litellm
from litellm import ModelResponse
from litellm.llms.custom_llm import CustomLLM
from litellm.router import Router

PROVIDER = "bounded"
Step = Callable[[str], Awaitable[str]]
"""Ask this model, within its bounds; its answer's text."""
_step: ContextVar[Step] = ContextVar("step")


class Bounded(CustomLLM):
    """Answers for a model by the step of the call that is under way."""

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Called by the Router, once for each model it comes to."""
        response: ModelResponse = kwargs["model_response"]
        response.choices[0].message.content = await _step.get()(kwargs["model"])
        return response


async def ask(chain: tuple[str, ...], step: Step) -> None:
    """Ask a chain's models in order until one answers.

    Raises:
        Exception: none did; the steps know why.
    """
    token = _step.set(step)
    try:
        await _router(chain).acompletion(model=chain[0], messages=[{"role": "user", "content": ""}])
    finally:
        _step.reset(token)


@cache
def _router(chain: tuple[str, ...]) -> Router:
    if not any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": Bounded()})
    return Router(
        model_list=[{"model_name": m, "litellm_params": {"model": f"{PROVIDER}/{m}"}} for m in chain],
        fallbacks=[{chain[0]: list(chain[1:])}],
        num_retries=0,  # the one place of retry is engine.search.llm
        max_fallbacks=len(chain),
        disable_cooldowns=True,  # whom a call reaches must not depend on the time since the last failure
    )
