"""Ideas: proposals that were made and not chosen. The archive keeps them, later rounds may pick them up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, digest_of

MOST = 6
"""Ideas offered to one proposal."""


@dataclass(frozen=True)
class Idea:
    """One proposal that waits for its turn."""

    id: str
    """`c012/2`: the candidate whose round made it, and its place among the proposals there."""
    name: str
    hypothesis: str
    direction: str
    """What it was asked to try; empty for an idea that somebody injected."""
    mechanisms: tuple[MechanismChoice, ...]
    """None for one in words."""
    code: str
    why: str
    """Why another one was chosen."""

    def document(self) -> dict[str, Any]:
        """As it stands in a candidate document's `ideas`."""
        plain = {key: getattr(self, key) for key in ("id", "name", "hypothesis", "direction", "code", "why")}
        return {**plain, "mechanisms": [m.document() for m in self.mechanisms]}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Idea:
        """The reverse of `document`. Raises KeyError for a document that is none."""
        plain = {key: str(document[key]) for key in ("id", "name", "hypothesis", "direction", "code", "why")}
        listed = (MechanismChoice(m["name"], m["params"]) for m in document["mechanisms"])
        return cls(mechanisms=tuple(listed), **plain)


def open_ideas(
    documents: Sequence[Mapping[str, Any]], parent: str, tried: Collection[str] = (), most: int = MOST
) -> list[dict[str, Any]]:
    """The ideas that nobody has tried yet, nearest to a parent first: its own round's, its relatives', the newest.

    Args:
        documents: candidate documents of the archive, in order; an idea is part of a proposal and thus known
            whatever became of the candidate. Pruned ones offer nothing.
        parent: id of the selected parent.
        tried: digests (`catalogue.digest_of`) of sets of mechanisms that were proposed, besides the documents' own.
        most: how many.
    """
    done = {*tried, *(digest_of(_mechanisms(d.get("proposal") or {})) for d in documents)}
    parents = {d["id"]: d["parent"] for d in documents}
    family: list[str | None] = [parent]
    while family[-1] is not None and parents.get(family[-1]) not in family:
        family.append(parents.get(family[-1]))
    found = []
    for age, d in enumerate(reversed(documents)):
        if d["status"] == "pruned":
            continue
        near = 0 if d["id"] == parent or d["parent"] == parent else 1 if d["id"] in family else 2
        for place, idea in enumerate(d.get("ideas") or ()):
            digest = digest_of(_mechanisms(idea))
            if not idea["mechanisms"] or digest not in done:
                found.append((near, age, place, dict(idea)))
                if idea["mechanisms"]:
                    done.add(digest)
    return [idea for _, _, _, idea in sorted(found, key=lambda row: row[:3])[:most]]


def _mechanisms(document: Mapping[str, Any]) -> list[MechanismChoice]:
    return [MechanismChoice(m["name"], m["params"]) for m in document.get("mechanisms") or ()]
