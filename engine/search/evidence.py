"""A candidate as the search sees it: a frozen reading of its archive document, and how candidates compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import nsmallest
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, key_of
from engine.search.curves import Curves
from engine.search.findings import Finding
from engine.search.pareto import fronts as fronts_of

FAILED = ("failed", "infeasible")
LONGEST_LIST = 128
OF_EACH_TASK = 4
_HIDDEN: dict[str, Any] = {
    "status": "queued",
    "overall": None,
    "benchmarks": {},
    "cause": None,
    "reflection": None,
    "findings": [],
    "fidelity": 0.0,
    "by_rung": {},
    "attribution": None,
}
_CHANGING = ("status", "overall", "fidelity", "attribution", "reflection", "pinned", "cause")
"""Fields that may change of a settled candidate, and with which all others do: what came of it and of its branch."""


@dataclass(frozen=True)
class Benchmark:
    """One task's score, 0-100, with its 95 % interval over problems."""

    value: float
    low: float
    high: float
    metric: str


@dataclass(frozen=True)
class Effect:
    """What one mechanism pays by an ablation: the algorithm minus the algorithm without it, with its 95 % interval."""

    name: str
    points: float
    low: float
    high: float
    verdict: str

    def line(self) -> str:
        """In words."""
        return f"{self.name}: {self.verdict}, {self.points:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True)
class Evidence:
    """One candidate."""

    id: str
    name: str
    parent: str | None
    status: str
    mechanisms: tuple[MechanismChoice, ...] = ()
    overall: float | None = None
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    fidelity: float = 1.0
    """Share of a training that the score is from; below 1, `overall` and `benchmarks` are expectations for the end."""
    by_rung: Mapping[float, float] = field(default_factory=dict)
    """The final Overall as it is expected from each rung that was reached, see `engine.search.fidelity`."""
    cause: str | None = None
    hypothesis: str = ""
    reflection: str | None = None
    depth: int = 0
    """Generations from the root."""
    curves: Curves | None = None
    """Of its own training; None where none is known."""
    findings: tuple[Finding, ...] = ()
    """What its reflection claims."""
    expected: tuple[str, ...] = ()
    """Effects that its proposal named, in the words of `engine.search.effects`."""
    pinned: bool = False
    """Its user wants it to be a parent."""
    arm: str = "search"
    """`control` for an independent proposal that the search must not see."""
    effects: tuple[Effect, ...] = ()
    """What switching its mechanisms off has shown."""
    fingerprint: tuple[float, ...] | None = None
    """What it does, as `fingerprint_of` reads it from its verification; None where that is not known."""

    @property
    def scored(self) -> bool:
        """Whether it may be compared: pruned candidates keep their scores but not their vote."""
        return self.status in ("scored", "stopped") and self.overall is not None

    @property
    def told(self) -> str:
        """Its Overall in words; one that is only expected says so."""
        if self.overall is None:
            return "no score"
        early = "" if self.fidelity >= 1 else f" (expected, from {self.fidelity:.0%} of a training)"
        return f"{self.overall:.2f}{early}"

    @property
    def eligible(self) -> bool:
        """Whether it may be a parent: the root always, others once scored, unless pruned or of the control arm."""
        return self.arm == "search" and (self.parent is None or self.scored)

    @cached_property
    def key(self) -> str:
        """Equal for equal sets of mechanisms."""
        return key_of(self.mechanisms)

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The key of each mechanism by its name."""
        return {m.name: m.key for m in self.mechanisms}


def from_document(
    document: Mapping[str, Any], curves: Curves | None = None, fingerprint: tuple[float, ...] | None = None
) -> Evidence:
    """Read a candidate document of the archive, with its training's curves and its fingerprint where they are known."""
    proposal = document.get("proposal") or {}
    return Evidence(
        id=document["id"],
        name=document["name"],
        parent=document["parent"],
        status=document["status"],
        mechanisms=tuple(MechanismChoice(m["name"], m["params"]) for m in proposal.get("mechanisms", [])),
        overall=document.get("overall"),
        benchmarks={
            task: Benchmark(b["value"], b["ci"][0], b["ci"][1], b["metric"])
            for task, b in sorted((document.get("benchmarks") or {}).items())
        },
        fidelity=document.get("fidelity", 1.0),
        by_rung=document.get("by_rung") or {},
        cause=document.get("cause"),
        hypothesis=proposal.get("hypothesis") or "",
        reflection=document.get("reflection"),
        depth=document.get("depth", 0),
        curves=curves,
        findings=tuple(Finding.read(f) for f in document.get("findings") or ()),
        expected=tuple(proposal.get("expected") or ()),
        pinned=bool(document.get("pinned")),
        arm=document.get("arm", "search"),
        effects=tuple(
            Effect(m["name"], m["off"]["effect"], m["off"]["low"], m["off"]["high"], m["verdict"])
            for m in (document.get("attribution") or {}).get("mechanisms", ())
        ),
        fingerprint=fingerprint,
    )


def difference(child: Evidence, parent: Evidence) -> float | None:
    """Points of Overall between two candidates, at the furthest rung that both have reached; None if there is none."""
    common = child.by_rung.keys() & parent.by_rung.keys()
    if common:
        return child.by_rung[max(common)] - parent.by_rung[max(common)]
    if child.overall is None or parent.overall is None or child.fidelity != parent.fidelity:
        return None
    return child.overall - parent.overall


