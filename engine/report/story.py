"""A run as the report needs it: its documents, with what older runs lack filled in or said to be missing."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.archive.files import read_limited
from engine.archive.folder import RunFolder, shown_status
from engine.archive.store import Document, read_archive
from engine.errors import PoiseError
from engine.stats.noise import expected_best
from engine.untrusted import one_line

WHOLE = 1.0
MOST_BYTES = 8 << 20
DISCOVERY = ("search", "baseline", "control")
"""Purposes of the trainings that a search needs; confirmation and attribution come on top."""


@dataclass(frozen=True)
class Level:
    """The root at one rung: its trainings' mean and their standard deviation (n - 1), which is the noise."""

    mean: float
    std: float | None
    seeds: int


@dataclass(frozen=True)
class Story:
    """One run, read once.

    Attributes:
        folder: where it lives.
        run: the run's document, with the status users see.
        candidates: in the order of decisions; each has "rungs", "gain", "promotions" and "arm".
        trials: in the order they were created.
        config: run.toml; empty if it cannot be read.
        has_rungs: whether the run knows rungs, gains and studies; older ones do not.
    """

    folder: RunFolder
    run: Document
    candidates: list[Document]
    trials: list[Document]
    config: Mapping[str, Any]
    has_rungs: bool
    notes: Sequence[str] = ()

    @cached_property
    def by_id(self) -> dict[str, Document]:
        return {candidate["id"]: candidate for candidate in self.candidates}

    @cached_property
    def root(self) -> Document | None:
        """Plain GRPO, or the algorithm that the user put in its place."""
        return next((c for c in self.candidates if c.get("parent") is None), None)

    @cached_property
    def rungs(self) -> list[tuple[float, int | None]]:
        """Every rung that somebody reached or could reach, with its updates, ascending."""
        found: dict[float, int | None] = {r["rung"]: r.get("updates") for r in self.run.get("rungs") or []}
        for candidate in self.candidates:
            for r in candidate["rungs"]:
                found.setdefault(r["rung"], r.get("updates"))
        return sorted(found.items())

    @cached_property
    def whole_updates(self) -> int | None:
        """Updates of a whole training."""
        known = next((updates for rung, updates in self.rungs if rung == WHOLE), None)
        configured = self.config.get("profile", {}).get("train", {}).get("updates")
        return known or (configured if isinstance(configured, int) else None)

    @property
    def studies(self) -> list[Document]:
        """Confirmations and ablations, in the order they were begun."""
        return list(self.run.get("studies") or [])

    @cached_property
    def confirmed(self) -> list[Document]:
        """Candidates that were confirmed, the largest gain first."""
        found = [c for c in self.candidates if (c.get("confirmed") or {}).get("verdict") == "confirmed"]
        return sorted(found, key=lambda c: -(c["confirmed"].get("gain") or 0.0))

    @cached_property
    def tried(self) -> list[Document]:
        """Everything but the root."""
        return [c for c in self.candidates if c is not self.root]

    @cached_property
    def scored(self) -> list[Document]:
        """Everything but the root that has a score at some rung: what the best was chosen from."""
        return [c for c in self.tried if c["rungs"] and c["status"] != "pruned"]

    def chance(self, rung: float) -> float | None:
        """Points over the root's mean where the best would be expected if all that were scored were the root itself.

        All of them count at every rung, since who gets further is chosen by scores of the same trainings: an upper
        bound beyond the first rung. None where the root's noise is unknown or there is nothing to choose from.
        """
        level, n = self.level(rung), len(self.scored)
        return expected_best(n, level.std) if level and level.std and n > 1 else None

    def at(self, rung: float, arm: str | None = "search") -> list[Document]:
        """Candidates whose furthest score is at this rung, the best first; not the root, nothing pruned.

        Args:
            arm: `search`, `control`, or None for both.
        """
        found = [
            c
            for c in self.tried
            if c["rungs"]
            and c["rungs"][-1]["rung"] == rung
            and c["status"] != "pruned"
            and (arm is None or c["arm"] == arm)
        ]
        return sorted(found, key=lambda c: (-mean_at(c, rung), c["id"]))

    def level(self, rung: float) -> Level | None:
        """The root at a rung; None before it was scored there."""
        overalls = scores_at(self.root, rung) if self.root else []
        if not overalls:
            return None
        return Level(
            statistics.fmean(overalls), statistics.stdev(overalls) if len(overalls) > 1 else None, len(overalls)
        )

    @cached_property
    def best(self) -> Document | None:
        """The algorithm to take away: the best confirmed one, else the best whole one of the search."""
        whole = self.at(WHOLE, arm=None)
        return self.confirmed[0] if self.confirmed else (whole[0] if whole else None)

    def trials_of(self, candidate: str, purposes: Iterable[str] = DISCOVERY) -> list[Document]:
        """The trainings of one candidate."""
        wanted = set(purposes)
        return [t for t in self.trials if t["candidate"] == candidate and t["purpose"] in wanted]

    def short(self, rung: float) -> str:
        """A rung in a table: `whole`, `@12`."""
        updates = dict(self.rungs).get(rung)
        return "whole" if rung == WHOLE else f"@{updates}" if updates else f"@{rung:.0%}"

    def at_words(self, rung: float) -> str:
        """A rung in words: `12 of 48 updates`, `the whole training`."""
        updates = dict(self.rungs).get(rung)
        if rung == WHOLE:
            return f"the whole training, {self.whole_updates} updates" if self.whole_updates else "the whole training"
        of = f" of {self.whole_updates}" if self.whole_updates else ""
        return f"{updates}{of} updates" if updates else f"{rung:.0%} of a training"


