"""Power, error and cost of the protocol, simulated: rungs, replication, confirmation, and what naive readings claim.

    OMP_NUM_THREADS=1 python -P -m benchmarks.protocol_simulation [--draws 600] [--out FILE.json]

The unit of a score is the noise: the std of one training over seeds. Costs count training alone, as a share of training
all 64 candidates once to the end. Every figure comes with its standard error. `docs/evidence.md` reads the tables.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from engine.loop.finalists import unclear
from engine.stats.bootstrap import crossed
from engine.stats.ledger import allot
from engine.stats.looks import nominal_levels, spent
from engine.stats.noise import OWN_SPREAD_FROM
from engine.stats.promotion import STRICTNESS, chance_among, chance_asked, trust_in

N, ETA = 64, 4
RUNGS = (1 / 12, 1 / 4, 1.0)
"""As in the tiny profile: 4, 12 and 48 updates."""
ROOT_SEEDS = 8
RUNG_NOISE = 0.3
"""Of a score at an early rung, in stds of the candidates' true standing there."""
CORRELATIONS = ((0.4, 0.6), (0.6, 0.8), (0.75, 0.85), (0.9, 0.9), (0.0, 0.0))
"""Rank correlation of the true standing at the first and at the second rung with the true final gain."""
ALPHA = allot([], 3, automatic=True)
PLANS = ((4, 7, 10), (5, 7, 10), (5, 10), (10,))
Array = np.ndarray[Any, Any]
Figure = tuple[float, float]
Rows = Iterator[tuple[str, dict[str, Figure]]]


