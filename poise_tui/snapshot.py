"""What the dashboard knows at one moment: immutable, and all that a widget ever sees."""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import stdev
from types import MappingProxyType
from typing import Any

import orjson

from engine.stats.noise import expected_best

METRICS: tuple[str, ...] = (
    *("reward", "correct", "kl", "entropy", "length", "grad_norm", "clip_fraction"),
    *("loss", "reward_std", "length_std", "truncated", "invalid", "all_fail", "mixed", "all_pass"),
    *("advantage_mean", "advantage_std", "advantage_max", "ratio_mean", "learning_rate"),
    *("samples_per_second", "memory_mb"),
)
"""What the curves can show, in the order in which a key goes through them; the parts of the reward come after."""
PART = "part "
"""Before the name of a part of the reward, where that is a metric."""

ENDED = ("finished", "stopped", "dead")

Json = Mapping[str, Any]
_NOTHING: "array[float]" = array("f")


class Curve:
    """A trial's metrics up to now: columns that only grow, seen up to a length that never changes.

    So a snapshot costs nothing to take while 10,000 points are there, and still never changes.
    """

    __slots__ = ("_columns", "_steps", "count")

    def __init__(self, steps: "array[float]", columns: Mapping[str, "array[float]"], count: int) -> None:
        self._steps = steps
        self._columns = columns
        self.count = count

    def steps(self) -> "array[float]":
        """(count,) the optimizer updates, ascending."""
        return self._steps[: self.count]

    def values(self, metric: str) -> "array[float]":
        """(count,) the values at those updates; NaN where there is none."""
        column = self._columns.get(metric)
        return array("f", [math.nan]) * self.count if column is None else column[: self.count]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that was measured, in the order of `METRICS`, then the parts of the reward."""
        known = list(self._columns)  # a copy: it grows in another thread
        return tuple(m for m in METRICS if m in known) + tuple(sorted(m for m in known if m.startswith(PART)))

    def last(self, metric: str) -> float | None:
        """The newest value that is a number, of the last few."""
        for value in reversed(self._columns.get(metric, _NOTHING)[max(0, self.count - 10) : self.count]):
            if not math.isnan(value):
                return value
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curve) or self.count != other.count or self.steps() != other.steps():
            return False
        # NaN is no value here and equal to itself, which array comparison does not know.
        both = {*self.metrics, *other.metrics}
        return all(self.values(m).tobytes() == other.values(m).tobytes() for m in both)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Trial:
    """One training of a candidate."""

    id: str
    purpose: str
    status: str
    step: int
    steps: int
    overall: float | None
    curve: Curve
    updates: int | None = None
    """After which its furthest score was taken."""


@dataclass(frozen=True)
class Gain:
    """Points of Overall over the root at the same rung, with the 95 % interval, as the engine has it."""

    value: float
    low: float
    high: float
    mark: str
    """better, worse or can't tell."""

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Candidate:
    """One node of the tree."""

    id: str
    name: str
    parent: str | None
    status: str
    cause: str | None
    overall: float | None
    pinned: bool
    packed: bytes
    """The document as JSON: a tenth of the memory that it takes as objects."""
    trials: tuple[Trial, ...] = ()
    gain: Gain | None = None
    fidelity: float = 1.0
    """Share of a whole training that `overall` is from."""
    updates: int | None = None
    """After which it was scored, where that was before the end."""
    seeds: tuple[float, ...] = ()
    """Overall of each training that got as far."""
    verdict: str | None = None
    """Of its confirmation."""
    mechanisms: tuple[str, ...] = ()
    tasks: tuple[tuple[str, float], ...] = ()
    """The score of each task of the profile, where it was scored furthest."""
    seconds: float = 0.0
    """Of training, all its trials together."""

    def document(self) -> dict[str, Any]:
        """All that the archive knows of it."""
        return dict(orjson.loads(self.packed))

    @property
    def main_trial(self) -> Trial | None:
        """The training that shows the candidate best: its search trial, else any."""
        named = [t for t in self.trials if t.purpose == "search"]
        return named[0] if named else self.trials[0] if self.trials else None

    @property
    def running_trial(self) -> Trial | None:
        """The training that goes on now."""
        return next((t for t in self.trials if t.status == "training"), None)


@dataclass(frozen=True)
class Branch:
    """A node's place in the tree: its id, its depth, and for each level whether more siblings follow."""

    id: str
    more: tuple[bool, ...]


