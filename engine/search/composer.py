"""The keyless proposer: composes, mutates and crosses over mechanisms from the archive's evidence.

It answers the same prompt as a language model, from the prompt's evidence block alone, and is deterministic
in that block and the seed. It enumerates every change of the parent that is one step away, rates each by what
the archive says of the mechanisms it touches, and draws one that was never tried.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.algorithms.catalogue import (
    Entry,
    MechanismChoice,
    catalogue,
    digest_of,
    own_mechanisms,
)
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.search.evidence import Evidence
from engine.search.gains import FAILURE_COST, Gain, changes, mechanism_gains
from engine.search.moves import MAKERS, Move, Situation, legal
from engine.search.wording import algorithm_name, hypothesis

TEMPERATURE = 0.7
"""Points of rating that make a change e times likelier."""
WANDER = 50
"""Steps to walk where every single step was tried."""
KINDS = {"add": 0.35, "pair": 0.15, "cross": 0.2, "tune": 0.15, "swap": 0.1, "remove": 0.05}
"""How often each kind of change is tried first."""

TOPICS: tuple[tuple[str, str], ...] = (
    (r"short|compress|concise|brief|length|long|token|verbos", r"length|overlong|long rows"),
    (r"explor|divers|entrop|collaps", r"entropy|unlikely|rare"),
    (r"format|valid|pars|readable", r"valid|invalid|read|format"),
    (r"hard|difficult|rare|unsolved", r"rare|rarely|difficult|pass rate"),
    (r"stab|spike|noise|varianc", r"clip|std|bound|floor"),
    (r"accura|correct", r"correct"),
)
"""What a directive asks for and how docs speak of it."""


def compose(block: Mapping[str, Any], seed: int) -> dict[str, str]:
    """Answer a proposal prompt.

    Args:
        block: the prompt's evidence block (`engine.search.context.evidence_block`); `inert` may list sets of
            mechanism keys in which verification found one that does nothing.
        seed: of this decision.

    Returns:
        `{"name", "hypothesis", "code"}`.

    Raises:
        PoiseError: the block is not one, or nothing untried is left.
    """
    now = _read(block)
    rng = random.Random(f"{seed}:compose")
    move = _draw(now, rng)
    added, removed, tuned = changes(now.parent.mechanisms, move.mechanisms)
    before = {m.name: m for m in now.parent.mechanisms}
    name = algorithm_name(move.mechanisms, {c.name for c in now.candidates})
    text = hypothesis(
        now.parent.name,
        now.parent.overall,
        [(c, now.pool[c.name]) for c in added],
        [c.name for c in removed],
        [(before[c.name], c) for c in tuned],
        now.gains,
        move.donor,
        any(now.asked[c.name] > 0 for c in added),
    )
    return {"name": name, "hypothesis": text, "code": render(name, text, move.mechanisms, now.own)}


def _read(block: Mapping[str, Any]) -> Situation:
    try:
        candidates = tuple(
            Evidence(
                id=row["id"],
                name=row["name"],
                parent=row["parent"],
                status=row["status"],
                mechanisms=tuple(MechanismChoice(m["name"], m["params"]) for m in row["mechanisms"]),
                overall=row["overall"],
            )
            for row in block["candidates"]
        )
        parent = next(c for c in candidates if c.id == block["parent"])
        code = block.get("code") or ""
        own = own_mechanisms(code)
        pool = {**catalogue(), **own}
        directive, suggestion = (str(block.get(key) or "") for key in ("directive", "suggestion"))
        return Situation(
            parent=parent,
            candidates=candidates,
            tried=frozenset(block["tried"]) | {digest_of(c.mechanisms) for c in candidates},
            gains=mechanism_gains(candidates),
            pool=pool,
            own=dict.fromkeys(own, code),
            inert=[frozenset(keys) for keys in block.get("inert", [])],
            asked={e.name: _asked(e, directive, suggestion) for e in pool.values()},
        )
    except (KeyError, TypeError, ValueError, StopIteration, SyntaxError) as e:
        raise PoiseError(f"the prompt's evidence block cannot be read: {type(e).__name__} {e}") from None


def _draw(now: Situation, rng: random.Random) -> Move:
    kinds = dict(KINDS)
    while kinds:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        del kinds[kind]
        moves = list(MAKERS[kind](now))
        weights = _softmax([_rating(now, m) for m in moves])
        # Most moves are new and legal, so only the drawn one is looked at.
        while any(weights):
            drawn = rng.choices(range(len(moves)), weights)[0]
            weights[drawn] = 0.0
            mechanisms = moves[drawn].mechanisms
            if digest_of(mechanisms) not in now.tried and legal(now, mechanisms):
                return moves[drawn]
    return _wander(now, rng)


def _wander(now: Situation, rng: random.Random) -> Move:
    """Every single step was tried: walk further from the parent."""
    at = now.parent.mechanisms
    for _ in range(WANDER):
        moves = [m for kind in ("add", "tune", "swap", "remove") for m in MAKERS[kind](now, at)]
        steps = [m.mechanisms for m in moves if legal(now, m.mechanisms)]
        if not steps:
            break
        at = rng.choice(steps)
        if digest_of(at) not in now.tried:
            return Move("wander", at)
    raise PoiseError(f"everything within reach of {now.parent.name} was tried: choose another parent")


def _rating(now: Situation, move: Move) -> float:
    """Expected points of Overall over the parent, plus bonuses for the little known and the asked for."""
    added, removed, tuned = changes(now.parent.mechanisms, move.mechanisms)
    rating = 0.0
    for choice in added:
        record = now.gains.get(choice.name, Gain())
        specific = now.gains.get(choice.key)
        rating += specific.shrunk if specific else record.shrunk
        rating += 1 / math.sqrt(1 + record.seen) + now.asked[choice.name]
    for choice in removed:
        rating -= now.gains.get(choice.name, Gain()).shrunk
    for choice in tuned:
        record = now.gains.get(choice.key, Gain())
        rating += record.shrunk + 0.5 / math.sqrt(1 + record.seen)
    return rating / math.sqrt(max(len(added) + len(removed) + len(tuned), 1))


def _asked(entry: Entry, directive: str, suggestion: str) -> float:
    bonus = 1.5 if re.search(rf"\b{entry.name}\b", suggestion) else 0.0
    doc, directive = entry.doc.lower(), directive.lower()
    name = rf"\b{entry.name.lower()}\b"
    if re.search(name, directive):
        unwanted = re.search(rf"\b(no|not|avoid|without|except)\b[^.;]*{name}", directive)
        bonus += -2 * FAILURE_COST if unwanted else FAILURE_COST
    elif any(re.search(wish, directive) and re.search(words, doc) for wish, words in TOPICS):
        bonus += 1.0
    return bonus


def _softmax(ratings: Sequence[float]) -> list[float]:
    top = max(ratings, default=0.0)
    return [math.exp((r - top) / TEMPERATURE) for r in ratings]