@dataclass(frozen=True)
class Table:
    """Figures with their standard errors."""

    title: str
    rows: list[tuple[str, dict[str, Figure]]]

    def markdown(self) -> str:
        """As printed; errors are in the file."""
        columns = list(dict.fromkeys(c for _, figures in self.rows for c in figures))
        lines = [f"### {self.title}", "", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name, figures in self.rows:
            cells = [f"{figures[c][0]:.3g}" if c in figures else "" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """For the file."""
        rows = [
            {"name": n, "figures": {c: {"value": round(v, 5), "error": round(e, 5)} for c, (v, e) in f.items()}}
            for n, f in self.rows
        ]
        return {"title": self.title, "rows": rows}


def mean(values: Any) -> Figure:
    """Mean and its standard error."""
    values = np.asarray(values, float)
    return (float(values.mean()), float(values.std() / np.sqrt(len(values)))) if len(values) else (0.0, 0.0)


# --- The search: who reaches confirmation, and for how much ---


def heavy_tail(rng: Any, draws: int) -> Array:
    """True gains: most at or below the root, one in twelve good, the best of 64 at about 4.5."""
    u, shape = rng.random((draws, N)), (draws, N)
    bad, same, good = -abs(rng.normal(0, 2, shape)), rng.normal(0, 0.5, shape), 1 + rng.exponential(1.5, shape)
    return np.where(u < 0.7, bad, np.where(u < 0.92, same, good))


def one_good(rng: Any, draws: int) -> Array:
    """True gains: one of +2 among 63 copies of the root."""
    gains = np.zeros((draws, N))
    gains[np.arange(draws), rng.integers(0, N, draws)] = 2.0
    return gains


def at_rung(rng: Any, gains: Array, rank_correlation: float, own_way: Array) -> Array:
    """True standing at an early rung, by a Gaussian copula. A score there is that and noise, which never lasts."""
    trust = trust_in(rank_correlation)
    rank = np.argsort(np.argsort(gains + 1e-9 * rng.normal(size=gains.shape), axis=1), axis=1)
    return trust * special.ndtri((rank + 0.5) / gains.shape[1]) + np.sqrt(1 - trust**2) * own_way


def best(scores: Array, m: int) -> Array:
    """Mask of the m best of each row."""
    return scores >= -np.sort(-scores, axis=1)[:, m - 1 : m]


def stream(x: Array, here: Array, correlation: float, strictness: float = STRICTNESS) -> Array:
    """`engine.stats.promotion.promotion` for one seed each, over many searches at once: who goes on, in turn.

    Column 0 is the root, which goes on in any case.
    """
    trust, on, rows = trust_in(correlation), np.zeros_like(here), np.arange(len(x))
    known = np.where(here, x, np.nan)

    def median(values: Array, count: Array) -> Array:
        ordered, last = np.sort(values, axis=1), np.maximum(count, 1) - 1
        return (ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2

    on[:, 0] = here[:, 0]
    for i in range(1, x.shape[1]):
        earlier, count = known[:, :i], here[:, :i].sum(1)
        k = -(-(count + 1) // ETA)
        middle = np.nan_to_num(median(earlier, count))
        spread = np.nan_to_num(median(abs(earlier - middle[:, None]), count) / special.ndtri(0.75))
        deviation = np.where(here[:, :i], x[:, :i] - middle[:, None], 0)
        observed = np.where(spread > 0, spread, np.sqrt((deviation**2).sum(1) / np.maximum(count, 1)))
        spread = np.maximum(observed, RUNG_NOISE)
        ends = np.where(here[:, :i], trust * deviation / spread[:, None], -1e9)
        chance = np.where(count < k, 1, chance_among(trust * (x[:, i] - middle) / spread, ends, k, trust, trust))
        top = 1 + (known[:, :i] > x[:, i : i + 1]).sum(1) <= k
        asked = chance_asked(k / (count + 1), trust * observed / spread, strictness)
        few = np.maximum(count, 1)
        below = np.nansum(earlier, axis=1) / few - x[:, i]
        unclear = (count < ETA) & (below <= 2 * RUNG_NOISE * np.sqrt(1 + 1 / few))
        on[:, i] = here[:, i] & (top | (chance >= asked) | unclear)
    return on


def replicated(rng: Any, gains: Array, once: Array, ended: Array, seeds: dict[int, int]) -> tuple[Array, Array]:
    """Mean end score after the top m got `seeds[m]` whole trainings each, and the trainings this took."""
    count, total, score = ended.astype(float), np.where(ended, once, 0), np.where(ended, once, -1e6)
    for m, wanted in seeds.items():
        chosen = best(score, m) & ended
        for _ in range(wanted - 1):
            more = chosen & (count < wanted)
            total, count = total + np.where(more, gains + rng.normal(size=gains.shape), 0), count + more
        score = np.where(ended, total / np.maximum(count, 1), -1e6)
    return score, count.sum(1) - ended.sum(1)


def told_apart(
    rng: Any, gains: Array, once: Array, ended: Array, finalists: int, most: int, begun: float
) -> tuple[Array, Array]:
    """The same by `engine.loop.finalists`: seeds for the finalists while it is not clear who the best three are.

    `begun` of each one's second training is already there, from its second seed at a rung.
    """
    score, trained = np.where(ended, once, -1e6), np.zeros(len(gains))
    for row, order in enumerate(np.argsort(-score, axis=1)):
        own = {str(i): [once[row, i]] for i in order[: min(finalists, ended[row].sum())]}
        while chosen := unclear(own, 3, most):
            for i in chosen:
                trained[row] += 1 - begun * (len(own[i]) == 1)
                own[i].append(gains[row, int(i)] + rng.normal())
            own = dict(sorted(own.items(), key=lambda item: -float(np.mean(item[1]))))
        for i, values in own.items():
            score[row, int(i)] = np.mean(values)
    return score, trained


def outcome(gains: Array, score: Array, ended: Array, trained: Any) -> dict[str, Figure]:
    """What the three that go to confirmation are worth."""
    three = best(score, 3) & ended
    found = {
        "true best among the 3": mean(three[np.arange(len(gains)), gains.argmax(1)]),
        "points lost": mean(gains.max(1) - np.where(three, gains, -99).max(1)),
        "cost": mean(np.broadcast_to(trained, len(gains)) / N),
    }
    if len(np.unique(gains[0])) > 3:  # in the other population there is no true second
        found["of the true top 3"] = mean((three & best(gains, 3)).sum(1) / 3)
    return found


def searches(rng: Any, population: Callable[[Any, int], Array], draws: int) -> Rows:
    """Strategies at each quality of the rungs."""
    for rhos in CORRELATIONS:
        gains = population(rng, draws)
        once, everybody = gains + rng.normal(size=gains.shape), np.ones_like(gains, bool)
        all_gains = np.concatenate([np.zeros((draws, 1)), gains], axis=1)  # the root first
        early_way = rng.normal(size=all_gains.shape)
        late_way = 0.5 * early_way + np.sqrt(0.75) * rng.normal(size=all_gains.shape)
        early, late = at_rung(rng, all_gains, rhos[0], early_way), at_rung(rng, all_gains, rhos[1], late_way)
        noise = RUNG_NOISE * np.array([1 / np.sqrt(ROOT_SEEDS), *[1.0] * N])
        x, y, y2 = (standing + noise * rng.normal(size=standing.shape) for standing in (early, late, late))
        seen = (rhos[0] / np.sqrt(1 + RUNG_NOISE**2), rhos[1] / np.sqrt(1 + RUNG_NOISE**2))

        def row(name: str, went: tuple[Array, Array], more: Any = None, twice: bool = False) -> Any:
            """Who went on from each rung; what finalists got besides; whether the second rung has two seeds."""
            (second, third), begun = went, RUNGS[1] * twice
            trained = N * RUNGS[0] + second.sum(1) * (RUNGS[1] - RUNGS[0] + begun) + third.sum(1) * (1 - RUNGS[1])
            if isinstance(more, tuple):
                score, extra = told_apart(rng, gains, once, third, *more, begun)  # noqa: B023
            else:
                score, extra = replicated(rng, gains, once, third, more or {})  # noqa: B023
            return f"{rhos[0]} / {rhos[1]}: {name}", outcome(gains, score, third, trained + extra)  # noqa: B023

        def ours(told: tuple[float, float], strictness: float = STRICTNESS, late: Array = y) -> tuple[Array, Array]:
            second = stream(x, np.ones_like(x, bool), told[0], strictness)  # noqa: B023
            return second[:, 1:], stream(late, second, told[1], strictness)[:, 1:]

        yield row("everybody once to the end", (everybody, everybody))
        for eta in (4, 3):
            second = best(x[:, 1:], N // eta)
            third = best(np.where(second, y[:, 1:], -1e6), N // eta**2)
            yield row(f"halving in batches, eta {eta}", (second, third))
        once_each, late_twice = ours(seen), ours(seen, late=(y + y2) / 2)
        yield row("ours, one seed each", once_each)
        for strictness in (0.0, 0.8, 1.2) if rhos == CORRELATIONS[2] else ():
            yield row(f"the same, strictness {strictness:g} for {STRICTNESS:g}", ours(seen, strictness))
        yield row("the same, told 0.7 at both rungs", ours((0.7, 0.7)))
        yield row("ours, 4 finalists with 2 seeds", once_each, (4, 2))
        yield row("ours, 4 finalists with up to 4", once_each, (4, 4))
        yield row("ours, 6 finalists with up to 4", once_each, (6, 4))
        yield row("ours, top 16 with 2 and top 6 with 4", once_each, {16: 2, 6: 4})
        yield row("ours, 2 seeds at 1/4", late_twice, twice=True)
        yield row("ours, 2 seeds at 1/4, 6 finalists with up to 4", late_twice, (6, 4), twice=True)


# --- Confirmation ---


def welch(a: Array, b: Array, n: int) -> tuple[Array, Array]:
    """p values and differences of the first n columns."""
    va, vb = a[:, :n].var(1, ddof=1) / n, b[:, :n].var(1, ddof=1) / n
    difference = a[:, :n].mean(1) - b[:, :n].mean(1)
    df = (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
    return 2 * special.stdtr(df, -abs(difference) / np.sqrt(va + vb)), difference


def at_looks(a: Array, b: Array, looks: tuple[int, ...], levels: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """Whether the test ends with a difference, whether with a gain, and the seeds an arm it took."""
    over, gain, seeds = np.zeros(len(a), bool), np.zeros(len(a), bool), np.full(len(a), looks[-1])
    for n, level in zip(looks, levels, strict=True):
        p, difference = welch(a, b, n)
        new = ~over & (p <= level)
        seeds[new], over, gain = n, over | new, gain | (new & (difference > 0))
    return over, gain, seeds


def textbook_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Levels for z values whose correlations are known (multivariate normal): what ours are compared with."""
    z: list[float] = []
    for i in range(len(looks)):
        part = np.array(looks[: i + 1], float)
        covariance = np.sqrt(np.minimum.outer(part, part) / np.maximum.outer(part, part))
        normal = stats.multivariate_normal(cov=covariance, seed=0)
        wanted = 1 - spent(alpha, looks[i] / looks[-1])
        inside = lambda last, n=normal, w=wanted: n.cdf([*z, last], lower_limit=[*(-v for v in z), -last]) - w  # noqa: E731
        z.append(float(optimize.brentq(inside, 0.5, 6.0, xtol=1e-4)))
    return tuple(float(2 * special.ndtr(-v)) for v in z)


def errors(rng: Any, draws: int) -> Rows:
    """Two identical arms, or with unequal spread: how often a difference is found, against alpha."""
    for alpha in (0.05, ALPHA):
        for ratio in (1.0, 0.5, 0.13, 2.0):
            a, b = rng.normal(0, ratio, (draws, 10)), rng.normal(0, 1, (draws, 10))
            found = {f"looks {looks}": at_looks(a, b, looks, nominal_levels(looks, alpha))[0] for looks in PLANS}
            found["textbook levels, looks (4, 7, 10)"] = at_looks(a, b, PLANS[0], textbook_levels(PLANS[0], alpha))[0]
            found["p <= alpha at each of 2..10 seeds"] = at_looks(a, b, tuple(range(2, 11)), (alpha,) * 9)[0]
            yield f"alpha {alpha:.4f}, candidate's std {ratio:g}", {k: mean(v) for k, v in found.items()}
        a, b = (rng.normal(size=(draws, 10)) - 10 * (rng.random((draws, 10)) < 0.1) for _ in range(2))
        found = {f"looks {looks}": at_looks(a, b, looks, nominal_levels(looks, alpha))[0] for looks in PLANS}
        yield f"alpha {alpha:.4f}, one training in ten falls by 10", {k: mean(v) for k, v in found.items()}


def bootstraps(rng: Any) -> Rows:
    """Two identical arms: how often a percentile bootstrap calls the difference a gain, 2.5 % being promised."""
    for seeds in (4, 10):
        a, b = rng.normal(size=(2000, seeds)), rng.normal(size=(2000, seeds))
        pick = lambda x: np.take_along_axis(x[:, None], rng.integers(0, seeds, (2000, 400, seeds)), 2).mean(2)  # noqa: B023, E731
        low = np.quantile(pick(a) - pick(b), 0.025, axis=1)
        yield f"percentile, over {seeds} seeds", {"a gain is claimed": mean(low > 0)}
    for seeds in (4, 10):
        shape, weights = (seeds, 1), {"task": 1.0}
        claimed = []
        for _ in range(1000):
            problems = rng.normal(0, 3, (1, 100))
            arms = [problems + rng.normal(size=shape) + rng.normal(0, 3, (seeds, 100)) for _ in range(2)]
            low = crossed(*({"task": arm.tolist()} for arm in arms), weights, resamples=400)[0]
            claimed.append(low > 0)
        yield f"crossed, {seeds} seeds x 100 problems", {"a gain is claimed": mean(claimed)}


def powers(rng: Any, draws: int) -> Rows:
    """Chance to be confirmed by true gain, and seeds an arm until the verdict."""
    textbook = textbook_levels(PLANS[0], ALPHA)
    for ratio in (1.0, 0.13):
        for gain in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5):
            a, b = rng.normal(gain, ratio, (draws, 10)), rng.normal(0, 1, (draws, 10))
            figures = {}
            for n in (4, 7, 10):
                p, difference = welch(a, b, n)
                figures[f"{n} seeds, 0.05"] = mean((p <= 0.05) & (difference > 0))
                figures[f"{n} seeds, {ALPHA:.4f}"] = mean((p <= ALPHA) & (difference > 0))
            for looks in PLANS[:2]:
                _, found, seeds = at_looks(a, b, looks, nominal_levels(looks, ALPHA))
                figures |= {f"looks {looks}": mean(found), f"seeds taken {looks}": mean(seeds)}
            figures["textbook levels, looks (4, 7, 10)"] = mean(at_looks(a, b, PLANS[0], textbook)[1])
            yield f"gain {gain:g}, candidate's std {ratio:g}", figures


def pairing(rng: Any, draws: int) -> Rows:
    """Power for a gain of 1.5 with and without pairing, at a correlation by seed."""
    for correlation in (0.04, 0.5):
        for n in (4, 10):
            common = rng.normal(size=(draws, n)) * np.sqrt(correlation)
            a, b = (common + np.sqrt(1 - correlation) * rng.normal(size=(draws, n)) for _ in range(2))
            difference = a + 1.5 - b
            t = difference.mean(1) / (difference.std(1, ddof=1) / np.sqrt(n))
            paired, unpaired = 2 * special.stdtr(n - 1, -abs(t)), welch(a + 1.5, b, n)[0]
            yield (
                f"correlation {correlation}, {n} seeds",
                {"paired": mean(paired <= 0.05), "not paired (Welch)": mean(unpaired <= 0.05)},
            )


def pipelines(rng: Any, draws: int) -> Rows:
    """Whole searches: what is claimed from search scores, and what the protocol confirms."""
    for name, spread in (("all 63 are the root", 1.0), ("the same, spread 2", 2.0), ("heavy tail", 1.0)):
        gains = heavy_tail(rng, draws)[:, : N - 1] * (name == "heavy tail")
        scores, root = gains + rng.normal(0, spread, gains.shape), rng.normal(size=(draws, ROOT_SEEDS))
        claimed = scores.max(1) - root.mean(1)
        half = special.stdtrit(ROOT_SEEDS - 1, 0.975) * root.std(1, ddof=1) * np.sqrt(1 + 1 / ROOT_SEEDS)
        three = np.take_along_axis(gains, np.argsort(-scores, axis=1)[:, :3], axis=1)
        rooted, levels, confirmed, taken = (
            rng.normal(size=(draws, 10)),
            nominal_levels((5, 7, 10), ALPHA),
            [],
            [ALPHA] * 3,
        )
        for i in range(3):  # the root's fresh trainings are common to the batch
            fresh = three[:, i : i + 1] + rng.normal(0, spread, (draws, 10))
            confirmed.append(at_looks(fresh, rooted, (5, 7, 10), levels)[1])
        by_hand = []
        for _ in range(5):  # the user asks again for the best one, with fresh seeds each time
            taken.append(allot(taken, 1, automatic=False))
            arms = three[:, :1] + rng.normal(0, spread, (draws, 10)), rng.normal(size=(draws, 10))
            by_hand.append(at_looks(*arms, (5, 7, 10), nominal_levels((5, 7, 10), taken[-1]))[1])
        false = [c & (three[:, i] <= 0) for i, c in enumerate(confirmed)]
        false += [c & (three[:, 0] <= 0) for c in by_hand]
        yield (
            name,
            {
                "best search score minus root": mean(claimed),
                "true gain of that one": mean(three[:, 0]),
                "its interval is above 0": mean(claimed > half),
                "confirmed, any of 3": mean(np.any(confirmed, axis=0)),
                "confirmed with no true gain": mean(np.any(false[:3], axis=0)),
                "the same with 5 more by hand": mean(np.any(false, axis=0)),
                "confirmed, of those with a gain over 1": mean(np.array(confirmed).T[three > 1]),
            },
        )


def intervals(rng: Any, draws: int) -> Rows:
    """How often the interval of a node's gain over the root holds the true one (95 % is promised)."""
    for root_seeds in (3, 8):
        for own in (1, 2, 4):
            figures = {}
            for ratio in (0.13, 1.0, 1.3, 2.0):
                a, b = rng.normal(0, ratio, (draws, own)), rng.normal(size=(draws, root_seeds))
                va, vb = a.var(1, ddof=1) / own if own > 1 else np.zeros(draws), b.var(1, ddof=1) / root_seeds
                df = own + root_seeds - 2
                pooled = (va * own * (own - 1) + vb * root_seeds * (root_seeds - 1)) / df * (1 / own + 1 / root_seeds)
                halves = {"pooled": special.stdtrit(df, 0.975) * np.sqrt(pooled)}
                if own > 1:
                    df_welch = (va + vb) ** 2 / (va**2 / (own - 1) + vb**2 / (root_seeds - 1))
                    halves["Welch"] = special.stdtrit(df_welch, 0.975) * np.sqrt(va + vb)
                halves["ours"] = halves["Welch" if own >= OWN_SPREAD_FROM else "pooled"]
                difference = abs(a.mean(1) - b.mean(1))
                figures |= {f"{rule}, std {ratio:g}": mean(difference <= half) for rule, half in halves.items()}
            yield f"{own} own, {root_seeds} root seeds", figures


def main() -> None:
    """Run all, print the tables, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=600, help="searches simulated a line; tests take 30 times as many")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started, many = time.monotonic(), 30 * options.draws
    parts: list[tuple[str, Callable[[Any], Rows]]] = [
        ("Reaching confirmation: heavy tail", lambda r: searches(r, heavy_tail, options.draws)),
        ("Reaching confirmation: one of +2 among 63 copies", lambda r: searches(r, one_good, options.draws)),
        ("Whole searches: claims and confirmations", lambda r: pipelines(r, many // 2)),
        ("Error of the tests", lambda r: errors(r, 4 * many)),
        ("Bootstraps over seeds", bootstraps),
        ("Power of a confirmation", lambda r: powers(r, many)),
        ("Pairing by seed, power for a gain of 1.5", lambda r: pairing(r, many)),
        ("Coverage of a gain's interval", lambda r: intervals(r, many)),
    ]
    tables = [Table(title, list(part(np.random.default_rng(i)))) for i, (title, part) in enumerate(parts)]
    for table in tables:
        print(table.markdown(), flush=True)
    seconds = round(time.monotonic() - started, 1)
    print(f"{seconds} s")
    if options.out:
        document = {"draws": options.draws, "seconds": seconds, "tables": [t.document() for t in tables]}
        options.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
