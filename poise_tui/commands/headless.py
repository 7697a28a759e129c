"""A run without a terminal: progress lines to the end, and a graceful stop on SIGINT or SIGTERM."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import shorten
from types import FrameType
from typing import Any

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from poise_tui.client import Connection, EngineHandle
from poise_tui.commands.common import clean

POLL_SECONDS = 0.2
MILESTONES = 4
"""Lines a training gets between its start and its end."""


class Progress:
    """Turns events into lines; keeps what a line needs from the events before."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._names: dict[str, str] = {}
        self._overall: dict[str, float] = {}
        self._steps: dict[str, int] = {}
        self._milestones: dict[str, int] = {}

    def lines(self, event: Event) -> Iterator[str]:
        """What to print for one event; nothing for most."""
        if self._began is None:
            self._began = event.time
        elapsed = int(event.time - self._began)
        for text in self._texts(event.kind, event.node, event.data):
            yield f"{elapsed // 60:3d}:{elapsed % 60:02d}  {text}"

    def _texts(self, kind: str, node: str | None, data: Mapping[str, Any]) -> Iterator[str]:
        match kind:
            case "run.created":
                budget = data["budget"]
                limits = [f"{budget['candidates']} candidates"]
                limits += [f"{budget[key]:g} {key}" for key in ("hours", "usd") if budget.get(key)]
                yield (
                    f"profile {data['profile']}, seed {data['seed']}, {', '.join(limits)}, "
                    f"{data['workers']} workers, proposals by {clean(data['llm'])}"
                )
            case "run.status":
                yield f"run {data['status']}" + (f": {clean(data['reason'])}" if data.get("reason") else "")
            case "candidate.created":
                self._names[str(node)] = clean(data["name"])
                if data["parent"] is not None:
                    hypothesis = shorten(clean(data["proposal"]["hypothesis"]), 100, placeholder=" ...")
                    yield f"{self._node(node)}, from {data['parent']}: {hypothesis}"
            case "candidate.updated" if data.get("overall") is not None:
                self._overall[str(node)] = data["overall"]
            case "candidate.status":
                score = self._overall.get(str(node)) if data["status"] == "scored" else None
                shown = "" if score is None else f" {score:.1f}"
                yield f"{self._node(node)} {data['status']}{shown}" + _because(data.get("cause"))
            case "trial.created":
                self._steps[data["id"]] = data["steps"]
            case "trial.metrics" if data["points"]:
                yield from self._milestone(data["trial"], data["points"][-1])
            case "trial.updated" if data.get("status") in ("scored", "failed") and "-search-" not in data["trial"]:
                score = data.get("overall")
                yield f"{clean(data['trial'])} {data['status']}" + ("" if score is None else f" {score:.1f}")
            case "steering":
                target = f" {clean(data['node'])}" if data.get("node") else ""
                yield f"{clean(data['command'])}{target} (by {clean(data['by'])})"
            case "log" if data["level"] in ("warning", "error"):
                yield f"{data['level']}: {clean(data['message'])}"

    def _node(self, node: str | None) -> str:
        return f"{node} {self._names.get(str(node), '')}".rstrip()

    def _milestone(self, trial: str, point: Mapping[str, Any]) -> Iterator[str]:
        steps = self._steps.get(trial)
        if not steps:
            return
        reached = int(point["step"]) * MILESTONES // steps
        if reached > self._milestones.get(trial, 0):
            self._milestones[trial] = reached
            reward = point.get("reward")
            shown = "" if reward is None else f", reward {reward:.3f}"
            yield f"{clean(trial)} update {point['step']}/{steps}{shown}"


def _because(cause: str | None) -> str:
    return f": {clean(cause)}" if cause else ""


class Signals:
    """How often the user asked to end, by SIGINT or SIGTERM; SIGHUP just ends this client."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def watching(self) -> Iterator["Signals"]:
        """Count instead of dying, until the block ends."""
        before = {s: signal.signal(s, self._count) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


def follow(folder: RunFolder, signals: Signals, handle: EngineHandle | None = None) -> Exit:
    """Print a run's progress until it has ended and its engine is gone.

    The first signal stops the run gracefully, the second leaves its engine running.

    Returns:
        DONE when the run ended in order, ERROR when it goes on without us.

    Raises:
        PoiseError: the engine died.
    """
    reader, progress = EventReader(folder.events), Progress()
    status, asked, stopping = "running", 0, False
    while True:
        alive = folder.engine() is not None
        for event in reader.read():
            for line in progress.lines(event):
                print(line, flush=True)
            if event.kind == "run.status":
                status = event.data["status"]
        if not alive:
            break
        if signals.count > asked:
            asked = signals.count
            if asked > 1:
                left = "is stopping by itself" if stopping else "goes on without us"
                print(f"{folder.id} {left}: `poise status {folder.id}` tells how far it is", flush=True)
                return Exit.ERROR
            stopping = _ask_to_stop(folder)
        time.sleep(POLL_SECONDS)
    if handle is not None:
        handle.process.wait()
    if status in ("finished", "stopped"):
        return Exit.DONE
    raise PoiseError(
        f"the engine of {folder.id} died (see {folder.engine_log}): `poise resume {folder.id}` takes it up"
    )


def _ask_to_stop(folder: RunFolder) -> bool:
    """Whether the engine has accepted to stop."""
    try:
        Connection(folder).send("stop")
        print("stopping: trainings are checkpointed first (once more: do not wait for it)", flush=True)
        return True
    except PoiseError as error:
        print(f"cannot stop it: {error} (once more: leave the engine running)", flush=True)
        return False
