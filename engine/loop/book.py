"""The engine's books: every document in memory, every change written together with the event that tells of it."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from engine.archive.events import Event
from engine.archive.store import Archive, Change, Document, NoSpace, ReadOnlyArchive
from engine.loop.budget import gpu_seconds

SETTLED = ("scored", "stopped", "failed", "infeasible", "pruned", "duplicate")
"""Statuses in which a candidate's slot is settled; a candidate that the user paused is settled too, without a result.
"""

WAITING = "waiting"
"""Status of a trial that has its score at a rung, until it is decided whether its candidate goes on."""

UNFINISHED = ("queued", "training", "scoring", "paused")
"""Statuses of a trial that is to go on."""

HELD = "paused by the user"
"""The cause on a candidate that its user paused."""


def root_id() -> str:
    """The candidate that is GRPO."""
    return candidate_id(0)


def candidate_id(slot: int) -> str:
    """The id of the candidate of decision `slot`; slot 0 is the root."""
    return f"c{slot:03d}"


def control_id(index: int) -> str:
    """The id of the control arm's candidate `index`, from 1; it has no slot."""
    return f"r{index:03d}"


def is_control(candidate: str) -> bool:
    """Whether a candidate belongs to the control arm."""
    return candidate.startswith("r")


def injected_id(number: int) -> str:
    """The id of the user's own algorithm `number`, from 1; it has no slot."""
    return f"u{number:03d}"


def is_injected(candidate: str) -> bool:
    """Whether a user put this candidate into the tree."""
    return candidate.startswith("u")


def slot_of(candidate: str) -> int:
    """The decision a candidate came from; of one without a slot, its place among its like."""
    return int(candidate[1:])


def decided(candidates: Iterable[str]) -> list[str]:
    """The ids of the candidates that decisions made, in their order: neither control arm nor injected ones."""
    return sorted((c for c in candidates if c.startswith("c")), key=slot_of)


def purpose_of(candidate: str) -> str:
    """What a candidate's own training is for."""
    return "control" if is_control(candidate) else "search"


