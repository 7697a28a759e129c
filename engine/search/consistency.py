"""The model's own reading: of a population before one is chosen, and of code against the hypothesis it came with.

Both come after what is measured, and neither is needed: a reading that fails or cannot be understood changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import PoiseError
from engine.search.answers import Answer, BadAnswer, Wire, read_model
from engine.search.context import Message, Request
from engine.search.ledger import Ledger
from engine.search.llm import complete
from engine.search.prompts import prompt
from engine.search.record import NotRecorded
from engine.search.screen import Rated, ranked
from engine.search.text import one_line, quoted

LONGEST_CODE = 16_000
"""Characters of a file that is read."""


class Read(BaseModel):
    """One proposal's reading."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})
    proposal: int
    score: float = Field(ge=0, le=10)
    why: str


class ScreeningAnswer(BaseModel):
    """The JSON object that a screening prompt asks for."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})
    readings: list[Read]


class ConsistencyAnswer(BaseModel):
    """The JSON object that a consistency prompt asks for."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})
    consistent: bool
    mismatches: list[str]


@dataclass(frozen=True)
class Consistency:
    """What the reading of a file against its hypothesis found."""

    mismatches: tuple[str, ...]
    usd: float


async def read_screening(
    rated: Sequence[Rated], request: Request, *, model: str, seed: int, ledger: Ledger, timeout: float
) -> tuple[list[Rated], float]:
    """The ranking with the model's own reading in it, and what that cost."""
    parent = next(c for c in request.candidates if c.id == request.parent)
    rows = [
        {
            "proposal": r.draft.place,
            "name": r.draft.name,
            "direction": r.draft.direction.id,
            "hypothesis": quoted(r.draft.hypothesis, 600),
            "bottleneck": quoted(r.draft.answer.bottleneck, 300) if r.draft.answer else "",
            "mechanisms": [m.key for m in r.draft.answer.mechanisms] if r.draft.answer else [],
            "expected": list(r.draft.answer.expected) if r.draft.answer else [],
            "risks": [quoted(x, 200) for x in r.draft.answer.risks[:4]] if r.draft.answer else [],
            "measured": quoted(r.why, 400),
        }
        for r in sorted(rated, key=lambda r: r.draft.place)
    ]
    ask = prompt("screen").fill(
        parent=f"{parent.name} ({parent.key or 'GRPO itself'}): {quoted(parent.hypothesis, 400)}",
        directive=quoted(request.directive or "none", 400),
        proposals=json.dumps(rows, indent=1),
    )
    found, usd = await _ask(ask, ScreeningAnswer, "screen", model, seed, ledger, timeout, 1)
    by_place = {r.proposal: r for r in found.readings} if found is not None else {}
    return ranked(
        [
            replace(r, reading=read.score / 10, reading_why=one_line(read.why, 300))
            if (read := by_place.get(r.draft.place)) is not None
            else r
            for r in rated
        ]
    ), usd


async def read_consistency(
    answer: Answer, report: Mapping[str, Any], *, model: str, seed: int, ledger: Ledger, timeout: float, turn: int
) -> Consistency:
    """Whether a file does what its hypothesis says; what cannot be asked or understood is no mismatch."""
    claims = [f"{c['claim']}: measured {c['value']}, it takes {c['bound']}" for c in report.get("claims") or ()]
    ask = prompt("consistency").fill(
        hypothesis=quoted(answer.hypothesis, 2000),
        words="\n".join(f"- {quoted(w, 300)}" for w in answer.words) or "- none given",
        claims="\n".join(f"- {line}" for line in claims) or "- none",
        code=quoted(answer.code, LONGEST_CODE),
    )
    found, usd = await _ask(ask, ConsistencyAnswer, "consistency", model, seed, ledger, timeout, turn)
    if found is None or found.consistent:
        return Consistency((), usd)
    said = [one_line(m, 300) for m in found.mismatches[:5]] or ["the code does not do what the hypothesis says"]
    return Consistency(tuple(f"code and hypothesis differ: {m}" for m in said), usd)


async def _ask(
    ask: str, wire: type[Wire], purpose: str, model: str, seed: int, ledger: Ledger, timeout: float, turn: int
) -> tuple[Wire | None, float]:
    messages: list[Message] = [{"role": "user", "content": ask}]
    try:
        reply = await complete(
            model,
            messages,
            purpose=purpose,
            schema=wire.model_json_schema(),
            timeout=timeout,
            seed=seed,
            ledger=ledger,
            turn=turn,
        )
    except NotRecorded:
        raise  # a replay is exact, or it ends
    except PoiseError:
        return None, 0.0
    try:
        return read_model(reply.text, wire), reply.usd
    except BadAnswer:
        return None, reply.usd