@dataclass(frozen=True)
class LogLine:
    """One line of the log pane."""

    level: str
    text: str


@dataclass(frozen=True)
class Run:
    """The run document, and the status users see."""

    id: str
    profile: str
    status: str
    shown: str
    total: int | None
    clock_base: float
    clock_since: float
    last_event: float
    usd: float
    gpu_seconds: float
    sandbox: str = "full"
    """The level reached, as the run document says it."""
    directive: str = ""
    seed: int | None = None
    rungs: tuple[int, ...] = ()
    """The updates at which candidates are judged; the last ones are those of a whole training."""
    limits: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Budgets besides the candidates, where there are any: hours, GPU hours, usd."""
    silent_since: float | None = None
    """When its engine last showed that it works, in unix time, where that is too long ago and it does not answer."""

    def elapsed(self, now: float) -> float:
        """Seconds that engines have spent on the run; `now` is unix time."""
        until = self.last_event if self.shown in ENDED else now
        return self.clock_base + max(0.0, until - self.clock_since)


@dataclass(frozen=True)
class Gpu:
    """One GPU's load: percent and MiB; None where the device does not say."""

    index: int
    name: str
    util: float | None
    used: float | None
    total: float | None
    power: float | None = None
    """Watts."""
    temperature: float | None = None
    """Degrees Celsius."""


@dataclass(frozen=True)
class Process:
    """A child of the engine: percent of one core, MiB."""

    trial: str
    pid: int
    cpu: float
    memory: float


@dataclass(frozen=True)
class Machine:
    """The newest telemetry sample; memory in MiB."""

    time: float
    cpu: float
    cores: int
    memory_used: float
    memory_total: float
    gpus: tuple[Gpu, ...]
    each_core: tuple[float, ...] = ()
    engine_memory: float = 0.0
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """Everything the dashboard shows at one moment. Parts that did not change are the same objects as before."""

    run: Run | None = None
    candidates: Mapping[str, Candidate] = field(default_factory=lambda: MappingProxyType({}))
    tree: tuple[Branch, ...] = ()
    log: tuple[LogLine, ...] = ()
    machine: Machine | None = None
    dropped: int = 0
    samples: tuple[Machine, ...] = ()
    """Telemetry of the last half hour or so, the newest last."""
    steered: tuple[str, ...] = ()
    """Ids of the newest commands that the engine has obeyed."""

    @cached_property
    def root(self) -> Candidate | None:
        """The candidate every other is compared with."""
        return self.candidates.get(self.tree[0].id) if self.tree else None

    @cached_property
    def best(self) -> Candidate | None:
        """The candidate with the highest Overall of a whole training that was not pruned."""
        known = (c for c in self.candidates.values() if c.overall is not None and c.status != "pruned")
        scored = [c for c in known if c.fidelity >= 1]
        return max(scored, key=lambda c: c.overall or 0.0, default=None)

    @cached_property
    def chance(self) -> tuple[int, float] | None:
        """How many candidates were scored, and the gain that chance alone would give the best of so many."""
        scored = sum(c.overall is not None for c in self.candidates.values()) - 1
        if (level := self.level) is None or len(level) < 2 or scored < 1:
            return None
        return scored, expected_best(scored, stdev(level))

    @cached_property
    def level(self) -> tuple[float, ...] | None:
        """The root's scores after whole trainings, one a seed; None before the first."""
        root = self.root
        if root is None or root.fidelity < 1 or root.overall is None:
            return None
        # A run from before rungs names no seeds in its documents.
        return root.seeds or tuple(t.overall for t in root.trials if t.overall is not None)

    @cached_property
    def root_seeds(self) -> int:
        """How many trainings the root gets."""
        made = () if self.root is None else (t for t in self.root.trials if t.purpose in ("search", "baseline"))
        return max(len(self.level or ()), sum(1 for _ in made))

    @cached_property
    def training_began(self) -> bool:
        """Whether any training step has arrived."""
        return any(t.step > 0 for c in self.candidates.values() for t in c.trials)

    def descendants(self, node: str) -> tuple[str, ...]:
        """The ids below a node, in the tree's order."""
        for place, branch in enumerate(self.tree):
            if branch.id == node:
                below = self.tree[place + 1 :]
                end = next((i for i, b in enumerate(below) if len(b.more) <= len(branch.more)), len(below))
                return tuple(b.id for b in below[:end])
        return ()
