"""Whole discoveries on recorded trainings of tiny: rungs, finalists and confirmation by the engine's own rules.

What is simulated is only where scores come from. Who goes on, who gets a second seed, who is confirmed with how much of
the error and after which looks is told by the functions that a run uses, and by the profile's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.design import ROOT_SEEDS
from benchmarks.landscape.views import STOPS, Landscape
from benchmarks.protocol_simulation import at_looks
from engine.errors import Exit, PoiseError
from engine.loop.finalists import unclear
from engine.loop.promotions import CREDIT, PRIOR_WEIGHT
from engine.loop.rungs import ladder
from engine.loop.settled import visible
from engine.loop.study_plan import confirm_plan
from engine.profiles.schema import load_profile
from engine.search.select import round_of
from engine.stats.looks import nominal_levels
from engine.stats.promotion import promotion, rank_correlation

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PROFILE = load_profile("tiny").resolved()
RUNGS = ladder(PROFILE)
END = len(RUNGS) - 1
"""Column of the score at the end, on development problems; those before it are the rungs'."""
FRESH = END + 1
"""Column of the score at the end on confirmation problems."""
CANDIDATES = 64
ROOT_TRAININGS = int(PROFILE["search"]["baseline_seeds"])
FEWEST = 200
"""Trainings of the root without which nothing is told: few hide how often chance looks like a gain."""


def columns() -> list[int]:
    """Where the profile's rungs and end are among the landscape's stops.

    Raises:
        PoiseError: refused (4): the profile has a rung at which nothing was scored, or several seeds at one.
    """
    at = [rung.updates for rung in RUNGS]
    if missing := [u for u in at if u not in STOPS]:
        raise PoiseError(f"the landscape has no scores after {missing[0]} updates, only {STOPS}", Exit.REFUSED)
    if any(rung.seeds > 1 for rung in RUNGS):
        raise PoiseError("tiny.toml wants several seeds at a rung: discoveries are simulated with one", Exit.REFUSED)
    return [STOPS.index(u) for u in at]


def pool(landscape: Landscape, anyway: bool = False) -> Array:
    """(trainings, rungs + 2): the root's recorded trainings, scored at each rung, the end, and on fresh problems.

    Raises:
        PoiseError: refused (4): there are too few, and not `anyway`.
    """
    there = len(landscape.root)
    if there < FEWEST and not anyway:
        raise PoiseError(
            f"{there} of {ROOT_SEEDS} trainings of the root are there, {FEWEST} are needed: go on with "
            "`python -P -m benchmarks.landscape.train run`",
            Exit.REFUSED,
        )
    return np.column_stack([landscape.root[:, columns()], landscape.root_confirmed])


class Deck:
    """Recorded trainings, shuffled, each dealt once.

    Dealing without replacement is right here: over such deals the difference of two arms' means has just the variance
    of independent draws from a population with the pool's variance (divisor n - 1).

    Args:
        rng: shuffles.
        trainings: (n, columns), see `pool`.
        anew: shuffle again when all are dealt, for pools too small for a discovery.
    """

    def __init__(self, rng: np.random.Generator, trainings: Array, anew: bool = False) -> None:
        self._rng, self._trainings, self._anew = rng, trainings, anew
        self._left = rng.permutation(trainings)

    def deal(self, n: int) -> Array:
        """(n, columns): the next ones.

        Raises:
            PoiseError: refused (4): all are dealt.
        """
        while len(self._left) < n and self._anew:
            self._left = np.concatenate([self._left, self._rng.permutation(self._trainings)])
        if len(self._left) < n:
            raise PoiseError(f"a discovery takes more than {len(self._trainings)} trainings of the root", Exit.REFUSED)
        dealt, self._left = self._left[:n], self._left[n:]
        return dealt


