"""A crossed bootstrap of a difference of Overall: seeds and problems are drawn anew, each seed meets every problem.

Secondary: it shows how far the result hangs on the problems that were drawn. It decides nothing, since a percentile
bootstrap over few seeds is too liberal (two to three times the stated error with 4 an arm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Values = Mapping[str, Sequence[Sequence[float]]]
"""By task: one row a seed, one value (0-100) a problem; the same seeds in each task."""


def crossed(
    candidate: Values,
    root: Values,
    weights: Mapping[str, float],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of candidate minus root in points of Overall (Owen 2007, the pigeonhole bootstrap).

    Seeds are drawn for each arm alone; problems of a task are drawn once for both, who met the same ones.

    Raises:
        ValueError: another task, number of seeds or number of problems than said above.
    """
    import numpy as np

    if set(candidate) != set(weights) or set(root) != set(weights):
        raise ValueError(f"the arms need values of every task: {sorted(weights)}")
    rng = np.random.default_rng(seed)
    arms = [{task: _table(arm[task], task) for task in weights} for arm in (candidate, root)]
    draws = [_draws(rng, resamples, _one({len(t) for t in arm.values()}, "seeds")) for arm in arms]
    total = np.zeros(resamples)
    for task in sorted(weights):
        problems = _draws(rng, resamples, _one({arm[task].shape[1] for arm in arms}, f"problems of {task}"))
        for sign, arm, seeds in zip((1, -1), arms, draws, strict=True):
            total += sign * weights[task] * ((problems @ arm[task].T) * seeds).sum(axis=1)
    low, high = np.quantile(total / sum(weights.values()), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _draws(rng: Any, resamples: int, n: int) -> Any:
    """Share of each of n things in each resample."""
    import numpy as np

    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


def _table(rows: Sequence[Sequence[float]], task: str) -> Any:
    import numpy as np

    _one({len(row) for row in rows}, f"problems of {task}")
    return np.asarray(rows, dtype=float)


def _one(sizes: set[int], what: str) -> int:
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"the number of {what} differs or is 0: {sorted(sizes)}")
    return sizes.pop()
