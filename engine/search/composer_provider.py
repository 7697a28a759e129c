"""`poise/composer`: the composer as a litellm provider, on the path of every other model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import litellm
from litellm import ModelResponse, Usage
from litellm.llms.custom_llm import CustomLLM, CustomLLMError

from engine.algorithms.catalogue import digest_of
from engine.errors import PoiseError
from engine.search.answers import BadAnswer, read_answer, with_claims
from engine.search.composer import compose
from engine.search.context import read_block

PROVIDER = "poise"


class ComposerProvider(CustomLLM):
    """Reads the prompt's evidence block, composes, answers with the JSON that every model must return."""

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Called by `litellm.acompletion(model="poise/composer", ...)`; `seed` makes it repeatable."""
        messages, response = kwargs["messages"], kwargs["model_response"]
        try:
            text = json.dumps(answer(messages, int(kwargs["optional_params"].get("seed") or 0)), indent=1)
        except PoiseError as e:
            # A status that is no server's fault: asking again would give the same.
            raise CustomLLMError(400, str(e)) from None  # type: ignore[no-untyped-call]
        response.choices[0].message.content = text
        response.choices[0].finish_reason = "stop"
        response.model = f"{PROVIDER}/{kwargs['model']}"
        # There is no tokenizer here: four characters count as a token, and nothing is paid for them.
        sent, back = sum(len(m["content"]) for m in messages) // 4, len(text) // 4
        response.usage = Usage(prompt_tokens=sent, completion_tokens=back, total_tokens=sent + back)
        return response


def answer(messages: list[dict[str, str]], seed: int) -> dict[str, Any]:
    """Compose for a conversation; what it answered earlier in it was refused and counts as tried.

    An answer that was refused for a claim alone is given again without the claim: measured and not found, it is
    withdrawn, and what the algorithm does stays worth trying.

    Raises:
        PoiseError: no message holds an evidence block.
    """
    blocks = [b for m in messages if m["role"] == "user" and (b := read_block(m["content"])) is not None]
    if not blocks:
        raise PoiseError("poise/composer found no evidence block in the prompt")
    tried, inert = list(blocks[-1]["tried"]), []
    refusals = [
        (said["content"], reply["content"]) for said, reply in pairwise(messages) if said["role"] == "assistant"
    ]
    for i, (said, reply) in enumerate(refusals):
        try:
            refused = read_answer(said)
        except BadAnswer:
            continue
        false = [claim for claim in refused.expected if f"{claim}:" in reply and "does what it claims" in reply]
        if false and i == len(refusals) - 1:
            # Another false one would be the last: after the first, nothing is claimed any more.
            return without_claims(json.loads(said), refused.expected if i else false)
        tried.append(digest_of(refused.mechanisms))
        if "is inert" in reply:
            inert.append([m.key for m in refused.mechanisms])
    return compose({**blocks[-1], "tried": tried, "inert": inert}, seed)


def without_claims(wire: dict[str, Any], false: Sequence[str]) -> dict[str, Any]:
    """An answer that claims less."""
    kept = [claim for claim in wire["expected"] if claim not in false]
    return {**wire, "expected": kept, "code": with_claims(wire["code"], kept)}


def register() -> None:
    """Make litellm know the provider; calling it again changes nothing."""
    if not any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": ComposerProvider()})
