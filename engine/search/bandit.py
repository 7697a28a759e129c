"""Which model proposes next: an upper confidence bound on what a dollar buys, where several models are given.

One trial is one decision. Its reward is 0 if it reached no score, else 1/2 plus 1/2 of its gain over the parent, where
1 stands for the largest gain that is visible (at least `LEAST_GAIN`) and a loss counts as no gain. With n trials of a
model that have settled, m that were made, and N made in all,

    index = ((sum of rewards + prior) / (n + 1) + sqrt(ln(1 + N) / (2 m))) / (mean dollars + FLOOR)

where the prior is the mean reward of all models (1/2 while nothing has settled), and the mean dollars of a model
without settled trials are the mean of all. The bound is an upper confidence bound (UCB1, Auer et al., 2002), its bonus
as Hoeffding has it for rewards in [0, 1] at confidence 1/(1 + N); dividing by cost is the density of budget-limited
bandits (Tran-Thanh et al., arXiv:1204.1909).

Few data: until every model has made `LEAST_TRIALS` decisions, settled or not, the one with the fewest is next, ties
going in the order of a shuffle by the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

LEAST_TRIALS = 2
LEAST_GAIN = 1.0
"""Points of Overall."""
FLOOR = 0.25
"""Dollars that a decision costs besides its calls: its place among the candidates, and a training of a small model.
Without it a free model would win whatever it proposes.
"""


@dataclass(frozen=True)
class Trial:
    """What became of a decision, as far as the next one may see it."""

    arm: str
    settled: bool
    usable: bool = False
    """It reached a score."""
    gain: float = 0.0
    """Points of Overall over its parent."""
    usd: float = 0.0
    """All its calls."""


@dataclass(frozen=True)
class Choice:
    """An arm, and the figures it was chosen by."""

    arm: str
    why: Mapping[str, Mapping[str, float]]
    """By arm: `made`, `settled`, `reward`, `usd` and, once every arm has its first trials, `index`."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def choose(arms: Sequence[str], trials: Sequence[Trial], *, seed: int, round: int, parents: int) -> tuple[Choice, ...]:
    """The models of a round's decisions, one after the other, each counting those before it as made.

    Equal arguments give equal choices.

    Args:
        arms: what there is to choose from.
        trials: of every earlier decision, in order; those of other arms are passed over.
        seed: of the run.
        round: number of the round.
        parents: decisions of a round.
    """
    known = [t for t in trials if t.arm in arms]
    order = list(arms)
    random.Random(f"{seed}/{round}/models").shuffle(order)
    chosen: list[Choice] = []
    for _ in range(parents):
        figures = _figures(order, known)
        few = min(f["made"] for f in figures.values()) < LEAST_TRIALS
        arm = min(order, key=lambda a: figures[a]["made"] if few else -figures[a]["index"])
        chosen.append(Choice(arm, figures))
        known.append(Trial(arm, settled=False))
    return tuple(chosen)


def _figures(arms: Sequence[str], trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    over = [t for t in trials if t.settled]
    largest = max([LEAST_GAIN, *(t.gain for t in over)])
    prior = fmean(_reward(t, largest) for t in over) if over else 0.5
    usual = fmean(t.usd for t in over) if over else 0.0
    found = {}
    for arm in arms:
        made = sum(t.arm == arm for t in trials)
        own = [t for t in over if t.arm == arm]
        reward = (sum(_reward(t, largest) for t in own) + prior) / (len(own) + 1)
        usd = fmean(t.usd for t in own) if own else usual
        found[arm] = {"made": made, "settled": len(own), "reward": reward, "usd": usd}
        if made:
            bonus = math.sqrt(math.log(1 + len(trials)) / (2 * made))
            found[arm]["index"] = (reward + bonus) / (usd + FLOOR)
    return found


def _reward(trial: Trial, largest: float) -> float:
    if not trial.usable:
        return 0.0
    return 0.5 + 0.5 * min(max(trial.gain / largest, 0.0), 1.0)
