"""What a user may put into a running search: another directive, other weights, an algorithm, an idea in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.errors import Exit, PoiseError
from engine.loop.book import injected_id, is_injected
from engine.loop.decisions import start_injected
from engine.search.answers import BadAnswer, read_algorithm
from engine.search.select import Weights
from engine.search.text import clean, one_line

if TYPE_CHECKING:
    from engine.loop.engine import Engine

LONGEST_DIRECTIVE = 2_000
LONGEST_IDEA = 1_000
NAMES = tuple(field.name for field in fields(Weights))


async def direct(engine: Engine, text: str) -> dict[str, Any]:
    """Set the directive, from the next round of decisions on; an empty text takes it away."""
    told = clean(text, LONGEST_DIRECTIVE).strip() or None
    engine.book.set_run(directive=told)
    return {"directive": told}


async def weigh(engine: Engine, weights: Mapping[str, float]) -> dict[str, Any]:
    """Set weights of parent selection, from the next round of decisions on; those not named stay as they are.

    Raises:
        PoiseError: usage (2), no such weight, or a value that is none.
    """
    for name, value in weights.items():
        if name not in NAMES:
            raise PoiseError(f"no weight {one_line(name, 40)!r}: there are {', '.join(NAMES)}", Exit.USAGE)
        if not (math.isfinite(value) and value >= 0):
            raise PoiseError(f"{name}={value}: a weight is a number from 0 on", Exit.USAGE)
    found = {**engine.config.profile["search"]["weights"], **(engine.book.run.get("weights") or {}), **weights}
    if sum(found.values()) <= 0:
        raise PoiseError("all weights would be 0: leave one above it", Exit.USAGE)
    engine.book.set_run(weights=found)
    return {"weights": found}


async def suggest(engine: Engine, text: str) -> dict[str, Any]:
    """Offer an idea in words to the proposals of every later round.

    Raises:
        PoiseError: usage (2), there are no words.
    """
    told = one_line(text, LONGEST_IDEA)
    if not told:
        raise PoiseError("the idea has no words", Exit.USAGE)
    ideas = list(engine.book.run.get("ideas") or [])
    number = len(ideas) + 1
    idea = {"id": f"idea/{number}", "name": f"idea {number} of the researcher", "hypothesis": told, "direction": ""}
    engine.book.set_run(ideas=[*ideas, {**idea, "mechanisms": [], "code": "", "why": ""}])
    return {"idea": idea["id"]}


async def inject(engine: Engine, code: str) -> dict[str, Any]:
    """Put an algorithm into the tree, as a child of the root: it is verified, trained and scored like any other.

    Returns at once; what verification says arrives as the candidate's status.

    Raises:
        PoiseError: usage (2), the file is no algorithm.
    """
    try:
        name, _ = read_algorithm(code)
    except BadAnswer as error:
        raise PoiseError(f"not an algorithm: {error.problems[0]}", Exit.USAGE) from None
    taken = {c["name"] for c in engine.book.candidates.values()}
    if name in taken:
        raise PoiseError(
            f"there is a candidate named {one_line(name, 60)}: give the algorithm another name", Exit.USAGE
        )
    node = injected_id(1 + sum(map(is_injected, engine.book.candidates)))
    engine.decider.create_injected(node, code)
    start_injected(engine, node)
    return {"node": node, "name": name}
