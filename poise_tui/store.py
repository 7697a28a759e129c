"""Folds the run's events into immutable snapshots, at the cost of the new events only."""

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import fields, replace
from types import MappingProxyType

from engine.archive.events import Event
from poise_tui.columns import Columns
from poise_tui.commands.progress import Progress
from poise_tui.documents import candidate_of, limits_of, machine_of, score_of
from poise_tui.format import one_line
from poise_tui.snapshot import (
    Branch,
    Candidate,
    Curve,
    Json,
    LogLine,
    Machine,
    Run,
    Snapshot,
    Trial,
)

LOG_LINES = 1000
"""How much the log pane remembers."""

SAMPLES = 900
"""How many samples of telemetry, one every two seconds."""

COMMANDS = 64
"""How many commands it is remembered of that they were obeyed."""

UNUSABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What an event raises that has not the promised shape."""


class Store:
    """What is known of a run. Fold into it from one thread; its snapshots may go to any."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._candidates: dict[str, Candidate] = {}
        self._columns: dict[str, Columns] = {}
        self._curves: dict[str, Curve] = {}
        """Of a copied store: curves that have not grown since."""
        self._owner: dict[str, str] = {}
        """Which candidate a trial belongs to."""
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._progress = Progress()
        self._run: Run | None = None
        self._samples: deque[Machine] = deque(maxlen=SAMPLES)
        self._steered: deque[str] = deque(maxlen=COMMANDS)
        self._dropped = 0
        self._new_candidates = self._new_lines = self._new_samples = False

    def fold(self, events: Iterable[Event]) -> None:
        """Take in events. One that has not the promised shape is counted and changes nothing."""
        event = None
        for event in events:
            try:
                if (handler := self._HANDLERS.get(event.kind)) is not None:
                    handler(self, event)
                self._tell(event)
            except UNUSABLE:
                self._dropped += 1
        if event is not None and self._run is not None:
            self._run = replace(self._run, last_event=event.time)

    def fold_telemetry(self, samples: Iterable[Json]) -> None:
        """Take in samples of the machine."""
        for sample in samples:
            try:
                self._samples.append(machine_of(sample))
                self._new_samples = True
            except UNUSABLE:
                self._dropped += 1

    def set_shown_status(self, shown: str) -> None:
        """What `shown_status` says of the run: its own status, or dead."""
        if self._run is not None and self._run.shown != shown:
            self._run = replace(self._run, shown=shown)

    def set_silent_since(self, since: float | None) -> None:
        """Since when the run's engine, which should be there, says nothing."""
        if self._run is not None and self._run.silent_since != since:
            self._run = replace(self._run, silent_since=since)

    def copy(self) -> "Store":
        """Another store that goes on by itself from this state; what never changes is shared."""
        other = Store()
        other._snapshot, other._run, other._dropped = self.snapshot(), self._run, self._dropped
        other._candidates, other._owner = dict(self._candidates), dict(self._owner)
        trials = (trial for candidate in self._candidates.values() for trial in candidate.trials)
        other._curves = {trial.id: trial.curve for trial in trials}
        other._log.extend(self._log)
        other._samples.extend(self._samples)
        other._steered.extend(self._steered)
        other._progress = deepcopy(self._progress)
        return other

    def snapshot(self) -> Snapshot:
        """The state now. What did not change is the same object as in the snapshot before, itself included."""
        before = self._snapshot
        now = replace(
            before,
            run=self._run,
            candidates=MappingProxyType(dict(self._candidates)) if self._new_candidates else before.candidates,
            log=tuple(self._log) if self._new_lines else before.log,
            samples=tuple(self._samples) if self._new_samples else before.samples,
            machine=self._samples[-1] if self._samples else None,
            steered=tuple(self._steered) if before.steered != tuple(self._steered) else before.steered,
            dropped=self._dropped,
        )
        if len(now.candidates) != len(before.candidates):
            now = replace(now, tree=build_tree(now.candidates))
        self._new_candidates = self._new_lines = self._new_samples = False
        if any(getattr(now, part.name) is not getattr(before, part.name) for part in fields(Snapshot)):
            self._snapshot = now
        return self._snapshot

    # -- events ------------------------------------------------------------------------------------------------

    def _run_created(self, event: Event) -> None:
        data = event.data
        self._run = Run(
            id=one_line(data["id"]),
            profile=one_line(data["profile"]),
            status=str(data["status"]),
            shown=str(data["status"]),
            total=data["budget"]["candidates"],
            clock_base=float(data["spent"]["wall_seconds"]),
            clock_since=event.time,
            last_event=event.time,
            usd=float(data["spent"]["llm_usd"]),
            gpu_seconds=float(data["spent"]["gpu_seconds"]),
            sandbox=one_line(data["sandbox"]),
            seed=seed if type(seed := data.get("seed")) is int else None,
            directive=one_line(data.get("directive") or ""),
            rungs=tuple(int(rung["updates"]) for rung in data.get("rungs") or ()),
            limits=limits_of(data["budget"]),
        )

    def _run_status(self, event: Event) -> None:
        if self._run is not None:
            status = str(event.data["status"])
            self._run = replace(self._run, status=status, shown=status)
            if event.data.get("reason") == "engine started":  # what passed while no engine ran is nobody's time
                self._run = replace(self._run, clock_since=event.time)

    def _run_updated(self, event: Event) -> None:
        if self._run is None:
            return
        if (budget := event.data.get("budget")) is not None:
            self._run = replace(self._run, total=budget["candidates"], limits=limits_of(budget))
        if "directive" in event.data:
            self._run = replace(self._run, directive=one_line(event.data["directive"] or ""))
        if (sandbox := event.data.get("sandbox")) is not None:
            self._run = replace(self._run, sandbox=one_line(sandbox))
        if (spent := event.data.get("spent")) is not None:
            self._run = replace(self._run, usd=float(spent["llm_usd"]), gpu_seconds=float(spent["gpu_seconds"]))
            if float(spent["wall_seconds"]) > self._run.clock_base:
                self._run = replace(self._run, clock_base=float(spent["wall_seconds"]), clock_since=event.time)

    def _candidate_created(self, event: Event) -> None:
        self._put(candidate_of(event.data))

    def _candidate_changed(self, event: Event) -> None:
        """A new status, or changed fields: both are fields of the document."""
        old = self._candidates[str(event.node)]
        self._put(candidate_of({**old.document(), **event.data}, old.trials))

    def _trial_created(self, event: Event) -> None:
        data = event.data
        trial = Trial(
            id=str(data["id"]),
            purpose=str(data["purpose"]),
            status=str(data["status"]),
            step=0,
            steps=int(data["steps"]),
            overall=score_of(data.get("overall")),
            curve=Curve(array("d"), {}, 0),
        )
        candidate = self._candidates[str(data["candidate"])]
        self._owner[trial.id] = candidate.id
        self._columns[trial.id] = Columns()
        self._put(replace(candidate, trials=(*(t for t in candidate.trials if t.id != trial.id), trial)))

    def _trial_updated(self, event: Event) -> None:
        trial, data = self._trial(event), event.data
        self._put_trial(
            replace(
                trial,
                status=str(data.get("status", trial.status)),
                overall=score_of(data.get("overall", trial.overall)),
                steps=int(data.get("steps", trial.steps)),
                updates=int(rungs[-1]["updates"]) if (rungs := data.get("rungs")) else trial.updates,
            )
        )

    def _trial_metrics(self, event: Event) -> None:
        trial = self._trial(event)
        if trial.id not in self._columns:
            self._columns[trial.id] = Columns.of(self._curves.pop(trial.id))
        columns = self._columns[trial.id]
        step = trial.step
        for point in event.data["points"]:
            step = int(point["step"])
            columns.append(step, point)
        self._put_trial(replace(trial, step=step, curve=columns.curve()))

    def _decision(self, event: Event) -> None:
        """It may come before or after its candidate; the document carries it then too."""
        if (candidate := self._candidates.get(str(event.data["id"]))) is not None:
            decision = {"saw": event.data["saw"], "terms": event.data["terms"]}
            self._put(candidate_of({**candidate.document(), "decision": decision}, candidate.trials))

    def _was_steered(self, event: Event) -> None:
        if event.data.get("id"):
            self._steered.append(str(event.data["id"]))

    _HANDLERS = {  # noqa: RUF012
        "run.created": _run_created,
        "run.status": _run_status,
        "run.updated": _run_updated,
        "candidate.created": _candidate_created,
        "candidate.status": _candidate_changed,
        "candidate.updated": _candidate_changed,
        "trial.created": _trial_created,
        "trial.updated": _trial_updated,
        "trial.metrics": _trial_metrics,
        "decision": _decision,
        "steering": _was_steered,
    }

    # -- small steps -------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        """The log pane says what a headless run prints, in the same words."""
        for text in self._progress.lines(event):
            self._log.append(LogLine(_level(event), text))
            self._new_lines = True

    def _trial(self, event: Event) -> Trial:
        wanted = str(event.data["trial"])
        return next(t for t in self._candidates[self._owner[wanted]].trials if t.id == wanted)

    def _put_trial(self, trial: Trial) -> None:
        candidate = self._candidates[self._owner[trial.id]]
        trials = tuple(trial if t.id == trial.id else t for t in candidate.trials)
        self._put(replace(candidate, trials=trials))

    def _put(self, candidate: Candidate) -> None:
        self._candidates[candidate.id] = candidate
        self._new_candidates = True


def build_tree(candidates: Mapping[str, Candidate]) -> tuple[Branch, ...]:
    """All candidates, each before its children, siblings in the order of their creation.

    A candidate whose parent is unknown stands at the top, so that nothing is ever hidden. No recursion:
    a lineage may be deeper than Python's stack.
    """
    children: dict[str | None, list[str]] = {}
    for candidate in candidates.values():
        parent = candidate.parent if candidate.parent in candidates and candidate.parent != candidate.id else None
        children.setdefault(parent, []).append(candidate.id)
    found: list[Branch] = []
    waiting: list[Branch] = [Branch(node, ()) for node in reversed(children.get(None, []))]
    while waiting:
        branch = waiting.pop()
        found.append(branch)
        below = children.get(branch.id, [])
        last = len(below) - 1
        waiting.extend(Branch(below[i], (*branch.more, i < last)) for i in range(last, -1, -1))
    return tuple(found)


def _level(event: Event) -> str:
    if event.kind == "log":
        return str(event.data["level"])
    if event.kind == "steering":
        return "steering"
    status = event.data.get("status")
    return "error" if status in ("failed", "infeasible") else "good" if status == "scored" else "info"
