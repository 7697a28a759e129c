"""Screening: every proposal of a population, broken ones included, rated on what can be measured, with reasons."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.algorithms.catalogue import catalogue
from engine.search.answers import Answer, ProposalAnswer
from engine.search.context import Request
from engine.search.directions import Direction
from engine.search.effects import CLAIMS, claims_of
from engine.search.evidence import Evidence
from engine.search.evidence import distance as apart
from engine.search.gains import changes, expected_gain, mechanism_gains
from engine.search.text import one_line
from engine.search.wishes import preferences
from engine.verify.distance import distance

WEIGHTS = {"logic": 0.2, "feasibility": 0.3, "novelty": 0.2, "gain": 0.3, "directive": 0.2}
"""Of the terms; the last one only where there is a directive."""
READING = 0.4
"""Share of the model's own reading in a score, where there is one."""


@dataclass(frozen=True)
class Draft:
    """One of the parallel proposals, as it came in."""

    place: int
    """From 1, in the order of the directions."""
    direction: Direction
    model: str
    text: str
    """The whole answer."""
    wire: ProposalAnswer | None
    """The answer, if it had the right shape."""
    answer: Answer | None
    """The answer, if its file can be read as well."""
    problems: tuple[str, ...] = ()
    """What is wrong with it; one that can be read may still be a repetition, or fail its verification."""
    signature: Mapping[str, Any] | None = None
    """What verification saw it do; None where it has not run."""

    @cached_property
    def name(self) -> str:
        """Of the algorithm, as far as it is known."""
        return self.answer.name if self.answer else one_line(self.wire.name, 48) if self.wire else ""

    @cached_property
    def hypothesis(self) -> str:
        """On one line; empty if the answer had no shape."""
        return one_line(self.wire.hypothesis, 600) if self.wire else ""


@dataclass(frozen=True)
class Rated:
    """One draft's place in the ranking, and why."""

    draft: Draft
    terms: Mapping[str, float]
    """By the names of WEIGHTS; each in [0, 1]."""
    why: str
    reading: float | None = None
    """The model's own, in [0, 1]."""
    reading_why: str = ""

    @property
    def score(self) -> float:
        """In [0, 1]."""
        measured = sum(WEIGHTS[name] * value for name, value in self.terms.items())
        measured /= sum(WEIGHTS[name] for name in self.terms)
        return measured if self.reading is None else (1 - READING) * measured + READING * self.reading

    def document(self, outcome: str) -> dict[str, Any]:
        """A row of the proposal's `screening`."""
        return {
            "place": self.draft.place,
            "direction": self.draft.direction.id,
            "name": self.draft.name,
            "hypothesis": self.draft.hypothesis,
            "score": round(self.score, 3),
            "terms": {name: round(value, 3) for name, value in self.terms.items()},
            "reading": None if self.reading is None else round(self.reading, 3),
            "why": self.why + (f"; read as: {self.reading_why}" if self.reading_why else ""),
            "outcome": outcome,
        }


def screen(drafts: Sequence[Draft], request: Request, signatures: Sequence[Mapping[str, Any]] = ()) -> list[Rated]:
    """Every draft with its terms, best first; of equals the earlier direction.

    Args:
        drafts: the population.
        request: what they were made from.
        signatures: verification's, of earlier candidates; for those drafts that have one.
    """
    parent = next(c for c in request.candidates if c.id == request.parent)
    gains = mechanism_gains(request.candidates)
    found = []
    for draft in drafts:
        logic, said_logic = _logic(draft, parent)
        feasibility, said_feasibility = _feasibility(draft)
        novelty, said_novelty = _novelty(draft, drafts, request.candidates, signatures)
        gain, said_gain = 0.5, "its gain is anybody's guess"
        if draft.answer is not None:
            points = expected_gain(parent.mechanisms, draft.answer.mechanisms, gains)
            gain, said_gain = 1 / (1 + math.exp(-points)), f"{points:+.1f} points expected"
        terms = {"logic": logic, "feasibility": feasibility, "novelty": novelty, "gain": gain}
        why = [said_logic, said_feasibility, said_novelty, said_gain]
        if request.directive:
            terms["directive"], said = _directive(draft, request.directive, parent)
            why.append(said)
        found.append(Rated(draft, terms, "; ".join(why)))
    return ranked(found)


def ranked(rated: Sequence[Rated]) -> list[Rated]:
    """Best first."""
    return sorted(rated, key=lambda r: (-r.score, r.draft.place))


