"""A candidate as the search sees it: a frozen reading of its archive document, and how candidates compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, key_of
from engine.search.curves import Curves
from engine.search.findings import Finding

FAILED = ("failed", "infeasible")
LONGEST_LIST = 128
_HIDDEN: dict[str, Any] = {
    "status": "queued",
    "overall": None,
    "benchmarks": {},
    "cause": None,
    "reflection": None,
    "findings": [],
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

    @property
    def scored(self) -> bool:
        """Whether it may be compared: pruned candidates keep their scores but not their vote."""
        return self.status == "scored" and self.overall is not None

    @cached_property
    def key(self) -> str:
        """Equal for equal sets of mechanisms."""
        return key_of(self.mechanisms)

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The key of each mechanism by its name."""
        return {m.name: m.key for m in self.mechanisms}


def from_document(document: Mapping[str, Any], curves: Curves | None = None) -> Evidence:
    """Read a candidate document of the archive, with the curves of its training where they are known."""
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
        depth=document.get("depth", 0),
        curves=curves,
        findings=tuple(Finding.read(f) for f in document.get("findings") or ()),
        expected=tuple(proposal.get("expected") or ()),
        pinned=bool(document.get("pinned")),
        arm=document.get("arm", "search"),
    )


def seen(
    documents: Sequence[Mapping[str, Any]],
    visible: Collection[int],
    curves: Callable[[str], Curves | None] = lambda _: None,
) -> list[Evidence]:
    """What one decision may see of the archive.

    Args:
        documents: all candidates decided so far, slot by slot: their proposals are known in any case.
        visible: the slots whose results the decision sees (`engine.loop.settled.visible`).
        curves: gives those of a candidate's training by its id; asked for visible ones only.

    Returns:
        One `Evidence` a document; those not visible are "queued", without a result, whatever became of them.
    """
    found = []
    for slot, document in enumerate(documents):
        if slot in visible:
            found.append(from_document(document, curves(document["id"])))
        else:
            found.append(from_document({**document, **_HIDDEN}))
    return found


def distance(a: Evidence, b: Evidence) -> float:
    """Jaccard distance of two sets of mechanisms, in [0, 1]; one with other constants counts half."""
    names = a.keys.keys() | b.keys.keys()
    shared = a.keys.keys() & b.keys.keys()
    same = sum(1.0 if a.keys[n] == b.keys[n] else 0.5 for n in shared)
    return 1.0 - same / len(names) if names else 0.0


def shortlist(candidates: Sequence[Evidence]) -> list[Evidence]:
    """The root and the scored candidates, at most `LONGEST_LIST`, in order: the best three quarters, the newest rest.

    A decision compares each with each; without this bound its time would grow with the square of the archive.
    """
    scored = [c for c in candidates if c.scored and c.parent is not None]
    newest = scored[::-1][: LONGEST_LIST // 4]
    rest = sorted((c for c in scored if c not in newest), key=lambda c: (-(c.overall or 0.0), c.id))
    kept = {c.id for c in newest + rest[: LONGEST_LIST - len(newest)]}
    return [c for c in candidates if c.parent is None or c.id in kept]


def fronts(candidates: Sequence[Evidence]) -> dict[str, int]:
    """Pareto front of each scored candidate over the tasks: 0 is undominated, 1 is so without front 0..."""
    tasks = sorted({task for c in candidates for task in c.benchmarks})
    left = {
        c.id: [c.benchmarks[t].value if t in c.benchmarks else -math.inf for t in tasks] for c in candidates if c.scored
    }
    found: dict[str, int] = {}
    front = 0
    while left:
        best = [id for id, row in left.items() if not any(_dominates(other, row) for other in left.values())]
        found.update(dict.fromkeys(best, front))
        left = {id: row for id, row in left.items() if id not in found}
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


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))