def fingerprint_of(report: Mapping[str, Any]) -> tuple[float, ...] | None:
    """A verification's signature as one vector, in units of its own length, since Adam removes a common factor.

    None for a report without signature, or of an algorithm that moves nothing.
    """
    signature = report.get("signature") or {}
    flat = [x for _, entry in sorted(signature.items()) for part in ("policy", "rest") for x in entry[part]]
    length = math.hypot(*flat)
    return tuple(x / length for x in flat) if length > 0 else None


def seen(
    documents: Sequence[Mapping[str, Any]],
    visible: Collection[int],
    curves: Callable[[str], Curves | None] = lambda _: None,
    fingerprint: Callable[[str], tuple[float, ...] | None] = lambda _: None,
) -> list[Evidence]:
    """What one decision may see of the archive.

    Args:
        documents: all candidates decided so far, slot by slot: their proposals are known in any case.
        visible: the slots whose results the decision sees (`engine.loop.settled.visible`).
        curves: gives those of a candidate's training by its id; asked for visible ones only.
        fingerprint: gives a candidate's by its id; asked for visible ones only.

    Returns:
        One `Evidence` a document; those not visible are "queued", without a result, whatever became of them.
    """
    return Reader().seen(documents, visible, curves, fingerprint)


def hidden(document: Mapping[str, Any]) -> Evidence:
    """A candidate whose slot has not settled: its proposal without a result."""
    return from_document({**document, **_HIDDEN})


class Reader:
    """`seen` for one decision after the other: what has not changed since is not read again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], Evidence]] = {}

    def seen(
        self,
        documents: Sequence[Mapping[str, Any]],
        visible: Collection[int],
        curves: Callable[[str], Curves | None] = lambda _: None,
        fingerprint: Callable[[str], tuple[float, ...] | None] = lambda _: None,
    ) -> list[Evidence]:
        """As the function `seen`."""
        found = []
        for slot, document in enumerate(documents):
            settled = slot in visible
            state = (settled, *(document.get(field) for field in _CHANGING)) if settled else (document.get("pinned"),)
            id = document["id"]
            kept = self._kept.get(id)
            if kept is None or kept[0] != state:
                evidence = from_document(document, curves(id), fingerprint(id)) if settled else hidden(document)
                kept = self._kept[id] = (state, evidence)
            found.append(kept[1])
        return found


def distance(a: Evidence, b: Evidence) -> float:
    """Jaccard distance of two sets of mechanisms, in [0, 1]; one with other constants counts half."""
    names = a.keys.keys() | b.keys.keys()
    shared = a.keys.keys() & b.keys.keys()
    same = sum(1.0 if a.keys[n] == b.keys[n] else 0.5 for n in shared)
    return 1.0 - same / len(names) if names else 0.0


def shortlist(candidates: Sequence[Evidence], promise: Mapping[str, float] | None = None) -> list[Evidence]:
    """The root and at most `LONGEST_LIST` other eligible candidates, in order.

    A decision compares each with each; without this bound its time would grow with the square of the archive. Kept are
    the newest quarter, the most promising quarter, the best of every task, and the best by Overall.

    Args:
        promise: what is expected of each one's descendants, by id; none: that quarter goes to the best by Overall.
    """
    others = [c for c in candidates if c.eligible and c.parent is not None]
    if len(others) <= LONGEST_LIST:
        return [c for c in candidates if c.eligible]
    quarter = LONGEST_LIST // 4
    kept = {c.id for c in others[-quarter:]} | {c.id for c in others if c.pinned}
    if promise:
        kept |= {c.id for c in nsmallest(quarter, others, key=lambda c: (-promise.get(c.id, -math.inf), c.id))}
    for task in sorted({task for c in others for task in c.benchmarks}):
        able = (c for c in others if task in c.benchmarks)
        kept |= {c.id for c in nsmallest(OF_EACH_TASK, able, key=lambda c: (-c.benchmarks[task].value, c.id))}
    for c in nsmallest(LONGEST_LIST, others, key=lambda c: (-(c.overall or 0.0), c.id)):
        if len(kept) >= LONGEST_LIST:
            break
        kept.add(c.id)
    return [c for c in candidates if c.eligible and (c.parent is None or c.id in kept)]


def fronts(candidates: Sequence[Evidence]) -> dict[str, int]:
    """Pareto front of each scored candidate over the tasks: 0 is undominated, 1 is so without front 0..."""
    tasks = sorted({task for c in candidates for task in c.benchmarks})
    rows = {
        c.id: [c.benchmarks[t].value if t in c.benchmarks else -math.inf for t in tasks] for c in candidates if c.scored
    }
    return dict(zip(rows, fronts_of(list(rows.values())), strict=True))


def branches(candidates: Sequence[Evidence]) -> dict[str, str]:
    """The branch below the root that each candidate belongs to, named by its first node; the root is its own."""
    roots = {c.id for c in candidates if c.parent is None}
    found: dict[str, str] = {}
    for c in candidates:  # in the order of decisions: parents come before children
        found[c.id] = c.id if c.parent is None or c.parent in roots else found.get(c.parent, c.id)
    return found


def lineage(candidates: Sequence[Evidence], id: str) -> list[str]:
    """The candidate's id and those of its ancestors, up to the root."""
    parents = {c.id: c.parent for c in candidates}
    found: list[str] = []
    at: str | None = id
    while at is not None and at not in found:
        found.append(at)
        at = parents.get(at)
    return found
