"""What a model is told: the messages of a proposal, bounded in length and stable in order.

One prompt serves every model. Prose and code are for language models; the fenced evidence block at its end
holds the archive's facts as JSON, and is all that the keyless composer reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.algorithms.catalogue import catalogue, digest_of, own_mechanisms, stages
from engine.algorithms.render import render
from engine.search.evidence import Evidence, lineage
from engine.search.gains import lessons
from engine.search.prompts import prompt
from engine.search.sections import (
    CHARACTERS_A_TOKEN,
    failures_section,
    ideas_section,
    knowledge_section,
    literature_section,
    parent_section,
    references_section,
    room,
    suggestion_of,
)
from engine.search.symptoms import symptoms
from engine.search.text import clean, one_line, quoted
from engine.verify.vocabulary import WORDINGS

Message = dict[str, str]

LONGEST = 24_000 * CHARACTERS_A_TOKEN
"""Characters of all messages together: 24,000 tokens, of which the contract and the library take a third."""
ROW_TEXT = 160
_FENCE = re.compile(r"^```json evidence\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """Everything a proposal is made from."""

    parent: str
    """Id of the selected parent."""
    candidates: Sequence[Evidence]
    """All decided so far, in order; results only of those this decision may see (`evidence.seen`)."""
    parent_code: str
    """The parent's algorithm file."""
    directive: str | None = None
    setting: str = ""
    """The profile in a sentence or two: model, tasks, group size, beta, updates a batch."""
    notes: str = ""
    """The user's own notes, untrusted and bounded."""
    ideas: Sequence[Mapping[str, Any]] = ()
    """Open ideas near the parent, as documents of `engine.search.ideas.Idea`."""
    direction: str | None = None
    """What this one of the parallel proposals should try, in a sentence."""


