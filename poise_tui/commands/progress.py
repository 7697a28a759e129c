"""Events as lines of progress, for a terminal that only scrolls."""

from collections.abc import Iterator, Mapping
from textwrap import shorten
from typing import Any

from engine.archive.events import Event
from poise_tui.format import one_line

MILESTONES = 4
"""Lines a training gets between its start and its end."""
FIRST = ("-search-0", "-control-0")
"""How the trainings are called whose progress is told."""
ONCE = ("verifying", "training")
UNSAID = ("queued", "scoring")
"""Statuses that a candidate passes again and again, rung after rung, and that say nothing new."""


class Progress:
    """Turns events into lines; keeps what a line needs from the events before."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._names: dict[str, str] = {}
        self._overall: dict[str, float] = {}
        self._steps: dict[str, int] = {}
        self._milestones: dict[str, int] = {}
        self._gain: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._roots: set[str] = set()
        self._root_trials: set[str] = set()
        self._study_of: dict[str, str] = {}
        self._studies: dict[str, Mapping[str, Any]] = {}
        self._ended: set[str] = set()

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
                named = {"hours": "hours", "gpu_hours": "GPU hours", "usd": "usd"}
                limits += [f"{budget[key]:g} {name}" for key, name in named.items() if budget.get(key)]
                yield (
                    f"profile {data['profile']}, seed {data['seed']}, {', '.join(limits)}, "
                    f"{data['workers']} workers, proposals by {one_line(data['llm'])}"
                )
            case "run.status":
                yield f"run {data['status']}" + (f": {one_line(data['reason'])}" if data.get("reason") else "")
            case "candidate.created":
                self._names[str(node)] = one_line(data["name"])
                if data["parent"] is None:
                    self._roots.add(str(node))
                else:
                    hypothesis = one_line(data["proposal"]["hypothesis"])
                    if len(hypothesis) > 100:  # `shorten` takes its time for short ones too
                        hypothesis = shorten(hypothesis, 100, placeholder=" ...")
                    yield f"{self._node(node)}, from {data['parent']}: {hypothesis}"
            case "candidate.updated" if data.get("overall") is not None:
                self._overall[str(node)] = data["overall"]
                self._gain.pop(str(node), None)
                if (gain := data.get("gain")) is not None:
                    half = (gain["high"] - gain["low"]) / 2
                    self._gain[str(node)] = f" ({gain['value']:+.1f} ±{half:.1f} over the root: {gain['mark']})"
            case "candidate.status" if self._is_news(str(node), data["status"]):
                score = self._overall.get(str(node)) if data["status"] == "scored" else None
                shown = "" if score is None else f" {score:.1f}" + self._gain.get(str(node), "")
                yield f"{self._node(node)} {data['status']}{shown}" + _because(data.get("cause"), data["status"])
            case "trial.created":
                self._steps[data["id"]] = data["steps"]
                if (study := data.get("study")) is not None:
                    self._study_of[data["id"]] = study
                elif data.get("purpose") == "baseline" or (data.get("purpose") == "search" and node in self._roots):
                    self._root_trials.add(data["id"])
            case "run.updated" if data.get("studies"):
                self._studies = {study["id"]: study for study in data["studies"]}
            case "trial.metrics" if data["points"] and str(data["trial"]).endswith(FIRST):
                yield from self._milestone(data["trial"], data["points"][-1])
            case "trial.updated" if data.get("status") in ("scored", "failed"):
                yield from self._trial_ended(data["trial"], data)
            case "steering":
                target = f" {one_line(data['node'])}" if data.get("node") else ""
                yield f"{one_line(data['command'])}{target} (by {one_line(data['by'])})"
            case "log":
                level = "" if data["level"] == "info" else f"{data['level']}: "
                yield level + one_line(data["message"])

    def _is_news(self, node: str, status: str) -> bool:
        """A candidate trains and is scored at every rung: that it does so is said once."""
        before = (node, status) in self._told
        self._told.add((node, status))
        return status not in UNSAID and not (before and status in ONCE)

    def _trial_ended(self, trial: str, data: Mapping[str, Any]) -> Iterator[str]:
        """How far the root's seeds and the studies are; a search trial's score is its candidate's."""
        score = "" if data.get("overall") is None else f" {data['overall']:.1f}"
        ended = f"{one_line(trial)} {data['status']}{score}"
        self._ended.add(trial)
        if trial in self._root_trials:
            yield f"{ended}: root {len(self._root_trials & self._ended)}/{len(self._root_trials)} seeds"
        elif "-baseline-" in trial:
            yield ended
        elif (study := self._studies.get(self._study_of.get(trial, ""))) is not None:
            done = sum(self._study_of.get(t) == study["id"] for t in self._ended)
            look = f"look {study.get('look', 0) + 1} of {len(study['looks'])}"
            yield f"{ended}: {study['id']}, {look}, {done}/{len(study['arms']) * study['seeds']} trainings"

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
            yield f"{one_line(trial)} update {point['step']}/{steps}{shown}"


def _because(cause: str | None, status: str = "") -> str:
    return f": {one_line(cause).removeprefix(f'{status}: ')}" if cause else ""