def read_story(folder: RunFolder) -> Story:
    """Read a run that is going on or has ended.

    Raises:
        PoiseError: it has no readable archive.
    """
    archive = read_archive(folder.archive)
    run = archive.run()
    run["status"] = shown_status(run["status"], folder)
    trials = archive.trials()
    raw = archive.candidates()
    has_rungs = any(candidate.get("rungs") for candidate in raw) or bool(run.get("rungs"))
    config, notes = _config(folder)
    notes += [f"The archive was found damaged: {one_line(damage)}" for damage in archive.damages]
    updates = config.get("profile", {}).get("train", {}).get("updates")
    candidates = [_complete(candidate, trials, updates) for candidate in raw]
    return Story(folder, run, candidates, trials, config, has_rungs, tuple(notes))


def mean_at(candidate: Mapping[str, Any], rung: float) -> float:
    """Mean Overall over the seeds at a rung; it must have been reached."""
    return statistics.fmean(scores_at(candidate, rung))


def scores_at(candidate: Mapping[str, Any], rung: float) -> list[float]:
    """Overall of each training at a rung."""
    return [float(o) for r in candidate["rungs"] if r["rung"] == rung for o in r["overalls"]]


def source_of(story: Story, node: str) -> str | None:
    """A candidate's algorithm.py; None if it cannot be read."""
    try:
        return read_limited(story.folder.candidate(node).algorithm, MOST_BYTES).decode("utf-8", "replace")
    except (OSError, PoiseError, ValueError):
        return None


def _config(folder: RunFolder) -> tuple[dict[str, Any], list[str]]:
    try:
        return tomllib.loads(read_limited(folder.config, MOST_BYTES).decode()), []
    except (OSError, PoiseError, ValueError) as error:
        return {}, [f"run.toml cannot be read: {one_line(error)}"]


def _complete(candidate: Document, trials: Sequence[Document], updates: int | None) -> Document:
    """The fields of rungs for a candidate of an older run, whose trainings were all whole ones."""
    rungs = candidate.get("rungs")
    if rungs is None:
        own = [
            t
            for t in trials
            if t["candidate"] == candidate["id"] and t["purpose"] in DISCOVERY and t.get("overall") is not None
        ]
        scores = [(t["seed"], t["overall"]) for t in own]
        if not scores and candidate.get("overall") is not None:
            scores = [(seed, candidate["overall"]) for seed in (candidate.get("seeds") or [None])[:1]]
        seeds, overalls = [s for s, _ in scores], [o for _, o in scores]
        rungs = [{"rung": WHOLE, "updates": updates, "seeds": seeds, "overalls": overalls}] if scores else []
    found = sorted((r for r in rungs if r["overalls"]), key=lambda r: r["rung"])
    return {
        **candidate,
        "rungs": found,
        "gain": candidate.get("gain"),
        "promotions": candidate.get("promotions") or [],
        "arm": candidate.get("arm") or "search",
        "flags": candidate.get("flags") or [],
    }
