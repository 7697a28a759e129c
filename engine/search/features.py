"""What the Gaussian process of parent selection sees of a candidate: five groups of numbers, each with the same say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.search.curves import NAMES
from engine.search.evidence import Evidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


class Features:
    """Makes the matrix of features; remembers what it read of candidates that have not changed since."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Evidence, Evidence | None, list[float]]] = {}

    def matrix(self, candidates: Sequence[Evidence], of: Sequence[Evidence]) -> Matrix:
        """The features of `of`, which are some of `candidates`.

        * mechanisms: a switch each;
        * behaviour: distance of the fingerprint to the root's and to the parent's;
        * scores: Overall and every task;
        * place: depth, logarithm of 1 + children so far;
        * training: mean and change of every curve, logarithm of 1 + spikes.

        Numbers are standardised, unknown ones are 0 then (the mean), and each group is divided by the root of its mean
        square distance: two candidates are 1 apart in the root mean square over groups.

        Returns:
            (len(of), features)
        """
        import numpy as np

        by_id = {c.id: c for c in candidates}
        root = next((c for c in candidates if c.parent is None), None)
        children = Counter(c.parent for c in candidates if c.arm == "search")
        tasks = sorted({task for c in of for task in c.benchmarks})
        names = {name: i for i, name in enumerate(sorted({name for c in of for name in c.keys}))}
        switches = np.zeros((len(of), len(names)))
        for i, c in enumerate(of):
            switches[i, [names[name] for name in c.keys]] = 1.0
        numbers = np.array([self._numbers(c, by_id.get(c.parent or ""), root) for c in of], dtype=np.float64)
        scores = [[_known(c.overall), *(_task(c, task) for task in tasks)] for c in of]
        place = [[float(c.depth), math.log1p(children[c.id])] for c in of]
        groups = [switches, *(_standard(np.array(g)) for g in (numbers[:, :2], scores, place, numbers[:, 2:]))]
        shares = [_shared(group) for group in groups if group.size]
        whole: Matrix = np.hstack(shares) / math.sqrt(len(shares))
        return whole

    def _numbers(self, c: Evidence, parent: Evidence | None, root: Evidence | None) -> list[float]:
        """What does not change with the archive: behaviour (2), then training."""
        kept = self._rows.get(c.id)
        if kept is not None and kept[0] is c and kept[1] is parent:
            return kept[2]
        row = [_apart(c, root), _apart(c, parent)]
        trends, means = (c.curves.trends, c.curves.means) if c.curves else ({}, {})
        for name in NAMES:
            trend = trends.get(name)
            row += [means.get(name, math.nan), trend.change if trend else math.nan]
        row.append(math.log1p(len(c.curves.spikes)) if c.curves else math.nan)
        self._rows[c.id] = (c, parent, row)
        return row


def _apart(a: Evidence, b: Evidence | None) -> float:
    """Half the distance of two unit vectors: 1 for opposite ones."""
    if b is None or a.fingerprint is None or b.fingerprint is None or len(a.fingerprint) != len(b.fingerprint):
        return math.nan
    return math.dist(a.fingerprint, b.fingerprint) / 2


def _task(c: Evidence, task: str) -> float:
    return c.benchmarks[task].value if task in c.benchmarks else math.nan


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _standard(x: Matrix) -> Matrix:
    """Columns of mean 0 and standard deviation 1; 0 where a number is unknown or its column constant."""
    import numpy as np

    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, x, 0.0)
    mean = filled.sum(axis=0) / count
    centred = np.where(known, x - mean, 0.0)
    std = np.sqrt((centred**2).sum(axis=0) / count)
    scaled: Matrix = np.where(std > 1e-9, centred / np.where(std > 1e-9, std, 1.0), 0.0)
    return scaled


def _shared(group: Matrix) -> Matrix:
    """Divided so that the mean square distance of two rows is 1."""
    import numpy as np

    spread = math.sqrt(2 * float(np.var(group, axis=0).sum()))
    return group / spread if spread > 1e-9 else np.zeros_like(group)
