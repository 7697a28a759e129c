"""The keyless proposer: composes, mutates and crosses over mechanisms from the archive's evidence.

It answers the same prompt as a language model, from the prompt's evidence block alone, and is deterministic in that
block and the seed. Free to choose, it draws what may be true of all mechanisms and makes of the parent what is best
then and a few changes away (`combine.py`). Asked for one kind of change, it enumerates those, rates each by what the
archive, the symptoms, the findings and the directive say of the mechanisms it touches, and draws one. Nothing is
proposed twice. What it claims of the result is known of the mechanisms; verification measures it.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.algorithms.catalogue import Entry, MechanismChoice, catalogue, digest_of, own_mechanisms
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.search.combine import combined
from engine.search.effects import claims_of
from engine.search.evidence import Evidence, difference
from engine.search.gains import Gain, changes, mechanism_gains
from engine.search.moves import MAKERS, Move, Situation, legal
from engine.search.symptoms import SYMPTOMS
from engine.search.wishes import preferences
from engine.search.wording import Change, algorithm_name, bottleneck, hypothesis, idea, risks

TEMPERATURE = 0.7
"""Points of rating that make a change e times likelier."""
WANDER = 50
"""Steps to walk where every single step was tried."""
KINDS = {"add": 0.35, "pair": 0.15, "cross": 0.2, "tune": 0.15, "swap": 0.1, "remove": 0.05}
"""How often each kind of change is tried first."""
SUGGESTED, REMEDY, LESSON = 1.5, 0.5, 0.5
"""Points for a mechanism that the parent's reflection names, that acts on one of its symptoms, and for each finding
near the parent that says to try it next (less that for each that says never again).
"""
MERIT = 0.25
"""Of the points by which a donor is better than the parent: what speaks for a crossing, besides what it brings over."""
MOST_CLAIMS = 3


def compose(block: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Answer a proposal prompt.

    Args:
        block: the prompt's evidence block (`engine.search.context.evidence_block`); `inert` may list sets of
            mechanism keys in which verification found one that does nothing.
        seed: of this decision.

    Returns:
        what `engine.search.answers.ProposalAnswer` reads.

    Raises:
        PoiseError: the block is not one, or nothing untried is left.
    """
    now = _read(block)
    rng = random.Random(f"{seed}:compose" + (f":{now.direction}" if now.direction else ""))
    move = next_move(now, rng)
    name = algorithm_name(move.mechanisms, {c.name for c in now.candidates})
    before = {m.name: m for m in now.parent.mechanisms}
    change = Change(
        now.parent,
        [(c, now.pool[c.name]) for c in move.added],
        [c.name for c in move.removed],
        [(before[c.name], c) for c in move.tuned],
        now.gains,
        move.donor,
        _reasons(now, move),
    )
    text = hypothesis(change)
    expected = list(dict.fromkeys(claim for c in (*move.added, *move.tuned) for claim in _claims(now, c)))[:MOST_CLAIMS]
    return {
        "name": name,
        "hypothesis": text,
        "bottleneck": bottleneck(change, now.direction),
        "expected": expected,
        "mechanisms": [f"{m.key}: {idea(now.pool[m.name])}" for m in move.mechanisms],
        "risks": risks(change),
        "code": render(name, text, move.mechanisms, now.own, expected),
    }


def _read(block: Mapping[str, Any]) -> Situation:
    try:
        candidates = tuple(
            Evidence(
                id=row["id"],
                name=row["name"],
                parent=row["parent"],
                status=row["status"],
                mechanisms=_mechanisms(row),
                overall=row["overall"],
                cause=row.get("cause"),
            )
            for row in block["candidates"]
        )
        parent = next(c for c in candidates if c.id == block["parent"])
        code = block.get("code") or ""
        own = _own(code)
        pool = {**catalogue(), **own} if own else catalogue()
        found_inert = [c.keys.values() for c in candidates if c.mechanisms and "is inert" in (c.cause or "")]
        return Situation(
            parent=parent,
            candidates=candidates,
            tried=frozenset(block["tried"]) | {digest_of(c.mechanisms) for c in candidates},
            gains=mechanism_gains(candidates),
            pool=pool,
            own=dict.fromkeys(own, code),
            inert=[frozenset(keys) for keys in (*block.get("inert", ()), *found_inert)],
            asked=preferences(str(block.get("directive") or ""), pool.values()),
            advised=_advice(block, pool),
            direction=str(block.get("direction") or ""),
            ideas=[(str(idea["name"]), _mechanisms(idea)) for idea in block.get("ideas") or ()],
        )
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as e:
        raise PoiseError(f"the prompt's evidence block cannot be read: {type(e).__name__} {e}") from None


def _mechanisms(row: Mapping[str, Any]) -> tuple[MechanismChoice, ...]:
    return tuple(MechanismChoice(m["name"], m["params"]) for m in row["mechanisms"])


@lru_cache(maxsize=32)
def _own(code: str) -> dict[str, Entry]:
    """Parsed once for the directions of a round. Shared: not to be changed."""
    return own_mechanisms(code) if code else {}


def _advice(block: Mapping[str, Any], pool: Mapping[str, Entry]) -> dict[str, float]:
    suggestion = set(re.findall(r"\w+", str(block.get("suggestion") or "")))
    found = {name: SUGGESTED for name in pool if name in suggestion}
    for name in block.get("remedies") or ():
        found[name] = found.get(name, 0.0) + REMEDY
    for name, times in (block.get("lessons") or {}).items():
        found[name] = found.get(name, 0.0) + LESSON * max(min(times, 3), -3)
    return found


