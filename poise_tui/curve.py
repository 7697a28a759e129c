"""The metrics of one training, as columns that grow."""

import math
from array import array
from collections.abc import Mapping

METRICS: tuple[str, ...] = (
    *("reward", "correct", "kl", "entropy", "length", "grad_norm", "clip_fraction"),
    *("loss", "reward_std", "length_std", "truncated", "invalid", "all_fail", "mixed", "all_pass"),
    *("advantage_mean", "advantage_std", "advantage_max", "ratio_mean", "learning_rate"),
    *("samples_per_second", "memory_mb"),
)
"""What the curves can show, in the order in which a key goes through them; the parts of the reward come after."""
PART = "part "
"""Before the name of a part of the reward, where that is a metric."""

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
