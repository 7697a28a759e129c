"""What the loop's decisions see: every candidate decided so far, with the results that this decision may see alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.archive.folder import RunFolder
from engine.archive.store import Document
from engine.loop.book import SETTLED, Book, candidate_id, decided, is_control, is_injected, slot_of
from engine.loop.settled import visible
from engine.search.curves import Curves, read_points, summarize
from engine.search.evidence import Evidence, Reader, fingerprint_of, from_document, hidden

OF_TWINS = ("passed", "fingerprint", "profile_fingerprint", "signature")
"""What `find_twin` needs of a verification."""


class View:
    """Reads the book for decisions and reflections.

    Args:
        folder: the run's folder.
        book: what is known.
        lag: see `engine.loop.settled`.
        updates: of a whole training.
    """

    def __init__(self, folder: RunFolder, book: Book, lag: int, updates: int) -> None:
        self._folder = folder
        self._book = book
        self._lag = lag
        self._updates = updates
        self._verified: dict[str, dict[str, Any]] = {}
        """Of earlier candidates, whose verification does not change any more: read once."""
        self._reader = Reader()

    def evidence(self, first: int) -> list[Evidence]:
        """What the decisions of the round that begins with slot `first` see."""
        trials: dict[str, Document] = {}
        for trial in self._book.trials.values():  # one pass: the first trial of the search, as in `deciding`
            if trial["purpose"] == "search":
                trials.setdefault(trial["candidate"], trial)
        documents = [_with_figures(c, trials.get(c["id"])) for c in self.documents(first)]
        # What a user injected counts from when it has settled: steering is outside the promise of equal lineages.
        settled = {*visible(first, self._lag), *range(first, len(documents))}
        return self._reader.seen(documents, settled, self._curves_in_short, self._fingerprint)

    def documents(self, first: int) -> list[Document]:
        """The candidates decided before slot `first`, in order, then the injected ones that have settled."""
        all = self._book.candidates
        injected = [c for c in all.values() if is_injected(c["id"]) and c["status"] in SETTLED]
        return [*(all[candidate_id(slot)] for slot in range(first)), *injected]

    def root_alone(self, root: str) -> list[Evidence]:
        """What a proposal of the control arm sees: the root, and not even its score."""
        return [hidden(self._book.candidates[root])]

    def settled(self) -> list[Evidence]:
        """Everything the search has settled, for the knowledge page; decisions never see this."""
        all = self._book.candidates.values()
        return [from_document(self._deciding(c)) for c in all if c["status"] in SETTLED and not is_control(c["id"])]

    def decision_view(self, document: Document) -> Evidence:
        """One candidate with what its own training showed."""
        return from_document(self._deciding(document))

    def curves(self, candidate: str) -> Curves | None:
        """Of a candidate's own training."""
        own = self._book.main_trial(candidate)
        return summarize(read_points(self._folder.trial(own["id"]).metrics, self._updates)) if own else None

    def signatures(self, node: str) -> dict[str, dict[str, Any]]:
        """What verification said of every candidate before this one that passed, by id, in order."""
        earlier = [other for other in decided(self._book.candidates) if slot_of(other) < slot_of(node)]
        for other in earlier:
            if other not in self._verified:
                self._verified[other] = self.report(other)
        return {other: self._verified[other] for other in earlier if self._verified[other].get("passed")}

    def report(self, node: str) -> dict[str, Any]:
        """Of a candidate's verification, what tells twins."""
        path = self._folder.candidate(node).verification
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {key: report.get(key) for key in OF_TWINS}

    def _fingerprint(self, candidate: str) -> tuple[float, ...] | None:
        return fingerprint_of(self._verified.get(candidate) or self.report(candidate))

    def _curves_in_short(self, candidate: str) -> Curves | None:
        """Without their points: ten thousand of them would take a gigabyte."""
        curves = self.curves(candidate)
        return replace(curves, rows={}) if curves else None

    def _deciding(self, document: Document) -> Document:
        """A candidate with the figures of its own trial alone: further seeds arrive at any time, decisions must not
        depend on it.
        """
        return _with_figures(document, self._book.main_trial(document["id"]))


def _with_figures(document: Document, trial: Document | None) -> Document:
    figures = trial or {"overall": None, "benchmarks": {}}
    return {**document, "overall": figures["overall"], "benchmarks": figures["benchmarks"]}
