"""The best of a search get further seeds while it is not clear which of them go into confirmation.

One score each puts a true two-sigma candidate among 64 into the top three only 60 % of the time. So when the search has
ended, its best few get a second whole training, and then more, one at a time, as long as chance could still exchange
them across the line. These trainings change no decision of the search; confirmation chooses by means over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import TYPE_CHECKING

from engine.loop.book import SETTLED, WAITING, purpose_of, root_id
from engine.loop.figures import scores_at
from engine.loop.last_chance import give_last_chances

if TYPE_CHECKING:
    from engine.loop.engine import Engine

CLEAR = 2.0
"""Standard errors between two means that are taken for a difference."""


def ranked(engine: Engine) -> dict[str, list[float]]:
    """Scores of all whole trainings of every candidate that has one, the best mean first; not the root's."""
    book = engine.book
    able = (c["id"] for c in book.candidates.values() if c["status"] == "scored" and c["id"] != root_id())
    found = {node: scores_at(book.own_trials(node), 1.0) for node in able}
    failed = {t["candidate"] for t in book.trials.values() if t["status"] == "failed"}
    scored = {node: scores for node, scores in found.items() if scores and node not in failed}
    return dict(sorted(scored.items(), key=lambda item: (-fmean(item[1]), item[0])))


def finalists(engine: Engine) -> dict[str, list[float]]:
    """Scores of those that were chosen when the search ended, the best mean first; of all as long as none were.

    Chosen once: among many equals each further seed would bring a luckier one with a single score to the top.
    """
    run, scores = engine.book.run, ranked(engine)
    chosen = run.get("finalists") if run.get("finalists_after") == engine.book.last_slot else None
    return scores if not chosen else {node: own for node, own in scores.items() if node in chosen}


def _choose(engine: Engine, most: int) -> None:
    after = engine.book.last_slot
    if engine.book.run.get("finalists_after") != after:
        engine.book.set_run(finalists=list(ranked(engine))[:most], finalists_after=after)


def unclear(scores: Mapping[str, Sequence[float]], wanted: int, most: int) -> list[str]:
    """Of candidates in order of their means: whose next seed would help to say who the best `wanted` are.

    Args:
        scores: of each candidate, the best mean first.
        wanted: how many are to be chosen.
        most: seeds of one candidate.
    """
    single = [node for node, own in scores.items() if len(own) < min(2, most)]
    if single or len(scores) <= wanted or wanted < 1:
        return single
    squares = [(variance(own), len(own) - 1) for own in scores.values() if len(own) > 1]
    spread = math.sqrt(sum(v * df for v, df in squares) / max(sum(df for _, df in squares), 1))
    order = list(scores)
    last_in, first_out = scores[order[wanted - 1]], scores[order[wanted]]

    def near(own: Sequence[float], other: Sequence[float]) -> bool:
        return abs(fmean(own) - fmean(other)) < CLEAR * spread * math.sqrt(1 / len(own) + 1 / len(other))

    across = [near(scores[n], first_out) for n in order[:wanted]] + [near(scores[n], last_in) for n in order[wanted:]]
    return [node for node, doubt in zip(order, across, strict=True) if doubt and len(scores[node]) < most]


def busy(engine: Engine) -> bool:
    """Whether trainings of finalists are under way, or are to be started now that the search has ended; starts them."""
    table = engine.config.profile["search"].get("rungs")
    if table is None or not table["finalists"]:  # None: a run from before there were rungs
        return False
    wanted = engine.config.profile["confirm"]["candidates"]
    _choose(engine, table["finalists"])
    best = finalists(engine)
    own = [t for node in best for t in engine.book.own_trials(node)]
    if any(t["id"] in engine.active or t["id"] in engine.queue for t in own):
        return True
    chosen = unclear(best, wanted, table["finalist_seeds"]) if wanted else []
    for node in chosen:
        _one_more(engine, node, len(best[node]))
    return bool(chosen)


def _one_more(engine: Engine, node: str, index: int) -> None:
    """Another whole training of a candidate: one of its own that ended at a rung goes on, or a new one begins."""
    last = len(engine.runner.rungs) - 1
    trials = engine.book.own_trials(node)
    if index < len(trials) and trials[index]["status"] in ("stopped", WAITING):
        engine.send_on(trials[index]["id"], last)
    else:
        engine.enqueue(engine.new_trial(node, purpose_of(node), len(trials), aim=last))


def search_over(engine: Engine) -> bool:
    """Whether every candidate of the search, of the control arm and of the user's own has its result."""
    book = engine.book
    if not all(map(book.has_settled, reversed(book.slots()))):  # nearly always the newest says so
        return False
    others = [c for c in book.candidates.values() if not c["id"].startswith("c")]
    controls = sum(c["id"].startswith("r") for c in others)
    done = (controls >= engine.config.controls or bool(book.run.get("closed"))) and all(
        c["status"] in SETTLED for c in others
    )
    return done and not engine.closing


async def conclude(engine: Engine) -> None:
    """Once the search is over, tell the best apart; `Engine.concluded` then says that this is done."""
    while not engine.concluded:
        async with engine.changed:
            await engine.changed.wait_for(lambda: engine.stopping is None and not engine.paused and search_over(engine))
        if not give_last_chances(engine) and not busy(engine):
            engine.concluded = True
            await engine.notify()
            return
        await engine.notify()  # for the workers: there may be new trainings
        async with engine.changed:
            await engine.changed.wait()