@dataclass(frozen=True)
class Population:
    """The candidates of a discovery: each of its trainings is one of the root's, changed."""

    gains: Array
    """(candidates, columns): points added."""
    spread: float = 1.0
    """What a training is from `middle` is multiplied by this."""
    middle: Array | float = 0.0
    """(columns,)"""
    recorded: Mapping[int, Array] | None = None
    """(trainings, columns) of candidates whose first trainings in the search are recorded ones of their own."""

    def trained(self, candidate: int | slice, of_root: Array) -> Array:
        """Trainings of candidates (rows) made from as many of the root."""
        return self.middle + self.spread * (of_root - self.middle) + self.gains[candidate]


def nulls(n: int = CANDIDATES) -> Population:
    """Every candidate is secretly the root."""
    return Population(np.zeros((n, FRESH + 1)))


@dataclass(frozen=True)
class Search:
    """What became of the candidates, numbered from 0."""

    reached: tuple[int, ...]
    """How many were trained to each rung, and to the end."""
    ended: dict[int, float]
    """First whole trainings' scores."""
    finalists: dict[int, list[float]]
    """Scores of all whole trainings of the best, the best mean first."""
    again: int
    """Further whole trainings, of finalists."""

    @property
    def share(self) -> float:
        """Updates trained, as a share of training all to the end once; the root's apart."""
        at = [0, *(rung.updates for rung in RUNGS)]
        updates = sum(n * (b - a) for n, a, b in zip(self.reached, at[:-1], at[1:], strict=True))
        return (updates + self.again * at[-1]) / (self.reached[0] * at[-1])


def search(first: Array, root: Array, again: Callable[[int], float]) -> Search:
    """Rungs and finalists, as `engine.loop.promotions` and `engine.loop.finalists` have them.

    Args:
        first: (candidates, rungs + 1), of each candidate's first training, had it been trained to the end.
        root: (trainings, rungs + 1)
        again: the score of another whole training of a candidate.
    """
    table, lag = PROFILE["search"]["rungs"], PROFILE["search"]["lag"]
    noise = [stdev(column) for column in root.T.tolist()]
    at: list[dict[int, float]] = [{} for _ in RUNGS]
    gone = [0] * len(RUNGS)
    for slot, scores in enumerate(first.tolist(), start=1):  # the root has slot 0
        settled = visible(round_of(slot, PROFILE["search"]["parents"])[1], lag)
        for rung in range(END):
            own, before = scores[rung], list(at[rung].values())
            pairs = [(x, at[END][n]) for n, x in at[rung].items() if n in settled and n in at[END]]
            correlation = rank_correlation(
                [a for a, _ in pairs],
                [b for _, b in pairs],
                prior=table["correlation"],
                prior_weight=PRIOR_WEIGHT,
                everybody=before,
            )
            earlier = [float(root[0, rung]), *before]
            judged = promotion(
                [own], earlier, noise_std=noise[rung], correlation=min(correlation, 1.0), eta=table["eta"]
            )
            at[rung][slot] = own
            room = gone[rung] + 1 <= CREDIT + len(at[rung]) / table["eta"] or own > max(earlier)
            if not (judged.promoted and room):
                break
            gone[rung] += 1
        else:
            at[END][slot] = scores[END]
    ended = {slot - 1: score for slot, score in at[END].items()}
    best = sorted(ended, key=lambda n: (-ended[n], n))[: table["finalists"]]
    own_scores = {str(n): [ended[n]] for n in best}
    trained, wanted = 0, PROFILE["confirm"]["candidates"]
    while chosen := unclear(own_scores, wanted, table["finalist_seeds"]):
        for name in chosen:
            own_scores[name].append(again(int(name)))
        trained += len(chosen)
        own_scores = dict(sorted(own_scores.items(), key=lambda item: (-fmean(item[1]), int(item[0]))))
    return Search(tuple(len(scored) for scored in at), ended, {int(n): s for n, s in own_scores.items()}, trained)


@dataclass(frozen=True)
class Confirmation:
    """What became of the candidates that were confirmed together."""

    nodes: tuple[int, ...]
    differs: Bools
    """(nodes,): told apart from the root, for better or worse."""
    confirmed: Bools
    """(nodes,): told to be better."""
    trainings: int
    """That it took, the root's included."""
    alphas: tuple[float, ...]


