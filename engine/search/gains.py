"""What the archive says of each mechanism: its mean gain over the parent, shrunk while trials are few."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.algorithms.catalogue import MechanismChoice, catalogue
from engine.search.evidence import FAILED, Evidence, difference, lineage

SHRINKAGE = 2.0
"""Trials at zero gain that every mechanism starts with: one trial alone keeps a third of its gain."""
ABLATION = 4
"""Trials that an effect shown by switching a mechanism off counts as: it rests on several seeds and on nothing else."""
FAILURE_COST = 2.0
"""Points of Overall that a candidate which failed counts as lost."""


@dataclass(frozen=True)
class Gain:
    """The record of one mechanism, or of one mechanism with its constants."""

    trials: int = 0
    failures: int = 0
    total: float = 0.0
    """Summed gains over the parent in points of Overall; a change of several is shared out equally."""

    @property
    def mean(self) -> float:
        """Mean observed gain; 0 without trials."""
        return self.total / self.trials if self.trials else 0.0

    @property
    def shrunk(self) -> float:
        """The estimate that decisions use."""
        lost = FAILURE_COST * self.failures
        return (self.total - lost) / (self.trials + self.failures + SHRINKAGE)

    @property
    def seen(self) -> int:
        """Trials and failures."""
        return self.trials + self.failures

    def plus(self, gain: float | None) -> Gain:
        """With one more result; None is a failure."""
        if gain is None:
            return Gain(self.trials, self.failures + 1, self.total)
        return Gain(self.trials + 1, self.failures, self.total + gain)


def mechanism_gains(candidates: Sequence[Evidence]) -> dict[str, Gain]:
    """By mechanism name (added +, removed -) and by `MechanismChoice.key` (with just these constants)."""
    found: dict[str, Gain] = {}
    by_id = {c.id: c for c in candidates}
    for child in candidates:
        parent = by_id.get(child.parent or "")
        if parent is None or parent.overall is None:
            continue
        gain = difference(child, parent)
        if gain is None and child.status not in FAILED:
            continue
        added, removed, tuned = changes(parent.mechanisms, child.mechanisms)
        share = max(len(added) + len(removed) + len(tuned), 1)
        part = None if gain is None else gain / share
        for choice in added:
            _add(found, choice.name, part)
            _add(found, choice.key, part)
        for choice in tuned:
            _add(found, choice.key, part)
        for choice in removed:
            if part is not None:
                _add(found, choice.name, -part)
    for effect in (effect for c in candidates for effect in c.effects):
        for _ in range(ABLATION):
            _add(found, effect.name, effect.points)
    return found


def expected_gain(
    before: Sequence[MechanismChoice], after: Sequence[MechanismChoice], gains: Mapping[str, Gain]
) -> float:
    """Points of Overall that a change of mechanisms promises, by the archive's record of each: the shrunk gains, with
    a bonus of 1/sqrt(1 + n) for what was seen n times (half of it for new constants), over the root of their number.
    """
    added, removed, tuned = changes(before, after)
    total = 0.0
    for choice in added:
        record = gains.get(choice.name, Gain())
        total += gains.get(choice.key, record).shrunk + 1 / math.sqrt(1 + record.seen)
    for choice in removed:
        total -= gains.get(choice.name, Gain()).shrunk
    for choice in tuned:
        record = gains.get(choice.key, Gain())
        total += record.shrunk + 0.5 / math.sqrt(1 + record.seen)
    return total / math.sqrt(max(len(added) + len(removed) + len(tuned), 1))


def lessons(candidates: Sequence[Evidence], parent: str) -> dict[str, int]:
    """By library mechanism: how many findings of a candidate, its ancestors and its children say to try it next, less
    those that say never again.
    """
    near = {*lineage(candidates, parent), *(c.id for c in candidates if c.parent == parent)}
    found: dict[str, int] = {}
    for c in candidates:
        for finding in c.findings if c.id in near else ():
            for text, sign in ((finding.next, 1), (finding.never, -1)):
                for name in dict.fromkeys(re.findall(r"\w+", text or "")):
                    if name in catalogue():
                        found[name] = found.get(name, 0) + sign
    return found


def changes(
    before: Iterable[MechanismChoice], after: Iterable[MechanismChoice]
) -> tuple[list[MechanismChoice], list[MechanismChoice], list[MechanismChoice]]:
    """Mechanisms that are new, gone, and kept with other constants (as they are after)."""
    old, new = {m.name: m for m in before}, {m.name: m for m in after}
    added = [m for name, m in new.items() if name not in old]
    removed = [m for name, m in old.items() if name not in new]
    tuned = [m for name, m in new.items() if name in old and old[name].key != m.key]
    return added, removed, tuned


def _add(found: dict[str, Gain], key: str, gain: float | None) -> None:
    found[key] = found.get(key, Gain()).plus(gain)
