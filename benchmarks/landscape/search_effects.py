"""A search by a model of what mechanisms do: single effects and pairs, and a draw of what may be true of them.

    f(S) = f(root) + sum of w_i over i in S + sum of v_ij over pairs in S,   w ~ N(0, a^2), v ~ N(0, b^2), noise s

a, b and s maximise the marginal likelihood of what was seen, over a grid. A decision draws one f from what is believed
(Thompson 1933), with half the spread, and takes the best set in it among those within reach that were not proposed.
"""

from __future__ import annotations

import random
from functools import cache, lru_cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.design import SUBSETS, SWITCHES
from benchmarks.landscape.search_rules import drawn, one_step
from benchmarks.landscape.search_world import Array, ChildRule, Seen, name_of, number_of, within_reach

NOISE = (0.5, 1.0, 2.0, 4.0)
"""Points of Overall between two trainings, tried."""
SINGLE = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Points that a mechanism makes by itself, tried."""
PAIR = (0.0, 0.1, 0.25, 0.5, 1.0)
"""The same of pairs, as shares of a mechanism's."""
WIDE = 50.0
"""Points in which the root's own value is known beforehand."""
SPREAD = 0.5
"""Of a draw around the mean, as a share of what is believed. Chosen on made-up landscapes, before the real one was
there; between 0.25 and 1 little changes, and with 0 the search repeats itself.
"""


@cache
def features(pairs: bool) -> Array:
    """(SUBSETS, 1 + switches + pairs): one, which are on, which are on together."""
    on = np.array([[s >> i & 1 for i in range(len(SWITCHES))] for s in range(SUBSETS)], dtype=float)
    both = [on[:, i] * on[:, j] for i, j in combinations(range(len(SWITCHES)), 2)] if pairs else []
    return np.column_stack([np.ones(SUBSETS), on, *both])


@lru_cache(maxsize=4)
def believed(rows: tuple[tuple[int, float], ...], pairs: bool = True) -> tuple[Array, Array]:
    """Mean of the weights of `features`, and a root of their covariance (features, features).

    Args:
        rows: (subset, score), each seen once.
    """
    x = features(pairs)[[s for s, _ in rows]]
    y = np.array([value for _, value in rows])
    start, switches = float(y.mean()), len(SWITCHES)
    noise, single, share = np.array(list(product(NOISE, SINGLE, PAIR if pairs else (0.0,)))).T[:, :, None, None]
    both, alone, together = (x[:, a] @ x[:, a].T for a in (slice(1), slice(1, 1 + switches), slice(1 + switches, None)))
    kernel = WIDE**2 * both + single**2 * (alone + share**2 * together) + noise**2 * np.eye(len(y))
    lower = np.linalg.cholesky(kernel)  # (settings, trainings, trainings)
    white = np.linalg.solve(lower, np.broadcast_to((y - start)[:, None], (len(lower), len(y), 1)))[:, :, 0]
    likelihood = -0.5 * (white**2).sum(axis=1) - np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    best = int(np.argmax(likelihood))
    s, a, b = (float(v[best, 0, 0]) for v in (noise, single, share))
    prior = np.concatenate([[WIDE], np.full(switches, a), np.full(x.shape[1] - 1 - switches, a * b)])
    scaled = x * prior
    inner = np.eye(x.shape[1]) + scaled.T @ scaled / s**2
    mean = prior * np.linalg.solve(inner, scaled.T @ (y - start) / s**2)
    mean[0] += start
    return mean, prior[:, None] * np.linalg.solve(np.linalg.cholesky(inner), np.eye(len(prior))).T


@cache
def steps() -> npt.NDArray[np.bool_]:
    """(SUBSETS, SUBSETS): what a step from each leads to."""
    led = [one_step(parent) for parent in range(SUBSETS)]
    return np.array([[s in to for s in range(SUBSETS)] for to in led])


def effects(*, pairs: bool = True) -> ChildRule:
    """The best of one draw, whatever parent it is far from; its parent is who is nearest."""

    def rule(seen: Seen, proposed: frozenset[int], parent: str, rng: random.Random) -> tuple[str, int]:
        mean, root = believed(tuple(seen.scores.items()), pairs)
        dice = np.random.default_rng(rng.getrandbits(32))
        values = features(pairs) @ (mean + SPREAD * root @ dice.standard_normal(len(mean)))
        values[[s for s in range(SUBSETS) if s in proposed or s not in within_reach()]] = -np.inf
        best = int(values.argmax())
        return name_of(min(seen.scores, key=lambda p: (bin(p ^ best).count("1"), -seen.scores[p]))), best

    return rule


def informed(truth: Array) -> ChildRule:
    """One that knows the truth, and still only takes steps from what has settled: nobody could do much better."""

    def rule(seen: Seen, proposed: frozenset[int], parent: str, rng: random.Random) -> tuple[str, int]:
        able = steps()[[number_of(c.id) for c in seen.settled]].any(axis=0)
        able[list(proposed)] = False
        return (
            (parent, int(np.where(able, truth, -np.inf).argmax())) if able.any() else drawn(seen, proposed, parent, rng)
        )

    return rule
