"""Searches compared on the landscape of real trainings.

    python -P -m benchmarks.landscape.search --repetitions 200      # about ten minutes of one core

From GRPO, 64 trainings a search; every training shows the score of one of its algorithm's two seeds, drawn for each
algorithm anew in each repetition and the same for all strategies. What counts is the truth, the mean over seeds and
splits. `--one-seed`: all trainings of a search show the same seed, as those of a run do. Then settings of the engine's
acquisition are swept, chosen on half of the repetitions and told by the other half; and some strategies start from
other algorithms of the landscape. Writes results/landscape_search.json and the picture, prints tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.landscape.design import SEEDS, SUBSETS, order
from benchmarks.landscape.search_effects import effects, informed
from benchmarks.landscape.search_measure import Outcomes, Truth, outcomes, ratio, summary, trust, truth
from benchmarks.landscape.search_peers import TENTH, openevolve, shinka
from benchmarks.landscape.search_plot import draw
from benchmarks.landscape.search_rules import acquisition, anybody, composed, drawn, stepped, the_best, the_root
from benchmarks.landscape.search_sweep import swept
from benchmarks.landscape.search_tables import tables
from benchmarks.landscape.search_world import BUDGET, Array, ParentRule, Strategy, search, within_reach, world
from benchmarks.landscape.views import Landscape, landscape
from engine.errors import PoiseError
from engine.search.select import Weights

HERE = Path(__file__).resolve().parents[1]
PICTURE = HERE.parent / "docs" / "pictures" / "landscape_search.svg"

OURS, RANDOM, KNOWS = "acquisition, default", "random sampling", "one that knows the truth"
PEERS = ("OpenEvolve, archive of 100", "OpenEvolve, archive of a tenth", "ShinkaEvolve")
BY = ", ours"
"""Ending of a name: the child is the engine's composer's, not one step from its parent."""
PARENT_RULES: dict[str, Callable[[int], ParentRule]] = {
    "any parent": anybody,
    "best parent": the_best,
    OURS: acquisition(),
    "performance alone": acquisition(Weights(1, 0, 0, 0)),
    "diversity alone": acquisition(Weights(0, 1, 0, 0)),
    "pareto alone": acquisition(Weights(0, 0, 1, 0)),
    "bayes alone": acquisition(Weights(0, 0, 0, 1)),
    PEERS[0]: openevolve(),
    PEERS[1]: openevolve(TENTH),
    PEERS[2]: shinka,
}
ARMS = (
    Strategy(RANDOM, the_root, drawn),
    *(Strategy(name, rule, stepped) for name, rule in PARENT_RULES.items()),
    *(Strategy(name + BY, rule, composed()) for name, rule in PARENT_RULES.items()),
    Strategy("effects, any set", the_root, effects()),
    Strategy("single effects, any set", the_root, effects(pairs=False)),
)
SHOWN = (RANDOM, "best parent", OURS, *PEERS[1:], OURS + BY, "effects, any set")
FROM_ELSEWHERE = (RANDOM, "best parent", OURS, *PEERS[1:], OURS + BY, PEERS[1] + BY, "effects, any set")
STARTS = 64


def ready(found: Landscape) -> None:
    """Say how much there is.

    Raises:
        PoiseError: a search could propose something that was not trained twice.
    """
    reach = list(within_reach())
    wanted = list(order())
    trained = sum(
        e.seed < len(found.root) if e.seed >= SEEDS else np.isfinite(found.end[e.subset, e.seed]) for e in wanted
    )
    lacking = int((~np.isfinite(found.end[reach])).sum())
    print(f"{trained} of {len(wanted)} trainings", file=sys.stderr)
    if lacking:
        raise PoiseError(
            f"{lacking} trainings of algorithms that a search may propose are missing: "
            "python -P -m benchmarks.landscape.train run"
        )


def repeated(strategy: Strategy, found: Landscape, real: Truth, repetitions: range, common: bool = False) -> Outcomes:
    """One strategy's searches; the same repetition shows every strategy the same scores."""
    # Sampling costs nothing, so it goes on until it has everything and its medians are never cut off.
    budget = len(within_reach()) - 1 if strategy.child is drawn else BUDGET
    worlds = [world(found, r, common) for r in repetitions]
    orders = [search(strategy, w, r, budget) for (w, _), r in zip(worlds, repetitions, strict=True)]
    return outcomes(real, orders, [w.seen for w, _ in worlds], [which for _, which in worlds])