class Book:
    """Documents by id, kept equal to the archive; what finds no space on the disk waits here until there is some.

    Args:
        archive: the run's archive, open for writing.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._backlog: deque[tuple[list[Change], list[Event]]] = deque()
        self.broken: ReadOnlyArchive | None = None
        """Why nothing can be written any more."""
        self.candidates: dict[str, Document] = {d["id"]: d for d in archive.candidates()}
        self.trials: dict[str, Document] = {d["id"]: d for d in archive.trials()}
        self._of: dict[str, list[Document]] = {}
        """Each candidate's trials."""
        for trial in self.trials.values():
            self._of.setdefault(trial["candidate"], []).append(trial)
        self.run: Document = {}

    def open_run(self, fields: Document) -> None:
        """Begin a run: its document and the event `run.created`."""
        self.run = fields
        self._write([Change("run", fields["id"], fields)], [Event("run.created", None, fields)])

    def reopen_run(self) -> None:
        """Take up a run that is in the archive."""
        self.run = self._archive.run()

    def set_run_status(self, status: str, reason: str | None = None) -> None:
        """Change the run's status; nothing is written when it has it already."""
        if self.run["status"] != status:
            self._run({"status": status}, [Event("run.status", None, {"status": status, "reason": reason})])

    def set_run(self, **fields: Any) -> None:
        """Change other fields of the run's document."""
        self._run(fields, [Event("run.updated", None, fields)])

    def spend(
        self,
        *,
        wall_seconds: float | None = None,
        llm_usd: float | None = None,
        reserved: dict[str, Any] | None = None,
    ) -> None:
        """Write down what the run has spent: new totals; GPU seconds are those of its trials.

        Args:
            wall_seconds: that engines worked on it; this settles what was set aside for them before.
            llm_usd: that language models cost.
            reserved: what is set aside from now on, see `engine.loop.budget.write_down`.
        """
        fields: Document = {"spent": {**self.run["spent"], "gpu_seconds": gpu_seconds(self.trials.values())}}
        if llm_usd is not None:
            fields["spent"]["llm_usd"] = llm_usd
        if wall_seconds is not None:
            fields["spent"]["wall_seconds"] = wall_seconds
            fields["reserved"] = reserved
        self.set_run(**fields)

    def create_candidate(self, document: Document) -> None:
        """A new candidate, with its event."""
        self.candidates[document["id"]] = document
        self._write(
            [Change("candidates", document["id"], document)],
            [Event("candidate.created", document["id"], document)],
        )

    def set_status(self, candidate: str, status: str, cause: str | None = None) -> None:
        """Change a candidate's status."""
        fields: Document = {"status": status, "cause": cause}
        if status in SETTLED:
            fields["finished"] = time.time()
        self._candidate(candidate, fields, Event("candidate.status", candidate, fields))

    def update(self, candidate: str, **fields: Any) -> None:
        """Change other fields of a candidate."""
        self._candidate(candidate, fields, Event("candidate.updated", candidate, fields))

    def create_trial(self, document: Document, steps: int) -> None:
        """A new training of a candidate.

        Args:
            steps: optimizer updates it will take.
        """
        self.trials[document["id"]] = document
        self._of.setdefault(document["candidate"], []).append(document)
        data = {**document, "steps": steps}
        self._write([Change("trials", document["id"], document)], [Event("trial.created", document["candidate"], data)])

    def update_trial(self, trial: str, **fields: Any) -> None:
        """Change fields of a trial."""
        self.trials[trial].update(fields)
        event = Event("trial.updated", self.trials[trial]["candidate"], {"trial": trial, **fields})
        self._write([Change("trials", trial, fields)], [event])

    def metrics(self, trial: str, points: Sequence[dict[str, Any]]) -> None:
        """Validated metrics of a running trial: an event, no document."""
        if points:
            candidate = self.trials[trial]["candidate"]
            self._write([], [Event("trial.metrics", candidate, {"trial": trial, "points": list(points)})])

    def tell(self, kind: str, node: str | None, data: dict[str, Any]) -> None:
        """An event that changes no document: decision, steering, llm.call."""
        self._write([], [Event(kind, node, data)])

    def log(self, message: str, level: str = "info", node: str | None = None) -> None:
        """A line for the log pane."""
        self.tell("log", node, {"level": level, "message": message})

    def trials_of(self, candidate: str, purpose: str | None = None) -> list[Document]:
        """A candidate's trials in the order they were created."""
        return [t for t in self._of.get(candidate, ()) if purpose in (None, t["purpose"])]

    def own_trials(self, candidate: str) -> list[Document]:
        """A candidate's own trainings, the ones that its score is made of."""
        return self.trials_of(candidate, purpose_of(candidate))

    def main_trial(self, candidate: str) -> Document | None:
        """The first of a candidate's own trainings."""
        return next(iter(self.own_trials(candidate)), None)

    def root_trials(self) -> list[Document]:
        """The root's trainings that tell the noise, by their number."""
        return [t for t in self._of.get(root_id(), ()) if t["purpose"] in ("search", "baseline")]

    def root_settled(self, slot: int) -> bool:
        """Whether the root's training that belongs to this slot, the one of its number, is over; true where none
        does.
        """
        trials = self.root_trials()
        return slot >= len(trials) or trials[slot]["status"] in ("scored", "failed")

    def branch(self, candidate: str) -> list[str]:
        """A candidate and all its descendants, parents first."""
        found = [candidate]
        for other in self.candidates.values():  # in the order of decisions: parents come before children
            if other["parent"] in found:
                found.append(other["id"])
        return found

    @staticmethod
    def is_held(candidate: Document) -> bool:
        """Whether its user paused it."""
        return bool(candidate["status"] == "paused" and candidate["cause"] == HELD)

    @property
    def last_slot(self) -> int:
        """The last slot of the search: as many candidates as were asked for, or those there are where it was closed."""
        return int((self.run.get("closed") or self.run["budget"])["candidates"])

    def slots(self) -> list[int]:
        """Those that the search fills, the root's first; where it was closed, some may be empty for ever."""
        every = range(self.last_slot + 1)
        return [k for k in every if candidate_id(k) in self.candidates] if self.run.get("closed") else list(every)

    def settled_slots(self) -> set[int]:
        """Slots whose results will not change by themselves: the candidate's, and the root's of that number."""
        return {
            slot
            for c in self.candidates.values()
            if c["id"].startswith("c")
            and (c["status"] in SETTLED or self.is_held(c))
            and self.root_settled(slot := slot_of(c["id"]))
        }

    @property
    def waiting(self) -> int:
        """Records that wait for space on the disk."""
        return len(self._backlog)

    def flush(self) -> bool:
        """Write what waits, in order. False while there is no space.

        Raises:
            ReadOnlyArchive: the disk has failed.
        """
        if self.broken is not None:
            raise self.broken
        while self._backlog:
            if not self._written(*self._backlog[0]):
                return False
            self._backlog.popleft()
        return True

    def _write(self, changes: list[Change], events: list[Event]) -> None:
        if self._backlog or not self._written(changes, events):
            # A copy: documents change while it waits.
            self._backlog.append(copy.deepcopy((changes, events)))

    def _written(self, changes: list[Change], events: list[Event]) -> bool:
        try:
            if changes:
                self._archive.commit(changes, events)
            else:
                self._archive.append_events(events)
        except NoSpace:
            return False
        except ReadOnlyArchive as error:
            self.broken = error
            raise
        return True

    def _run(self, fields: Document, events: list[Event]) -> None:
        self.run.update(fields)
        self._write([Change("run", self.run["id"], fields)], events)

    def _candidate(self, candidate: str, fields: Document, event: Event) -> None:
        self.candidates[candidate].update(fields)
        self._write([Change("candidates", candidate, fields)], [event])
