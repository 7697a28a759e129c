"""Parent selection: which archived candidates the next proposals start from.

The acquisition of POISE (arXiv 2603.23951, phase I): s = w_pareto * U_pareto + w_perf * U_perf + w_div * U_div +
w_bayes * alpha_GP, each in [0, 1]. Decisions go in rounds; the parents of a round are drawn one after the other with
probability proportional to exp(s / TEMPERATURE), from different lineages where there are enough: low-scoring parents
can be the right ones.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from engine.errors import PoiseError
from engine.search.evidence import Evidence, branches, distance, fronts, shortlist
from engine.search.potential import PRIOR, Belief

TEMPERATURE = 0.1
"""What a difference in s must be to make a candidate e times likelier."""
RECORDED = 8
"""Candidates whose terms a decision keeps: its parent and the best others."""


@dataclass(frozen=True)
class Weights:
    """What counts how much; the paper gives no figures, and only ratios matter."""

    performance: float = 0.4
    diversity: float = 0.2
    pareto: float = 0.2
    bayes: float = 0.2


@dataclass(frozen=True)
class Terms:
    """One candidate's acquisition, for the record; the first four are weighed."""

    pareto: float
    """1 / (1 + front): 1 on the Pareto front over the tasks."""
    performance: float
    """Overall, 0 for the worst eligible and 1 for the best."""
    diversity: float
    """Mean distance to the others, divided by 1 + children: visited ground counts less."""
    bayes: float
    """The Gaussian process' mean + kappa * std of what its descendants gain, 0 for the least eligible and 1 for the
    most; 0.5 for all as long as all are expected the same.
    """
    mean: float
    """Of the Gaussian process, on the scale of `potential.targets`."""
    std: float
    score: float
    probability: float
    """Of the first draw of the round."""


@dataclass(frozen=True)
class Selection:
    """The parent and why."""

    parent: str
    saw: tuple[str, ...]
    """Ids of the eligible candidates."""
    terms: Mapping[str, Terms]
    """By id, for every eligible candidate, in the same order."""
    round: int
    why: Literal["pinned", "drawn"]

    def document(self) -> dict[str, object]:
        """`{"saw", "terms", "round", "why"}` as in a candidate document's `decision`: the terms of the parent, then
        those of the others with the highest scores.
        """
        others = sorted((id for id in self.terms if id != self.parent), key=lambda id: (-self.terms[id].score, id))
        shown = [self.parent, *others[: RECORDED - 1]]
        terms = {id: {name: round(x, 6) for name, x in asdict(self.terms[id]).items()} for id in shown}
        return {"saw": list(self.saw), "terms": terms, "round": self.round, "why": self.why}


DEFAULT_WEIGHTS = Weights()
NO_POTENTIAL: Mapping[str, Belief] = {}


def round_of(k: int, parents: int) -> tuple[int, int]:
    """The round of decision `k` (from 1) and the slot of that round's first decision."""
    number = (k - 1) // parents
    return number, parents * number + 1


def select_round(
    candidates: Sequence[Evidence],
    *,
    seed: int,
    round: int,
    parents: int = 3,
    weights: Weights = DEFAULT_WEIGHTS,
    potential: Mapping[str, Belief] = NO_POTENTIAL,
) -> tuple[Selection, ...]:
    """Choose the parents of a round.

    Pinned candidates come first; if there are more of them than parents they take turns from round to round. Then
    candidates are drawn from lineages that the round does not have yet (a lineage is a branch below the root, or the
    root itself), then from any, each once; only what is left after that is drawn again.

    Args:
        candidates: everything decided before the round, as `seen` gives it; the root is the one without parent.
        seed: of the run; equal seed, round and candidates give equal parents.
        round: its number, from 0.
        parents: how many.
        potential: what `Potential.beliefs` says of the same candidates; who is missing has the prior.

    Returns:
        `parents` selections among the root and the scored candidates of the search (`shortlist`), never a pruned one.

    Raises:
        PoiseError: there is no root.
    """
    eligible = shortlist(candidates, {id: belief.ucb for id, belief in potential.items()})
    if not any(c.parent is None for c in eligible):
        raise PoiseError("no parent can be selected: the archive has no root")
    terms = _terms(eligible, candidates, weights, potential)
    branch = branches(candidates)
    pinned = [c.id for c in eligible if c.pinned]
    turn = round * parents % len(pinned) if len(pinned) > parents else 0
    chosen = [*pinned[turn:], *pinned[:turn]][:parents]
    first_drawn = len(chosen)
    rng = random.Random(f"{seed}:parents:{round}")
    while len(chosen) < parents:
        taken = {branch[id] for id in chosen}
        pool = [id for id in terms if branch[id] not in taken]
        pool = pool or [id for id in terms if id not in chosen] or list(terms)
        chosen.append(rng.choices(pool, [terms[id].probability for id in pool])[0])
    saw = tuple(terms)
    return tuple(
        Selection(id, saw, terms, round, "pinned" if i < first_drawn else "drawn") for i, id in enumerate(chosen)
    )


def _terms(
    eligible: Sequence[Evidence],
    candidates: Sequence[Evidence],
    weights: Weights,
    potential: Mapping[str, Belief],
) -> dict[str, Terms]:
    performance = _scaled({c.id: c.overall for c in eligible})
    beliefs = {c.id: potential.get(c.id, PRIOR) for c in eligible}
    bayes = _scaled({id: belief.ucb for id, belief in beliefs.items()})
    front = fronts(eligible)
    pareto = {c.id: 1 / (1 + front[c.id]) if c.id in front else 0.0 for c in eligible}
    diversity = _diversity(eligible, candidates)
    total = weights.pareto + weights.performance + weights.diversity + weights.bayes
    score = {
        c.id: (
            weights.pareto * pareto[c.id]
            + weights.performance * performance[c.id]
            + weights.diversity * diversity[c.id]
            + weights.bayes * bayes[c.id]
        )
        / total
        for c in eligible
    }
    top = max(score.values())
    mass = {id: math.exp((value - top) / TEMPERATURE) for id, value in score.items()}
    whole = sum(mass.values())
    return {
        id: Terms(
            pareto=pareto[id],
            performance=performance[id],
            diversity=diversity[id],
            bayes=bayes[id],
            mean=beliefs[id].mean,
            std=beliefs[id].std,
            score=score[id],
            probability=mass[id] / whole,
        )
        for id in score
    }


def _scaled(values: Mapping[str, float | None]) -> dict[str, float]:
    """From 0 for the least to 1 for the most; 0.5 for what is not known, and for all if they are equal."""
    known = [v for v in values.values() if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    if low == high:
        return dict.fromkeys(values, 0.5)
    return {id: 0.5 if v is None else (v - low) / (high - low) for id, v in values.items()}


def _diversity(eligible: Sequence[Evidence], candidates: Sequence[Evidence]) -> dict[str, float]:
    """Mean distance to the other eligible, divided by 1 + children. Children under way count: they are decided."""
    children = Counter(c.parent for c in candidates if c.arm == "search")
    sums = dict.fromkeys((c.id for c in eligible), 0.0)
    for i, a in enumerate(eligible):
        for b in eligible[:i]:
            apart = distance(a, b)
            sums[a.id] += apart
            sums[b.id] += apart
    others = max(len(eligible) - 1, 1)
    return {id: apart / others / (1 + children[id]) for id, apart in sums.items()}
