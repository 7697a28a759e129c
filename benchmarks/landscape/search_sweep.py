"""Settings of the engine's acquisition, swept; chosen on one half of the repetitions, told by the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.landscape.search_measure import Outcomes, area, summary
from benchmarks.landscape.search_rules import acquisition, composed, constants
from benchmarks.landscape.search_world import Strategy
from engine.search import beliefs, select
from engine.search.select import Weights

WEIGHTS = (
    Weights(0.4, 0.2, 0.2, 0.0),
    *(
        Weights(p, d, f, 0.0)
        for p, d, f in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
    ),
    *(Weights(p, d, f, 0.0) for p, d, f in ((3, 1, 0), (3, 0, 1), (4, 1, 1))),
)
"""Without the process, which costs ten times the rest together; it is tried on what these choose."""
BAYES = (0.25, 1.0)
"""Its weight then, as a share of the sum of the others."""
SELECTION = (0.03, select.TEMPERATURE, 0.3)
SPREADS = (0.25, beliefs.SPREAD, 1.0)
POPULATIONS = (1, 2, 4)


@dataclass(frozen=True)
class Setting:
    """What is swept."""

    weights: Weights = WEIGHTS[0]
    selection: float = select.TEMPERATURE
    spread: float = beliefs.SPREAD
    population: int = 1

    @property
    def name(self) -> str:
        """In a table."""
        w = self.weights
        return (
            f"performance {w.performance:.3g}, diversity {w.diversity:.3g}, "
            f"pareto {w.pareto:.3g}, bayes {w.bayes:.3g}; "
            f"temperature {self.selection:g}; spread of a draw {self.spread:g}; population {self.population}"
        )


Repeat = Callable[[Strategy, range], Outcomes]


def swept(repeat: Repeat, repetitions: int) -> dict[str, Any]:
    """Weights and temperature of selection, then the spread of a draw and the population, then the process, each
    from the best before; judged by mean regret over the search.
    """
    half = repetitions // 2
    choosing, telling = range(half), range(half, repetitions)
    tried: dict[Setting, float] = {}

    def best(settings: list[Setting]) -> Setting:
        for setting in settings:
            if setting not in tried:
                tried[setting] = float(np.mean(area(_run(repeat, setting, choosing))))
        return min(settings, key=tried.__getitem__)

    chosen = best([Setting(w, t) for w in WEIGHTS for t in SELECTION])
    chosen = best([Setting(chosen.weights, chosen.selection, c, p) for c in SPREADS for p in POPULATIONS])
    w = chosen.weights
    rest = w.performance + w.diversity + w.pareto
    chosen = best(
        [
            chosen,
            *(
                Setting(
                    Weights(w.performance, w.diversity, w.pareto, share * rest),
                    chosen.selection,
                    chosen.spread,
                    chosen.population,
                )
                for share in BAYES
            ),
        ]
    )
    engine = Setting(Weights())
    return {
        "chosen_on": half,
        "told_by": len(telling),
        "tried": {s.name: round(v, 3) for s, v in sorted(tried.items(), key=lambda row: row[1])},
        "told": {
            "chosen: " + chosen.name: summary(_run(repeat, chosen, telling)),
            "default: " + engine.name: summary(_run(repeat, engine, telling)),
            "default, population 4": summary(_run(repeat, Setting(Weights(), population=4), telling)),
        },
    }


def _run(repeat: Repeat, setting: Setting, repetitions: range) -> Outcomes:
    with constants(setting.selection, setting.spread):
        rule = composed(setting.population)
        return repeat(Strategy(setting.name, acquisition(setting.weights), rule), repetitions)
