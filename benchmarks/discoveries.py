"""Whole discoveries on recorded trainings of tiny: rungs, finalists and confirmation by the engine's own rules.

What is simulated is only where scores come from. Who goes on, who gets a second seed, who is confirmed with how much of
the error and after which looks is told by the functions that a run uses, and by the profile's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.dealing import END, FRESH, Array, Deck, Population
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

Bools = npt.NDArray[np.bool_]

CANDIDATES = 64
FEWEST = 200
"""Trainings of the root without which nothing is told: few hide how often chance looks like a gain."""


@dataclass(frozen=True, eq=False)
class Protocol:
    """How a profile searches and confirms."""

    profile: Mapping[str, Any]

    @cached_property
    def updates(self) -> tuple[int, ...]:
        """Of a training at each rung, and at its end."""
        return tuple(rung.updates for rung in ladder(self.profile))

    @property
    def search(self) -> Any:
        """The profile's table."""
        return self.profile["search"]

    @property
    def confirm(self) -> Any:
        """The profile's table."""
        return self.profile["confirm"]

    def scores(self, early: Array, fresh: Array) -> Array:
        """(..., rungs + 2): of trainings scored at the landscape's stops (..., stops) and on fresh problems (...).

        Raises:
            PoiseError: refused (4): the profile has a rung at which nothing was scored, or several seeds at one.
        """
        if missing := [u for u in self.updates if u not in STOPS]:
            raise PoiseError(f"the landscape has no scores after {missing[0]} updates, only {STOPS}", Exit.REFUSED)
        if any(rung.seeds > 1 for rung in ladder(self.profile)):
            raise PoiseError("the profile wants several seeds at a rung; one is simulated", Exit.REFUSED)
        return np.concatenate([early[..., [STOPS.index(u) for u in self.updates]], fresh[..., None]], axis=-1)

    def root(self, landscape: Landscape, anyway: bool = False) -> Array:
        """(trainings, rungs + 2): the root's recorded trainings.

        Raises:
            PoiseError: refused (4): there are too few, and not `anyway`; or as `scores`.
        """
        there = len(landscape.root)
        if there < FEWEST and not anyway:
            raise PoiseError(
                f"{there} of {ROOT_SEEDS} trainings of the root are there, {FEWEST} are needed: go on with "
                "`python -P -m benchmarks.landscape.train run`",
                Exit.REFUSED,
            )
        return self.scores(landscape.root, landscape.root_confirmed)


TINY = Protocol(load_profile("tiny").resolved())


def scheduled(*updates: int, **changes: int) -> Protocol:
    """The profile tiny with rungs after these updates, and other figures of its table of rungs."""
    whole, search = TINY.updates[-1], TINY.search
    rungs = {**search["rungs"], "at": [u / whole for u in updates], "seeds": [1] * (len(updates) + 1), **changes}
    return Protocol({**TINY.profile, "search": {**search, "rungs": rungs}})


@dataclass(frozen=True)
class Search:
    """What became of the candidates, numbered from 0."""

    reached: tuple[int, ...]
    """How many were trained to each rung, and to the end."""
    ended: dict[int, float]
    """First whole trainings' scores."""
    finalists: dict[int, list[float]]
    """Scores of all whole trainings of the best, the best mean first."""
    share: float
    """Updates trained, as a share of training all to the end once; the root's apart."""


class Climb:
    """Who goes on from rung to rung, slot by slot, and when the search ends."""

    def __init__(self, protocol: Protocol, root: Array) -> None:
        """
        Args:
            protocol: the profile's.
            root: (trainings, rungs + 1)
        """
        self._protocol, self._table, self._root = protocol, protocol.search["rungs"], root[0].tolist()
        self._noise = [stdev(column) for column in root.T.tolist()]
        self._rows: dict[int, Sequence[float]] = {}
        self._went: list[set[int]] = [set() for _ in protocol.updates]
        self.at: list[dict[int, float]] = [{} for _ in protocol.updates]
        """Scores at each rung and at the end, by slot."""

    def start(self, slot: int, row: Sequence[float]) -> None:
        """Train the candidate of the next slot as far as it goes; `row` is what it scores at every rung."""
        self._rows[slot] = row
        self._train(slot, 0)

    def end(self) -> None:
        """Last chances."""
        fewest = self._protocol.confirm["candidates"]
        while chances := sorted(_last_chances(self.at, self._table["eta"], fewest)):
            for slot, rung in chances:
                self._train(slot, rung + 1)

    def _train(self, slot: int, rung: int) -> None:
        for reached in range(rung, len(self.at)):
            self.at[reached][slot] = self._rows[slot][reached]
            if reached == len(self.at) - 1 or not self._goes_on(slot, reached):
                break

    def _goes_on(self, slot: int, rung: int) -> bool:
        at, table, search = self.at, self._table, self._protocol.search
        before = {n: x for n, x in at[rung].items() if n < slot}
        settled = visible(round_of(slot, search["parents"])[1], search["lag"])
        pairs = [(x, at[-1][n]) for n, x in before.items() if n in settled and n in at[-1]]
        correlation = rank_correlation(
            [a for a, _ in pairs],
            [b for _, b in pairs],
            prior=table["correlation"],
            prior_weight=PRIOR_WEIGHT,
            everybody=list(before.values()),
        )
        judged = promotion(
            [at[rung][slot]],
            [self._root[rung], *before.values()],
            noise_std=self._noise[rung],
            correlation=min(correlation, 1.0),
            eta=table["eta"],
        )
        room = len(self._went[rung] & before.keys()) + 1 <= CREDIT + (len(before) + 1) / table["eta"]
        if judged.promoted and room:
            self._went[rung].add(slot)
        return judged.promoted and room