def turned(found: Landscape, start: int) -> Landscape:
    """The landscape with another algorithm in the root's place: to switch a mechanism is then to remove what it has."""
    where: npt.NDArray[np.intp] = np.arange(SUBSETS) ^ start
    return replace(found, end=found.end[where], confirmed=found.confirmed[where], tasks=found.tasks[where])


def from_elsewhere(found: Landscape, starts: int, arms: Mapping[str, Strategy]) -> dict[str, Any]:
    """One search from each of so many other algorithms: a check that what wins does not win from GRPO alone."""
    drawn_starts = np.random.default_rng(24).permutation(np.arange(1, SUBSETS))[:starts]
    results: dict[str, Any] = {}
    for name in FROM_ELSEWHERE:
        parts = [
            repeated(arms[name], there, truth(there), range(i, i + 1))
            for i, start in enumerate(drawn_starts)
            for there in [turned(found, int(start))]
        ]
        results[name] = summary(_joined(parts))
    return results


def _joined(parts: list[Outcomes]) -> Outcomes:
    def all_of(of: Callable[[Outcomes], Array]) -> Array:
        return np.concatenate([of(p) for p in parts])

    first = {name: np.concatenate([p.first[name] for p in parts]) for name in parts[0].first}
    return Outcomes(
        first,
        all_of(lambda p: p.regret),
        all_of(lambda p: p.chosen),
        all_of(lambda p: p.fresh),
        all_of(lambda p: p.by_model),
    )


def study(found: Landscape, repetitions: int, common: bool = False, starts: int = STARTS) -> dict[str, Any]:
    """Everything the tables tell."""
    real, began = truth(found), time.process_time()
    arms = {s.name: s for s in ARMS}
    kept: dict[str, Outcomes] = {}
    for strategy in (*ARMS, Strategy(KNOWS, the_root, informed(real.value))):
        kept[strategy.name] = repeated(strategy, found, real, range(repetitions), common)
        print(f"{strategy.name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr, flush=True)
    results = {name: summary(outcome) for name, outcome in kept.items()}
    goal = "top 1 %"
    peer = min(PEERS, key=lambda name: kept[name].first[goal].clip(max=BUDGET + 1).mean())
    return {
        "command": "python -P -m benchmarks.landscape.search",
        "repetitions": repetitions,
        "one_seed": common,
        "trust": trust(real),
        "arms": results,
        "best_peer": peer,
        "ratios": {
            f"{name} / {of}": ratio(kept[name], kept[of], goal)
            for name in (OURS, OURS + BY, "effects, any set", KNOWS)
            for of in (peer, peer + BY, RANDOM)
        },
        "sweep": swept(lambda strategy, part: repeated(strategy, found, real, part, common), repetitions),
        "from_elsewhere": from_elsewhere(found, starts, arms),
        "cpu_seconds": round(time.process_time() - began),
    }


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--one-seed", action="store_true")
    options = parser.parse_args()
    found = landscape()
    try:
        ready(found)
    except PoiseError as e:
        sys.exit(str(e))
    result = study(found, options.repetitions, options.one_seed)
    name = "landscape_search_one_seed" if options.one_seed else "landscape_search"
    (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    draw(result["arms"], SHOWN, PICTURE.with_stem(name))
    print(tables(result))


if __name__ == "__main__":
    main()
