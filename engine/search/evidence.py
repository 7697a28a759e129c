"""A candidate as the search sees it: a frozen reading of its archive document, and how candidates compare."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, key_of

FAILED = ("failed", "infeasible")
_HIDDEN: dict[str, Any] = {
    "status": "queued",
    "overall": None,
    "benchmarks": {},
    "cause": None,
    "reflection": None,
}


@dataclass(frozen=True)
class Benchmark:
    """One task's score, 0-100, with its 95 % interval over problems."""

    value: float
    low: float
    high: float
    metric: str


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
    cause: str | None = None
    hypothesis: str = ""
    reflection: str | None = None

    @property
    def scored(self) -> bool:
        """Whether it may be compared: pruned candidates keep their scores but not their vote."""
        return self.status == "scored" and self.overall is not None

    @property
    def key(self) -> str:
        """Equal for equal sets of mechanisms."""
        return key_of(self.mechanisms)


def from_document(document: Mapping[str, Any]) -> Evidence:
    """Read a candidate document of the archive."""
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
        cause=document.get("cause"),
        hypothesis=proposal.get("hypothesis") or "",
        reflection=document.get("reflection"),
    )


def seen(documents: Sequence[Mapping[str, Any]], visible: Collection[int]) -> list[Evidence]:
    """What one decision may see of the archive.

    Args:
        documents: all candidates decided so far, slot by slot: their proposals are known in any case.
        visible: the slots whose results the decision sees (`engine.loop.settled.visible`).

    Returns:
        One `Evidence` a document; those not visible are "queued", without a result, whatever became of them.
    """
    found = []
    for slot, document in enumerate(documents):
        if slot in visible:
            found.append(from_document(document))
        else:
            found.append(from_document({**document, **_HIDDEN}))
    return found


def distance(a: Evidence, b: Evidence) -> float:
    """Jaccard distance of two sets of mechanisms, in [0, 1]; one with other constants counts half."""
    left, right = ({m.name: m.key for m in e.mechanisms} for e in (a, b))
    names = left.keys() | right.keys()
    if not names:
        return 0.0
    same = sum(1.0 if left[n] == right[n] else 0.5 for n in left.keys() & right.keys())
    return 1.0 - same / len(names)


def fronts(candidates: Sequence[Evidence]) -> dict[str, int]:
    """Pareto front of each scored candidate over the tasks: 0 is undominated, 1 is so without front 0..."""
    left = [c for c in candidates if c.scored]
    found: dict[str, int] = {}
    front = 0
    while left:
        best = [c for c in left if not any(_dominates(other, c) for other in left)]
        found.update({c.id: front for c in best})
        left = [c for c in left if c.id not in found]
        front += 1
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


def _dominates(a: Evidence, b: Evidence) -> bool:
    tasks = b.benchmarks.keys() & a.benchmarks.keys()
    pairs = [(a.benchmarks[t].value, b.benchmarks[t].value) for t in tasks]
    return bool(pairs) and all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)
