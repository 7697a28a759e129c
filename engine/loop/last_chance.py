"""The end of a search with rungs: whoever is among the best at its rung, and stopped there, goes on after all.

While a search goes on nobody knows what is still to come, so few may go on; a search that gets better would else train
nearly all of its newest to the end. When all that it made stands at its rung the best of them are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from engine.loop.book import is_control, is_injected, root_id
from engine.loop.figures import scores_at
from engine.loop.promotions import let_go_on

if TYPE_CHECKING:
    from engine.loop.engine import Engine


def give_last_chances(engine: Engine) -> bool:
    """Let the best at every rung go on, those of the control arm by themselves; whether there was anybody.

    As many as rungs are to let through (one in eta), and in the search at least as many as are to be confirmed.
    """
    least = int(engine.config.profile.get("confirm", {}).get("candidates", 0))
    arms: list[tuple[Callable[[str], bool], int]] = [
        (lambda node: not is_control(node) and not is_injected(node) and node != root_id(), least),
        (is_control, 0),
    ]
    found = []
    for belongs, fewest in arms:
        for rung in engine.runner.rungs[:-1]:
            found += _stopped_among_the_best(engine, rung.fraction, belongs, fewest)
    for node, said in found:
        engine.book.log(f"{node} goes on at the end of the search: {said}", node=node)
        let_go_on(engine, engine.book.candidates[node], "end")
    return bool(found)


def _stopped_among_the_best(
    engine: Engine, rung: float, belongs: Callable[[str], bool], fewest: int
) -> list[tuple[str, str]]:
    book = engine.book
    able = (n for n, c in book.candidates.items() if belongs(n) and c["status"] in ("scored", "stopped"))
    means = {node: fmean(scores) for node in able if (scores := scores_at(book.own_trials(node), rung))}
    best = sorted(means, key=lambda node: (-means[node], node))
    most = max(math.ceil(len(best) / engine.config.profile["search"]["rungs"]["eta"]), fewest)
    return [
        (node, f"rank {place} of {len(best)} at this rung")
        for place, node in enumerate(best[:most], 1)
        if book.candidates[node]["status"] == "stopped" and book.candidates[node]["fidelity"] == rung
    ]