def _logic(draft: Draft, parent: Evidence) -> tuple[float, str]:
    """Do the mechanisms do what is claimed of them, and does the hypothesis speak of what changes?"""
    if draft.wire is None:
        return 0.0, "it says nothing that can be read"
    bottleneck = 0.2 if draft.wire.bottleneck.strip() else 0.0
    if draft.answer is None:
        return bottleneck + 0.3, "its claims cannot be held against code"
    mechanisms, claims = draft.answer.mechanisms, draft.answer.expected
    own = any(m.name not in catalogue() for m in mechanisms)
    known = {claim for m in mechanisms for claim in claims_of(m) or CLAIMS.get(m.name, ())}
    backed = [c for c in claims if c in known]
    # What a mechanism of the model's own does is not known before it is measured.
    share = len(backed) / len(claims) if claims and not own else 0.5
    added, removed, tuned = changes(parent.mechanisms, mechanisms)
    touched = [m.name for m in (*added, *removed, *tuned)]
    text = " ".join((draft.hypothesis, *draft.answer.words)).lower()
    named = sum(_spoken_of(name, text) for name in touched) / len(touched) if touched else 0.0
    said = f"{len(backed)} of {len(claims)} claims known of its mechanisms" if claims else "it claims nothing"
    return bottleneck + 0.4 * share + 0.4 * named, f"{said}, {named:.0%} of its changes explained"


def _spoken_of(name: str, text: str) -> bool:
    """`ClipHigher` is spoken of in "ClipHigher", and in "clip higher"."""
    return name.lower() in text or " ".join(re.findall(r"[A-Z][a-z0-9]*", name)).lower() in text


def _feasibility(draft: Draft) -> tuple[float, str]:
    if draft.wire is None:
        return 0.0, f"unreadable ({draft.problems[0]})"
    if draft.answer is None:
        return 0.2, f"its file is broken ({draft.problems[0]})"
    if draft.problems:
        return 0.3, draft.problems[0]
    own = sum(m.name not in catalogue() for m in draft.answer.mechanisms)
    tested = "verified" if draft.signature is not None else "readable"
    value = (1.0 if draft.signature is not None else 0.9) - 0.1 * own - 0.05 * max(len(draft.answer.mechanisms) - 3, 0)
    return max(value, 0.4), f"{tested}, {own} mechanisms of its own" if own else tested


def _novelty(
    draft: Draft, drafts: Sequence[Draft], candidates: Sequence[Evidence], signatures: Sequence[Mapping[str, Any]]
) -> tuple[float, str]:
    """Distance to what is nearest: by mechanisms and words, and by behaviour where it was measured."""
    if draft.wire is None:
        return 0.0, "nothing to compare"
    others = [d for d in drafts if d is not draft]
    told = _words(draft.hypothesis)
    texts = [c.hypothesis for c in candidates[-128:] if c.hypothesis] + [d.hypothesis for d in others if d.hypothesis]
    by_text = min((_apart(told, _words(t)) for t in texts), default=1.0)
    if draft.answer is None:
        return by_text, f"its words are {by_text:.2f} from the nearest"
    sets = [*candidates, *(_as_evidence(d) for d in others if d.answer is not None)]
    mine = _as_evidence(draft)
    by_mechanism, nearest = min((apart(mine, other), other.name) for other in sets)
    value, said = (
        (by_mechanism + by_text) / 2,
        f"{by_mechanism:.2f} from {nearest} by mechanisms, {by_text:.2f} by words",
    )
    if draft.signature is not None:
        known = [*signatures, *(d.signature for d in others if d.signature is not None)]
        by_behaviour = min((distance(draft.signature, s) for s in known), default=1.0)
        value = (value + min(4 * by_behaviour, 1.0)) / 2
        said += f", {by_behaviour:.2f} by behaviour"
    return value, said


def _directive(draft: Draft, directive: str, parent: Evidence) -> tuple[float, str]:
    """Does what it adds or tunes serve the directive, as far as that is known of library mechanisms?"""
    if draft.answer is None:
        return 0.5, "whether it follows the directive is not known"
    added, removed, tuned = changes(parent.mechanisms, draft.answer.mechanisms)
    wanted = preferences(directive, catalogue().values())
    points = sum(wanted.get(m.name, 0.0) for m in (*added, *tuned)) - sum(wanted.get(m.name, 0.0) for m in removed)
    said = (
        "serves the directive"
        if points > 0
        else "goes against the directive"
        if points < 0
        else "is beside the directive"
    )
    return 1 / (1 + math.exp(-points)), said


def _as_evidence(draft: Draft) -> Evidence:
    assert draft.answer is not None
    return Evidence(f"#{draft.place}", f"proposal {draft.place}", None, "queued", draft.answer.mechanisms)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{4,}", text.lower()))


def _apart(a: frozenset[str], b: frozenset[str]) -> float:
    return 1.0 - len(a & b) / len(a | b) if a or b else 0.0