def search(protocol: Protocol, first: Array, root: Array, again: Callable[[int], float]) -> Search:
    """Rungs, last chances and finalists, as the engine's promotions.py, last_chance.py and finalists.py have them.

    Args:
        protocol: the profile's.
        first: (candidates, rungs + 1), of each candidate's first training, had it been trained to the end.
        root: (trainings, rungs + 1)
        again: the score of another whole training of a candidate.
    """
    table, climb = protocol.search["rungs"], Climb(protocol, root)
    for slot, row in enumerate(first.tolist(), 1):  # the root has slot 0
        climb.start(slot, row)
    climb.end()
    at = climb.at
    ended = {slot - 1: score for slot, score in at[-1].items()}
    best = sorted(ended, key=lambda n: (-ended[n], n))[: table["finalists"] or None]
    own_scores = {str(n): [ended[n]] for n in best}
    trained, wanted = 0, protocol.confirm["candidates"] if table["finalists"] else 0
    while wanted and (chosen := unclear(own_scores, wanted, table["finalist_seeds"])):
        for name in chosen:
            own_scores[name].append(again(int(name)))
        trained += len(chosen)
        own_scores = dict(sorted(own_scores.items(), key=lambda item: (-fmean(item[1]), int(item[0]))))
    each, whole = np.diff([0, *protocol.updates]), protocol.updates[-1]
    updates = sum(n * int(length) for n, length in zip(map(len, at), each, strict=True)) + trained * whole
    finalists = {int(n): s for n, s in own_scores.items()}
    return Search(tuple(map(len, at)), ended, finalists, updates / (len(first) * whole))


def _last_chances(at: Sequence[Mapping[int, float]], eta: int, fewest: int) -> list[tuple[int, int]]:
    """Slots that stopped among the best at their rung, and the rung, as `engine.loop.last_chance` has it."""
    found = []
    for rung, (here, further) in enumerate(pairwise(at)):
        best = sorted(here, key=lambda n: (-here[n], n))[: max(ceil(len(here) / eta), fewest)]
        found += [(slot, rung) for slot in best if slot not in further]
    return found


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
    protocol: Protocol,
    nodes: Sequence[int],
    fresh: Callable[[int, int], Array],
    root: Array,
    before: Sequence[Confirmation] = (),
    automatic: bool = True,
) -> Confirmation:
    """A confirmation as `engine.loop.studies` carries it out.

    Args:
        protocol: the profile's.
        nodes: whom; all share the root's trainings.
        fresh: n scores of a candidate's fresh trainings on fresh problems, by candidate and n.
        root: as many of the root as the profile's seeds, at least.
        before: the run's earlier ones, whose error is gone.
        automatic: the one at the end of the search, else one that somebody asked for.
    """
    if not nodes:
        return Confirmation((), np.zeros(0, bool), np.zeros(0, bool), 0, ())
    looks, alpha = plan(protocol, len(nodes), tuple(a for study in before for a in study.alphas), automatic)
    seeds = looks[-1]
    own = np.array([fresh(node, seeds) for node in nodes])
    differs, gain, taken = at_looks(own, np.tile(root[:seeds], (len(nodes), 1)), looks, levels(looks, alpha))
    trainings = int(taken.sum() + taken.max(initial=0))
    return Confirmation(tuple(nodes), differs, gain, trainings, (alpha,) * len(nodes))


@lru_cache(maxsize=256)
def plan(protocol: Protocol, nodes: int, taken: tuple[float, ...], automatic: bool) -> tuple[tuple[int, ...], float]:
    """Seeds an arm at each look and the alpha of each candidate, by `confirm_plan`."""
    documents = [
        {"id": str(i), "status": "scored", "overall": 1.0, "verification": {"passed": True}} for i in range(nodes)
    ]
    run: dict[str, Any] = {"studies": [{"alpha": dict(enumerate(taken))}]}
    made = confirm_plan(run, protocol.profile, documents, None, automatic=automatic)
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
    protocol: Protocol
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

        root = self.deck.deal(self.protocol.confirm["seeds"])

        def fresh(node: int, n: int) -> Array:
            return self.population.trained(node, self.deck.deal(n), root[:n])[:, FRESH]

        return confirm(self.protocol, nodes, fresh, root[:, FRESH], before, automatic)

    def _above(self, scores: Mapping[int, float]) -> list[int]:
        order = sorted(scores, key=lambda n: (-scores[n], n))
        return [n for n in order if scores[n] > fmean(self.root)][: self.protocol.confirm["candidates"]]


def discover(protocol: Protocol, deck: Deck, population: Population) -> Discovery:
    """One search, by trainings that the deck deals."""
    root = deck.deal(protocol.search["baseline_seeds"])
    first = population.trained(slice(None), deck.deal(len(population.gains)), root[:1])
    recorded = {node: list(rows) for node, rows in (population.recorded or {}).items()}
    for node, rows in recorded.items():
        first[node] = rows[0]
    trained = dict.fromkeys(range(len(first)), 1)

    def again(node: int) -> float:
        index, own = trained[node], recorded.get(node, ())
        trained[node] += 1
        row = own[index] if index < len(own) else population.trained(node, deck.deal(1), root[index])[0]
        return float(row[END])

    found = search(protocol, first[:, :FRESH], root[:, :FRESH], again)
    return Discovery(root[:, END].tolist(), found, first[:, END].tolist(), protocol, deck, population)
