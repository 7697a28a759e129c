"""The keyless proposer: composes, mutates and crosses over mechanisms from the archive's evidence.

It answers the same prompt as a language model, from the prompt's evidence block alone, and is deterministic
in that block and the seed. It enumerates every change of the parent that is one step away, rates each by what
the archive says of the mechanisms it touches, and draws one that was never tried.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.algorithms.catalogue import (
    Entry,
    MechanismChoice,
    catalogue,
    conflicts,
    key_of,
    own_mechanisms,
)
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.search.evidence import Evidence, lineage
from engine.search.gains import FAILURE_COST, Gain, changes, mechanism_gains
from engine.search.wording import algorithm_name, hypothesis

MOST = 5
"""Mechanisms in one algorithm: it should fit on a screen."""
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


@dataclass(frozen=True)
class Move:
    """One change of the parent."""

    kind: str
    mechanisms: tuple[MechanismChoice, ...]
    donor: str | None = None
    """Name of the candidate it crosses over with."""


@dataclass(frozen=True)
class Situation:
    """The evidence block of a prompt, read."""

    parent: Evidence
    candidates: tuple[Evidence, ...]
    tried: Mapping[str, str]
    """Key of each set of mechanisms that was proposed -> the algorithm's name."""
    gains: dict[str, Gain]
    pool: dict[str, Entry]
    """The library, and the parent's own mechanisms."""
    inert: Sequence[frozenset[str]]
    """Sets of mechanisms in which verification found one that does nothing."""
    directive: str
    suggestion: str
    own: dict[str, str]
    """The parent's file, by name of each mechanism that only it has."""


def compose(block: Mapping[str, Any], seed: int) -> dict[str, str]:
    """Answer a proposal prompt.

    Args:
        block: the prompt's evidence block (`engine.search.context.evidence_block`).
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
    name = algorithm_name(move.mechanisms, set(now.tried.values()))
    text = hypothesis(
        now.parent.name,
        now.parent.overall,
        [(c, now.pool[c.name]) for c in added],
        [c.name for c in removed],
        [(before[c.name], c) for c in tuned],
        now.gains,
        move.donor,
        _because(now, [c.name for c in added]),
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
                cause=row.get("cause"),
            )
            for row in block["candidates"]
        )
        parent = next(c for c in candidates if c.id == block["parent"])
        code = block.get("code") or ""
        own = own_mechanisms(code)
        return Situation(
            parent=parent,
            candidates=candidates,
            tried={**block["tried"], **{c.key: c.name for c in candidates}},
            gains=mechanism_gains(candidates),
            pool={**catalogue(), **own},
            own=dict.fromkeys(own, code),
            inert=[frozenset(m.key for m in c.mechanisms) for c in candidates if "inert" in (c.cause or "")],
            directive=str(block.get("directive") or "").lower(),
            suggestion=str(block.get("suggestion") or ""),
        )
    except (KeyError, TypeError, ValueError, StopIteration, SyntaxError) as e:
        raise PoiseError(f"the prompt's evidence block cannot be read: {type(e).__name__} {e}") from None


def _draw(now: Situation, rng: random.Random) -> Move:
    kinds = dict(KINDS)
    while kinds:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        del kinds[kind]
        moves = [m for m in _MAKERS[kind](now) if key_of(m.mechanisms) not in now.tried]
        moves = [m for m in moves if _legal(now, m.mechanisms)]
        if moves:
            return _softmax(moves, [_rating(now, m) for m in moves], rng)
    return _wander(now, rng)


def _wander(now: Situation, rng: random.Random) -> Move:
    """Every single step was tried: walk further from the parent."""
    at = now.parent.mechanisms
    for _ in range(WANDER):
        moves = [m for kind in ("add", "tune", "swap", "remove") for m in _MAKERS[kind](now, at)]
        steps = [m.mechanisms for m in moves if _legal(now, m.mechanisms)]
        if not steps:
            break
        at = rng.choice(steps)
        if key_of(at) not in now.tried:
            return Move("wander", at)
    raise PoiseError(f"everything within reach of {now.parent.name} was tried: choose another parent")


def _legal(now: Situation, mechanisms: Sequence[MechanismChoice]) -> bool:
    if not 0 < len(mechanisms) <= MOST or any(m.name not in now.pool for m in mechanisms):
        return False
    keys = {m.key for m in mechanisms}
    return not (any(inert <= keys for inert in now.inert) or conflicts([now.pool[m.name] for m in mechanisms]))


def _variants(entry: Entry) -> Iterator[MechanismChoice]:
    """The mechanism with its defaults, then with each other value of one constant."""
    yield entry.choice()
    for name, values in entry.tunable.items():
        yield from (entry.choice(**{name: v}) for v in values if v != entry.params[name])


def _add(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for entry in now.pool.values():
        if entry.name not in have:
            yield from (Move("add", (*base, choice)) for choice in _variants(entry))


def _pair(now: Situation) -> Iterator[Move]:
    """Two mechanisms at once that act on different stages: a bundle, as POISE's AV-GRPO was."""
    base, have = now.parent.mechanisms, {m.name for m in now.parent.mechanisms}
    new = [entry for entry in now.pool.values() if entry.name not in have]
    for i, a in enumerate(new):
        for b in new[i + 1 :]:
            if not set(a.stages) & set(b.stages):
                yield Move("pair", (*base, a.choice(), b.choice()))


