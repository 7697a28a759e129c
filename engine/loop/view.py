"""What the loop's decisions see: every candidate decided so far, with the results that this decision may see alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from engine.archive.folder import RunFolder
from engine.archive.store import Document
from engine.loop.book import SETTLED, Book, candidate_id, decided, is_control, is_injected, root_id, slot_of
from engine.loop.figures import means, noise_known
from engine.loop.prior import on_this_root, priors
from engine.loop.rungs import Rung
from engine.loop.settled import visible
from engine.search.curves import Curves, read_points, summarize
from engine.search.evidence import Evidence, Reader, fingerprint_of, from_document, hidden
from engine.search.fidelity import WHOLE, Scale, scale

OF_TWINS = ("passed", "fingerprint", "profile_fingerprint", "signature")
"""What `find_twin` needs of a verification."""


class View:
    """Reads the book for decisions and reflections.

    Args:
        folder: the run's folder.
        book: what is known.
        lag: see `engine.loop.settled`.
        rungs: of the run.
    """

    def __init__(self, folder: RunFolder, book: Book, lag: int, rungs: Sequence[Rung]) -> None:
        self._folder = folder
        self._book = book
        self._lag = lag
        self._rungs = rungs
        self._updates = rungs[-1].updates
        self._verified: dict[str, dict[str, Any]] = {}
        """Of earlier candidates, whose verification does not change any more: read once."""
        self._reader = Reader()

    def evidence(self, first: int) -> list[Evidence]:
        """What the decisions of the round that begins with slot `first` see."""
        documents = self.documents(first)
        # What a user injected counts from when it has settled: steering is outside the promise of equal lineages.
        settled = {*visible(first, self._lag), *range(first, len(documents))}
        results = [
            d["result"]
            for slot, d in enumerate(documents)
            if slot and slot in settled and d["result"] and not d.get("prior")
        ]
        # The root's training of number i belongs to slot i, as its candidate does.
        to_end = self.scale(max(1, len(visible(first, self._lag))), results)
        earlier = next((d["prior"]["root"] for d in documents if d.get("prior")), None)
        if earlier and not results:  # until a result of this run is seen, also of its root, whenever that has come
            to_end = scale({r["rung"]: r for r in earlier}, ())
        seen = [_as_seen(document, to_end) for document in documents]
        return self._reader.seen(seen, settled, self._curves_in_short, self._fingerprint)

    def scale(self, seeds: int, results: Iterable[Document]) -> Scale:
        """How scores at the rungs are read, by the root's first so many whole trainings and these results."""
        trials = self._book.root_trials()
        # By the seeds that candidates have there: early on a seed makes more of a difference than many a change.
        early = [
            r
            for rung in self._rungs[:-1]
            if noise_known(self._book, rung.fraction)
            for r in means(trials[: rung.seeds])
            if r["rung"] == rung.fraction
        ]
        whole = [r for r in means(t for t in trials[:seeds] if t["status"] == "scored") if r["rung"] == WHOLE]
        return scale({r["rung"]: r for r in (*early, *whole)}, [result["rungs"] for result in results])

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
        all = [c for c in self._book.candidates.values() if c["status"] in SETTLED and not is_control(c["id"])]
        own = [c["result"] for c in all if c["parent"] and c["result"] and not c.get("prior")]
        to_end = self.scale(len(self._book.root_trials()), own)
        return [from_document(_as_seen(c, to_end)) for c in all]

    def at_rung(self, document: Document, rung: float | None) -> Evidence:
        """One candidate with its scores at a rung as they are; None: without any."""
        result = document["result"] or {"rungs": []}
        if document.get("prior"):
            result = {"rungs": on_this_root(document, self.scale(len(self._book.root_trials()), ()).root)}
        nothing: Document = {"overall": None, "benchmarks": {}}
        found = next((r for r in result["rungs"] if r["rung"] == rung), nothing)
        fields = {"overall": found["overall"], "benchmarks": found["benchmarks"], "fidelity": rung or 0.0}
        return from_document(document | fields)

    def curves(self, candidate: str, rung: float | None = None) -> Curves | None:
        """Of a candidate's own first training, up to a rung."""
        own = self._book.main_trial(candidate)
        return self.curves_of(own["id"], rung) if own else None

    def curves_of(self, trial: str, rung: float | None = None) -> Curves:
        """Of one training, up to a rung."""
        return summarize(read_points(self._folder.trial(trial).metrics, round(self._updates * (rung or 1.0))))

    def signatures(self, node: str) -> dict[str, dict[str, Any]]:
        """What verification said of every candidate before this one that passed, by id, in order."""
        before = [other for other in decided(self._book.candidates) if slot_of(other) < slot_of(node)]
        earlier = [*priors(self._book.candidates), *before]
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


def _as_seen(document: Document, to_end: Scale) -> Document:
    """A candidate with its result on the scale of whole trainings; its document's own figures may be of trainings that
    came later, and decisions must not depend on these.
    """
    if document["parent"] is None and document["id"] == root_id() and WHOLE in to_end.root:
        end = to_end.root[WHOLE]
        rungs = dict.fromkeys(to_end.root, end["overall"])
        return document | {
            "overall": end["overall"],
            "benchmarks": end["benchmarks"],
            "fidelity": 1.0,
            "by_rung": rungs,
        }
    if document.get("prior"):
        return document | to_end.at_the_end(on_this_root(document, to_end.root))
    return document | to_end.at_the_end((document["result"] or {"rungs": []})["rungs"])
