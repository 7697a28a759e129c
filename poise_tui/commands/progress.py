"""Events as lines of progress, for a terminal that only scrolls."""

from collections.abc import Iterator, Mapping
from textwrap import shorten
from typing import Any

from engine.archive.events import Event
from poise_tui.format import one_line

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
                if data["parent"] is not None:
                    hypothesis = shorten(one_line(data["proposal"]["hypothesis"]), 100, placeholder=" ...")
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
                yield f"{one_line(data['trial'])} {data['status']}" + ("" if score is None else f" {score:.1f}")
            case "steering":
                target = f" {one_line(data['node'])}" if data.get("node") else ""
                yield f"{one_line(data['command'])}{target} (by {one_line(data['by'])})"
            case "log" if data["level"] in ("warning", "error"):
                yield f"{data['level']}: {one_line(data['message'])}"

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


def _because(cause: str | None) -> str:
    return f": {one_line(cause)}" if cause else ""
