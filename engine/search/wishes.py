"""A directive in plain words as weights over mechanisms: what it asks for, what it asks to leave alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.algorithms.catalogue import Entry, stages
from engine.search.effects import CLAIMS

NAMED, CLAIMED, MENTIONED, STAGE = 2.0, 1.0, 0.6, 0.5
"""Points for a mechanism that is named, is known to have the effect, speaks of it, or hooks the stage."""
AVERSION = 2.0
"""What is asked to be left alone weighs this much more than what is asked for."""

_NOT = re.compile(
    r"\b(no|not|never|avoid|without|except|stop|don't|dont|nor|neither|prevent|against|leave|ignore)\b|n't\b"
)
_CLAUSES = re.compile(r"[.;,:!?\n]+|\bbut\b|\bwhile\b|\brather than\b(?= )")


@dataclass(frozen=True)
class Wish:
    """One thing a directive may be about."""

    name: str
    toward: str
    """Words that ask for it."""
    away: str
    """Words for its opposite; where they stand, the others of the clause do not count."""
    claims: frozenset[str]
    """What a mechanism that serves it is measured to do."""
    docs: str
    """How the docs of one that may serve it speak."""


def _wish(name: str, toward: str, away: str, claims: str, docs: str) -> Wish:
    return Wish(name, rf"\b(?:{toward})", rf"\b(?:{away})", frozenset(claims.split()), docs)


WISHES = (
    _wish(
        *("brevity", "short|compress|concis|brief|terse|trim|length|tokens?\\b|efficien", "long|verbos|lengthy|rambl"),
        *("penalises_length length_only_when_correct penalises_truncated", r"length|overlong|long rows|brevity"),
    ),
    _wish(
        *("exploration", "explor|divers|entrop|creativ", "collaps|determinis|premature"),
        *("strengthens_entropy_bonus adapts_entropy_bonus", r"entropy|unlikely"),
    ),
    _wish(
        *("format", "format|valid|pars|readab", "invalid|unread|malform|unpars"),
        *("penalises_invalid ignores_invalid", r"valid|invalid|format"),
    ),
    _wish(
        *("hard problems", "hard|difficult|rare|unsolved|challeng", "easy|easier|trivial"),
        *("raises_rare_successes", r"rare|rarely|difficult|pass rate"),
    ),
    _wish(
        *("stability", "stab|robust|smooth", "spik|nois|varianc|diverg|instab|unstab|explod|blow"),
        *("bounded_advantages bounds_extreme_ratios distrusts_off_policy_rows", r"clip|bound|floor|deviation"),
    ),
    _wish(
        *("accuracy", "accura|correct|right answer", "wrong|incorrect|mistake"),
        *("length_only_when_correct stronger_on_successes", r"correct"),
    ),
    _wish(
        *("closeness to the reference", "kl\\b|reference|conservativ|close to", "drift|far from|forget"),
        *("strengthens_kl", r"\bKL\b|reference"),
    ),
)


def wishes(directive: str) -> dict[str, int]:
    """What a directive is about, by name: how many clauses ask for it less those that ask to leave it alone."""
    found: dict[str, int] = {}
    for clause in _clauses(directive):
        for wish in WISHES:
            hit, sign = re.search(wish.away, clause), -1
            if hit is None:
                hit, sign = re.search(wish.toward, clause), 1
            if hit is not None:
                negated = _NOT.search(clause[: hit.start()]) is not None
                # "Avoid long answers" asks for brevity; "long answers" alone names what is wrong with them.
                found[wish.name] = found.get(wish.name, 0) + (-1 if negated and sign > 0 else 1)
    return found


def preferences(directive: str, entries: Iterable[Entry]) -> dict[str, float]:
    """Points for each mechanism that a directive speaks for (or, below zero, against), by name."""
    clauses = _clauses(directive)
    asked = [(w, n) for w in WISHES if (n := wishes(directive).get(w.name, 0))] if clauses else []
    hooks = {stage: sign for clause in clauses for stage, sign in _stages_in(clause)}
    found: dict[str, float] = {}
    for entry in entries if clauses else ():
        points = sum(_signed(n) * _serves(entry, wish) for wish, n in asked)
        points += sum(_signed(sign) * STAGE for stage, sign in hooks.items() if stage in entry.stages)
        named = [s for clause in clauses if (s := _names(clause, entry.name))]
        if named:
            points = sum(_signed(sign) * NAMED for sign in named)
        if points:
            found[entry.name] = points
    return found


def _signed(times: int) -> float:
    return float(times) if times > 0 else AVERSION * times


def _serves(entry: Entry, wish: Wish) -> float:
    if not wish.claims.isdisjoint(CLAIMS.get(entry.name, ())):
        return CLAIMED
    return MENTIONED if re.search(wish.docs, entry.doc) else 0.0


def _names(clause: str, name: str) -> int:
    """1 if a clause names a mechanism, -1 if it does so to leave it alone, 0 if it does not."""
    hit = re.search(rf"\b{re.escape(name.lower())}\b", clause)
    return 0 if hit is None else -1 if _NOT.search(clause[: hit.start()]) else 1


def _stages_in(clause: str) -> list[tuple[str, int]]:
    hits = [(stage, re.search(rf"\b{stage}\b", clause)) for stage in stages()]
    return [(stage, -1 if _NOT.search(clause[: hit.start()]) else 1) for stage, hit in hits if hit is not None]


def _clauses(directive: str) -> list[str]:
    return [clause for part in _CLAUSES.split(directive.lower()) if (clause := part.strip())]