def _cross(now: Situation) -> Iterator[Move]:
    """What another lineage has and the parent has not, one mechanism or all of it."""
    base, have = now.parent.mechanisms, {m.name for m in now.parent.mechanisms}
    family = set(lineage(now.candidates, now.parent.id))
    for donor in now.candidates:
        if donor.scored and donor.id not in family:
            foreign = tuple(m for m in donor.mechanisms if m.name not in have)
            for gift in [(m,) for m in foreign] + ([foreign] if len(foreign) > 1 else []):
                yield Move("cross", (*base, *gift), donor.name)


def _tune(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    for i, m in enumerate(base):
        for name, values in now.pool[m.name].tunable.items() if m.name in now.pool else ():
            for value in values:
                if value != m.params.get(name):
                    changed = MechanismChoice(m.name, {**m.params, name: value})
                    yield Move("tune", (*base[:i], changed, *base[i + 1 :]))


def _swap(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    """Another mechanism of a stage in the place of one that hooks it."""
    base = tuple(now.parent.mechanisms if at is None else at)
    have = {m.name for m in base}
    for i, m in enumerate(base):
        mine = set(now.pool[m.name].stages) if m.name in now.pool else set()
        for entry in now.pool.values():
            if entry.name not in have and mine & set(entry.stages):
                yield Move("swap", (*base[:i], entry.choice(), *base[i + 1 :]))


def _remove(now: Situation, at: Sequence[MechanismChoice] | None = None) -> Iterator[Move]:
    base = tuple(now.parent.mechanisms if at is None else at)
    yield from (Move("remove", base[:i] + base[i + 1 :]) for i in range(len(base)))


_MAKERS: dict[str, Callable[..., Iterator[Move]]] = {
    "add": _add,
    "pair": _pair,
    "cross": _cross,
    "tune": _tune,
    "swap": _swap,
    "remove": _remove,
}


def _rating(now: Situation, move: Move) -> float:
    """Expected points of Overall over the parent, plus bonuses for the little known and the asked for."""
    added, removed, tuned = changes(now.parent.mechanisms, move.mechanisms)
    rating = 0.0
    for choice in added:
        record = now.gains.get(choice.name, Gain())
        specific = now.gains.get(choice.key)
        rating += specific.shrunk if specific else record.shrunk
        rating += 1 / math.sqrt(1 + record.seen) + _asked(now, now.pool[choice.name])
    for choice in removed:
        rating -= now.gains.get(choice.name, Gain()).shrunk
    for choice in tuned:
        record = now.gains.get(choice.key, Gain())
        rating += record.shrunk + 0.5 / math.sqrt(1 + record.seen)
    return rating / math.sqrt(max(len(added) + len(removed) + len(tuned), 1))


def _asked(now: Situation, entry: Entry) -> float:
    bonus = 1.5 if re.search(rf"\b{entry.name}\b", now.suggestion) else 0.0
    doc = entry.doc.lower()
    name = rf"\b{entry.name.lower()}\b"
    if re.search(name, now.directive):
        unwanted = re.search(rf"\b(no|not|avoid|without|except)\b[^.;]*{name}", now.directive)
        bonus += -2 * FAILURE_COST if unwanted else FAILURE_COST
    elif any(re.search(wish, now.directive) and re.search(words, doc) for wish, words in TOPICS):
        bonus += 1.0
    return bonus


def _because(now: Situation, added: Sequence[str]) -> str | None:
    if any(re.search(rf"\b{name}\b", now.suggestion) for name in added):
        return f"The reflection on {now.parent.name} asks for it."
    if now.directive and any(_asked(now, now.pool[name]) > 0 for name in added):
        return "It follows the directive."
    return None


def _softmax(moves: Sequence[Move], ratings: Sequence[float], rng: random.Random) -> Move:
    top = max(ratings)
    return rng.choices(moves, [math.exp((r - top) / TEMPERATURE) for r in ratings])[0]