def confirm(
    nodes: Sequence[int],
    fresh: Callable[[int, int], Array],
    root: Array,
    before: Sequence[Confirmation] = (),
    automatic: bool = True,
) -> Confirmation:
    """A confirmation as `engine.loop.studies` carries it out.

    Args:
        nodes: whom; all share the root's trainings.
        fresh: n scores of a candidate's fresh trainings on fresh problems, by candidate and n.
        root: as many of the root as the profile's seeds, at least.
        before: the run's earlier ones, whose error is gone.
        automatic: the one at the end of the search, else one that somebody asked for.
    """
    if not nodes:
        return Confirmation((), np.zeros(0, bool), np.zeros(0, bool), 0, ())
    looks, alpha = plan(len(nodes), tuple(a for study in before for a in study.alphas), automatic)
    seeds = looks[-1]
    own = np.array([fresh(node, seeds) for node in nodes])
    differs, gain, taken = at_looks(own, np.tile(root[:seeds], (len(nodes), 1)), looks, levels(looks, alpha))
    trainings = int(taken.sum() + taken.max(initial=0))
    return Confirmation(tuple(nodes), differs, gain, trainings, (alpha,) * len(nodes))


@lru_cache(maxsize=256)
def plan(nodes: int, taken: tuple[float, ...], automatic: bool) -> tuple[tuple[int, ...], float]:
    """Seeds an arm at each look and the alpha of each candidate, by `confirm_plan`."""
    documents = [
        {"id": str(i), "status": "scored", "overall": 1.0, "verification": {"passed": True}} for i in range(nodes)
    ]
    run: dict[str, Any] = {"studies": [{"alpha": dict(enumerate(taken))}]}
    made = confirm_plan(run, PROFILE, documents, None, automatic=automatic)
    return tuple(made["looks"]), float(made["alpha"]["0"])


levels = lru_cache(maxsize=256)(nominal_levels)


@dataclass(frozen=True)
class Discovery:
    """A search, and what its candidates' confirmations say."""

    root: list[float]
    """Scores of the root's trainings in the search, at the end."""
    search: Search
    everybody: list[float]
    """Of every candidate: what its first training would score at the end."""
    deck: Deck
    population: Population

    def best(self) -> list[int]:
        """Whom the end of the search confirms: the best of the finalists, those above the root."""
        return self._above({node: fmean(scores) for node, scores in self.search.finalists.items()})

    def best_of_everybody(self) -> list[int]:
        """Whom it would confirm had everybody been trained to the end once, without rungs."""
        return self._above(dict(enumerate(self.everybody)))

    def confirm(self, nodes: Sequence[int], *before: Confirmation, automatic: bool = True) -> Confirmation:
        """A confirmation, with trainings that were not dealt yet; see `confirm`."""

        def fresh(node: int, n: int) -> Array:
            return self.population.trained(node, self.deck.deal(n))[:, FRESH]

        return confirm(nodes, fresh, self.deck.deal(PROFILE["confirm"]["seeds"])[:, FRESH], before, automatic)

    def _above(self, scores: Mapping[int, float]) -> list[int]:
        order = sorted(scores, key=lambda n: (-scores[n], n))
        return [n for n in order if scores[n] > fmean(self.root)][: PROFILE["confirm"]["candidates"]]


def discover(deck: Deck, population: Population) -> Discovery:
    """One search, by trainings that the deck deals."""
    root = deck.deal(ROOT_TRAININGS)
    first = population.trained(slice(None), deck.deal(len(population.gains)))
    waiting: dict[int, Iterator[Array]] = {}
    for node, rows in (population.recorded or {}).items():
        first[node] = rows[0]
        waiting[node] = iter(rows[1:])

    def again(node: int) -> float:
        recorded = next(waiting[node], None) if node in waiting else None
        row = population.trained(node, deck.deal(1))[0] if recorded is None else recorded
        return float(row[END])

    found = search(first[:, : END + 1], root[:, : END + 1], again)
    return Discovery(root[:, END].tolist(), found, first[:, END].tolist(), deck, population)
