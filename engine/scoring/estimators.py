"""What the outcomes of a scoring say: pass@k, avg@n, their intervals, and Overall. All in 0-100."""

from collections.abc import Mapping, Sequence
from math import comb, sqrt

LEVEL = 0.95


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance (0-1) that one of `k` samples is right, from `c` right ones among `n`.

    1 - C(n-c,k)/C(n,k), arXiv 2107.03374.

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, not n={n} c={c} k={k}")
    return 1.0 - comb(n - c, k) / comb(n, k)


def problem_values(outcomes: Sequence[Sequence[int]], k: int) -> list[float]:
    """One value (0-100) a problem: pass@k of its samples. With k = 1 it is avg@n."""
    return [100.0 * pass_at_k(len(row), sum(row), k) for row in outcomes]


def mean_and_interval(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean over problems and its 95 % t interval, cut to 0-100.

    Problems are the clusters: samples of one problem are not independent, so only problem means count. One
    problem alone says nothing about the spread: its interval is 0-100.
    """
    from scipy import stats

    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, (0.0, 100.0)
    error = float(stats.sem(values))
    if error == 0.0:
        return mean, (mean, mean)
    low, high = stats.t.interval(LEVEL, len(values) - 1, loc=mean, scale=error)
    return mean, (max(0.0, float(low)), min(100.0, float(high)))


def overall(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The weighted mean of the tasks' values.

    The weights are 0.2 for each hard task and 0.15 for each other one (arXiv 2603.23951).

    Raises:
        ValueError: a task has no value or no weight.
    """
    if set(values) != set(weights):
        raise ValueError(f"Overall needs every task once, not {sorted(values)} for {sorted(weights)}")
    return sum(weights[task] * values[task] for task in weights) / sum(weights.values())


def overall_standard_error(
    outcomes: Mapping[str, Sequence[Sequence[int]]], ks: Mapping[str, int], weights: Mapping[str, float]
) -> float:
    """Standard error of Overall from drawing problems and samples; a training's own noise is not in it."""
    from scipy import stats

    total = sum(weights.values())
    errors = [weights[t] / total * float(stats.sem(problem_values(rows, ks[t]))) for t, rows in outcomes.items()]
    return sqrt(sum(error * error for error in errors))