def next_move(now: Situation, rng: random.Random) -> Move:
    """The change that the composer makes in this situation; no code is written.

    Raises:
        PoiseError: nothing untried is left.
    """
    if now.direction.partition(":")[0] in ("", "free") and (move := combined(now, rng)) is not None:
        return move
    kinds, wanted = _directed(now)
    # A direction that has nothing left to offer is as good as none.
    return _drawn(now, rng, kinds, wanted) or _drawn(now, rng, KINDS, lambda move: True) or _wander(now, rng)


def _drawn(
    now: Situation, rng: random.Random, kinds: Mapping[str, float], wanted: Callable[[Move], bool]
) -> Move | None:
    """A change of one of the kinds that was never tried, likelier where more speaks for it."""
    left = dict(kinds)
    worth: dict[str, float] = {}
    while left:
        kind = rng.choices(list(left), list(left.values()))[0]
        del left[kind]
        moves = [m for m in MAKERS[kind](now) if wanted(m)]
        weights = _softmax([_rating(now, m, worth) for m in moves])
        # Most moves are new and legal, so only the drawn one is looked at.
        while any(weights):
            drawn = rng.choices(range(len(moves)), weights)[0]
            weights[drawn] = 0.0
            mechanisms = moves[drawn].mechanisms
            if digest_of(mechanisms) not in now.tried and legal(now, mechanisms):
                return moves[drawn]
    return None


def _directed(now: Situation) -> tuple[Mapping[str, float], Callable[[Move], bool]]:
    """The kinds of change that a direction allows, and which changes of these."""
    direction, _, words = now.direction.partition(":")
    if direction == "follow":
        return KINDS, lambda move: sum(now.asked.get(m.name, 0.0) for m in (*move.added, *move.tuned)) > 0
    if direction == "repair":
        cures = {name for s in SYMPTOMS if s.name in words for name in s.remedies} or {
            name for name, points in now.advised.items() if points > 0
        }
        return {"add": 0.6, "swap": 0.2, "pair": 0.2}, lambda move: any(m.name in cures for m in move.added)
    if direction == "cross":
        return {"cross": 1.0}, lambda move: True
    if direction == "tune":
        return {"tune": 1.0}, lambda move: True
    if direction == "simplify":
        return {"remove": 1.0}, lambda move: True
    if direction == "idea":
        return {"idea": 1.0}, lambda move: True
    if direction == "invent" and (stage := re.search(r"`(\w+)`", words)) is not None:
        return {"add": 0.6, "swap": 0.2, "pair": 0.2}, lambda move: any(
            stage.group(1) in now.pool[m.name].stages for m in move.added
        )
    return KINDS, lambda move: True


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
            added, removed, tuned = changes(now.parent.mechanisms, at)
            return Move("wander", at, tuple(added), tuple(removed), tuple(tuned))
    raise PoiseError(f"everything within reach of {now.parent.name} was tried: choose another parent")


def _rating(now: Situation, move: Move, worth: dict[str, float]) -> float:
    """Expected points of Overall over the parent, plus bonuses for the little known, the advised and the asked for.

    Args:
        worth: what was found for each mechanism already, by its key.
    """
    total = 0.0
    for choice in move.added:
        if choice.key not in worth:
            worth[choice.key] = _worth(now, choice)
        total += worth[choice.key]
    for choice in move.removed:
        total -= now.gains.get(choice.name, _NONE).shrunk + now.asked.get(choice.name, 0.0) / 2
    for choice in move.tuned:
        record = now.gains.get(choice.key, _NONE)
        total += record.shrunk + 0.5 / math.sqrt(1 + record.seen)
    total /= math.sqrt(max(len(move.added) + len(move.removed) + len(move.tuned), 1))
    return total + _merit(now, move.donor) if move.donor else total


_NONE = Gain()


def _worth(now: Situation, choice: MechanismChoice) -> float:
    record = now.gains.get(choice.name, _NONE)
    points = now.gains.get(choice.key, record).shrunk + 1 / math.sqrt(1 + record.seen)
    return points + now.asked.get(choice.name, 0.0) + now.advised.get(choice.name, 0.0)


def _merit(now: Situation, donor: str) -> float:
    """What a donor's own score says for crossing with it, in points."""
    found = next((c for c in now.candidates if c.name == donor), None)
    points = difference(found, now.parent) if found else None
    return MERIT * max(min(points or 0.0, 8.0), -8.0)


def _reasons(now: Situation, move: Move) -> list[str]:
    """What speaks for a change, besides the record: each true of the block."""
    found = []
    names = [m.name for m in move.added]
    if asked := [n for n in names if now.asked.get(n, 0.0) > 0]:
        found.append(f"The directive asks for what {' and '.join(asked)} {'does' if len(asked) == 1 else 'do'}.")
    _, _, words = now.direction.partition(":")
    found += [
        f"{' and '.join(cures)} {'acts' if len(cures) == 1 else 'act'} on '{symptom.name}': {symptom.meaning}."
        for symptom in SYMPTOMS
        if symptom.name in words and (cures := [n for n in names if n in symptom.remedies])
    ]
    if advised := [n for n in names if now.advised.get(n, 0.0) > 0 and not any(n in line for line in found)]:
        found.append(f"Symptoms of {now.parent.name} or findings near it speak for {' and '.join(advised)}.")
    return found


def _claims(now: Situation, choice: MechanismChoice) -> tuple[str, ...]:
    return () if choice.name in now.own else claims_of(choice)


def _softmax(ratings: Sequence[float]) -> list[float]:
    top = max(ratings, default=0.0)
    return [math.exp((r - top) / TEMPERATURE) for r in ratings]