def proposal_messages(request: Request, seed: int) -> list[Message]:
    """The messages that ask for one algorithm.

    Args:
        request: what is known.
        seed: of this decision; draws the exploratory reference.
    """
    system = _system()
    parent = next(c for c in request.candidates if c.id == request.parent)
    # What stays the same from call to call comes first: providers cache a prompt's beginning.
    sections = [
        _headed("Setting", request.setting, "setting"),
        _headed("Directive of the researcher: follow it", request.directive, "directive"),
        _headed("Notes of the researcher", request.notes, "notes"),
        knowledge_section(request.candidates),
        parent_section(parent, request.parent_code),
        references_section(parent, request.candidates, seed),
        failures_section(parent, request.candidates),
        literature_section(parent, request.directive),
        ideas_section(request.ideas),
    ]
    prose = "\n\n".join(s for s in sections if s)
    asked = _headed("Direction of this proposal: others take other ones", request.direction, "direction")
    left = LONGEST - len(system) - len(prose) - len(asked) - 600
    block = json.dumps(evidence_block(request, left), separators=(",", ":"))
    user = (
        f"{prose}\n\n# The archive\nEvery candidate with its parent, status, Overall and mechanisms. "
        "None of these sets of mechanisms may be proposed again (`tried` has digests of older ones).\n"
        f"```json evidence\n{block}\n```\n\n"
        + (f"{asked}\n\n" if asked else "")
        + f"# Task\nPropose one algorithm that changes {parent.name} ({parent.id}) and should score a higher "
        "Overall. Answer with the JSON object only."
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def repair_messages(messages: Sequence[Message], answer: str, problems: Sequence[str]) -> list[Message]:
    """The conversation goes on: the answer and what is wrong with it."""
    wrong = "\n".join(f"- {quoted(p, 400)}" for p in problems[:10])
    ask = prompt("repair").fill(problems=wrong)
    return [*messages, {"role": "assistant", "content": clean(answer, LONGEST)}, {"role": "user", "content": ask}]


def evidence_block(request: Request, left: int = LONGEST) -> dict[str, Any]:
    """The archive as JSON, within `left` characters.

    Returns:
        `{"parent", "directive", "suggestion", "code", "lessons", "remedies", "ideas", "candidates", "tried",
        "direction"}`. Candidates that do not fit are left out from the oldest on, the parent's ancestors last; `tried`
        has the digests of their mechanisms.
    """
    parent = next(c for c in request.candidates if c.id == request.parent)
    carried = len(request.parent_code) <= room("code") and own_mechanisms(request.parent_code)
    block: dict[str, Any] = {
        "parent": parent.id,
        "directive": quoted(request.directive, room("directive")) if request.directive else None,
        "suggestion": quoted(suggestion_of(parent.reflection), 600) or None,
        "code": request.parent_code if carried else None,
        "lessons": lessons(request.candidates, parent.id),
        "remedies": list(dict.fromkeys(name for s in symptoms(parent.curves) for name in s.remedies)),
        "ideas": [{key: idea[key] for key in ("id", "name", "mechanisms")} for idea in request.ideas],
    }
    left -= len(json.dumps(block)) + len('"candidates":[],"tried":[],"direction":') + len(json.dumps(request.direction))
    rows = {c.id: _row(c) for c in request.candidates}
    first = {*lineage(request.candidates, parent.id)}
    newest = [c.id for c in reversed(request.candidates)]
    order = [id for id in newest if id in first] + [id for id in newest if id not in first]
    shown = _fitting({id: rows[id] for id in order}, left * 2 // 3)
    left -= sum(len(json.dumps(rows[id])) + 1 for id in shown)
    block["candidates"] = [row for id, row in rows.items() if id in shown]
    left_out = [digest_of(c.mechanisms) for c in reversed(request.candidates) if c.id not in shown]
    block["tried"] = left_out[: max(left, 0) // (len(digest_of([])) + 3)]
    block["direction"] = request.direction
    return block


def read_block(text: str) -> dict[str, Any] | None:
    """The evidence block of a message, or None."""
    found = _FENCE.search(text)
    if found is None:
        return None
    try:
        block = json.loads(found.group(1))
    except ValueError:
        return None
    return block if isinstance(block, dict) else None


def contract_brief() -> str:
    """The algorithm contract in a page, with an example file."""
    library = catalogue()
    example = render(
        "Example-GRPO",
        "dividing by a floored deviation and clipping higher keeps the signal of rare successes.",
        [library["FlooredStd"].choice(), library["HardPromptWeight"].choice()],
    )
    listed = "\n".join(f"- {name}: {what}" for name, what in stages().items())
    return prompt("contract").fill(stages=listed, claims=_claims(), example=example)


def _claims() -> str:
    return "\n".join(f"- {w.id}: {w.sentence}" for w in WORDINGS.values())


def literature() -> str:
    """The library's mechanisms, a line each: what is known before the search starts."""
    return "\n".join(f"- {e.name} [{', '.join(e.stages)}]: {e.doc}" for e in catalogue().values())


def _system() -> str:
    return prompt("propose").fill(contract=contract_brief(), library=literature())


def _headed(title: str, text: str | None, part: str) -> str:
    return f"# {title}\n{quoted(text, room(part))}" if text else ""


def _row(c: Evidence) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": c.id,
        "name": c.name,
        "parent": c.parent,
        "status": c.status,
        "overall": None if c.overall is None else round(c.overall, 3),
        "fidelity": round(c.fidelity, 3),
        "mechanisms": [m.document() for m in c.mechanisms],
    }
    if c.cause:
        row["cause"] = quoted(one_line(c.cause, ROW_TEXT), ROW_TEXT)
    return row


def _fitting(items: Mapping[str, Any], room: int) -> set[str]:
    """The first keys whose items take no more than `room` characters as JSON; always at least one."""
    kept: set[str] = set()
    for key, value in items.items():
        room -= len(json.dumps(key)) + len(json.dumps(value)) + 2
        if room < 0 and kept:
            break
        kept.add(key)
    return kept
