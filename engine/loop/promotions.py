"""Who goes on from a rung: decided in the order of the slots, from what stands at that rung before it.

Promotions are decisions under the settled-prefix rule: the candidate of slot k is judged by its own scores at the rung
and those of slots 0..k, whatever order they arrive in, so that the same seed gives the same promotions under any
timing. The root's trainings pass every rung first; their spread is the noise. See `engine.stats.promotion`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from engine.archive.store import Document
from engine.errors import Exit, PoiseError
from engine.loop.book import SETTLED, WAITING, candidate_id, is_control, is_injected, purpose_of, root_id, slot_of
from engine.loop.decisions import close
from engine.loop.figures import noise_known, scores_at
from engine.loop.settled import visible
from engine.search.select import round_of
from engine.stats.promotion import promotion, rank_correlation

if TYPE_CHECKING:
    from engine.loop.engine import Engine

CREDIT = 1
"""Candidates that may go on from a rung beyond one in eta, so that a search has parents early."""
PRIOR_WEIGHT = 8.0
"""Pairs of scores, at a rung and at the end, that the profile's rank correlation counts as much as."""


async def promote_all(engine: Engine) -> None:
    """Decide about everybody who waits at a rung, as soon as the rule allows it."""
    while True:
        async with engine.changed:
            await engine.changed.wait_for(lambda: engine.stopping is None and _due(engine) is not None)
        while engine.stopping is None and (candidate := _due(engine)) is not None:
            if complete(engine, candidate, len(engine.runner.rungs) - 1):
                engine.arrived.discard(candidate)
                close(engine, candidate, "scored", None)
            else:
                _decide(engine, candidate)
        await engine.notify()


def complete(engine: Engine, candidate: str, rung: int) -> bool:
    """Whether all the trainings that a candidate gets at a rung have their scores there."""
    at = engine.runner.rungs[rung]
    seeds = 1 if candidate == root_id() else at.seeds
    trials = engine.book.own_trials(candidate)[:seeds]
    return len(trials) == seeds and all(any(r["rung"] == at.fraction for r in t["rungs"]) for t in trials)


def goes_on(engine: Engine, candidate: str) -> None:
    """Bring a candidate's trainings to where its promotions let them: as many as the rung has seeds, new ones where
    there are not enough; further ones end here.

    Doing it again, after a crash, changes nothing.
    """
    aim = sum(p["promoted"] for p in engine.book.candidates[candidate]["promotions"])
    rung = engine.runner.rungs[aim]
    trials = engine.book.own_trials(candidate)
    if engine.book.candidates[candidate]["cause"] is not None:
        engine.book.set_status(candidate, "queued")
    _end_here(engine, trials[rung.seeds :])
    for trial in trials[: rung.seeds]:
        if trial["aim"] < aim:
            engine.send_on(trial["id"], aim)
    for index in range(len(trials), rung.seeds):
        engine.enqueue(engine.new_trial(candidate, purpose_of(candidate), index, aim=aim))


async def promote(engine: Engine, candidate: Document) -> int:
    """Let a stopped candidate go on by hand, to its next rung, where it is judged like any other.

    Returns:
        the update it trains to.

    Raises:
        PoiseError: refused (4): it did not stop at a rung.
    """
    node = candidate["id"]
    if candidate["status"] != "stopped" or not candidate["promotions"]:
        raise PoiseError(f"{node} is {candidate['status']}, not stopped at a rung", Exit.REFUSED)
    let_go_on(engine, candidate, "user")
    return engine.runner.rungs[engine.book.own_trials(node)[0]["aim"]].updates


def let_go_on(engine: Engine, candidate: Document, by: str) -> None:
    """Take back that a candidate stopped at its rung.

    Args:
        by: "user", or "end" (of the search).
    """
    node, promotions = candidate["id"], candidate["promotions"]
    engine.book.update(node, promotions=[*promotions[:-1], {**promotions[-1], "promoted": True, "by": by}])
    engine.book.set_status(node, "queued")
    goes_on(engine, node)


def _due(engine: Engine) -> str | None:
    """A candidate whose promotion, or end, can be decided now; the lowest slot of them."""
    last = len(engine.runner.rungs) - 1
    for candidate in sorted(engine.arrived, key=lambda c: (slot_of(c), c)):
        document = engine.book.candidates[candidate]
        if document["status"] in SETTLED or candidate in engine.held or candidate in engine.closing:
            continue
        aim = _aim(engine, candidate)
        if not complete(engine, candidate, aim):
            continue
        if aim == last or _place(engine, candidate) < _passed(engine, aim):
            return candidate
    return None


def _aim(engine: Engine, candidate: str) -> int:
    return int(engine.book.own_trials(candidate)[0]["aim"])


def _place(engine: Engine, candidate: str) -> int:
    """The last slot whose score at the rung counts: its own; the control arm's place among them; for what a user
    injected, whatever is there.
    """
    if is_injected(candidate):
        return -1
    if is_control(candidate):
        wanted = engine.book.last_slot
        return min(math.ceil(slot_of(candidate) * wanted / max(engine.config.controls, 1)), wanted)
    return slot_of(candidate)


def _passed(engine: Engine, rung: int) -> int:
    """How many slots, from 0 on, have passed a rung: have their scores there, or ended before it."""
    at = engine.passed.get(rung, 0)
    if at == 0 and not noise_known(engine.book, engine.runner.rungs[rung].fraction):
        return 0
    closed = bool(engine.book.run.get("closed"))
    while (node := candidate_id(at)) in engine.book.candidates or (closed and at <= engine.book.last_slot):
        if node not in engine.book.candidates:
            at += 1
            continue
        document = engine.book.candidates[node]
        settled = document["status"] in SETTLED or node in engine.held
        if not (at == 0 or settled or (engine.book.own_trials(node) and complete(engine, node, rung))):
            break
        at += 1
    engine.passed[rung] = at
    return at


def _decide(engine: Engine, candidate: str) -> None:
    """Judge a candidate at its rung and write that down; it goes on, or stops."""
    book, rungs = engine.book, engine.runner.rungs
    aim = _aim(engine, candidate)
    rung, table = rungs[aim], engine.config.profile["search"]["rungs"]
    own = scores_at(book.own_trials(candidate), rung.fraction)
    root = scores_at(book.root_trials(), rung.fraction)
    same_seeds = scores_at(book.root_trials()[: rung.seeds], rung.fraction)
    place = _place(engine, candidate)
    before = [n for k in range(1, len(book.candidates)) if (n := candidate_id(k)) in book.candidates and n != candidate]
    at_rung = {
        n: scores
        for n in before
        if (place < 0 or slot_of(n) <= place)
        and book.candidates[n]["status"] != "pruned"
        and (scores := scores_at(book.own_trials(n)[: rung.seeds], rung.fraction))
    }
    earlier = [fmean(same_seeds)] * bool(same_seeds) + [fmean(scores) for scores in at_rung.values()]
    settled = visible(round_of(max(place, 1), engine.decider.parents)[1], engine.config.lag)
    finals = {n: book.candidates[n]["result"] for n in at_rung if slot_of(n) in settled}
    pairs = [(fmean(at_rung[n]), r["rungs"][-1]["overall"]) for n, r in finals.items() if r and r["rung"] == 1.0]
    correlation = rank_correlation(
        [a for a, _ in pairs],
        [b for _, b in pairs],
        prior=table["correlation"],
        prior_weight=PRIOR_WEIGHT,
        everybody=[fmean(s) for s in at_rung.values()],
    )
    judged = promotion(
        [fmean(own)],  # the correlation is one of means over as many seeds
        earlier,
        noise_std=stdev(root) if len(root) > 1 else 0.0,
        correlation=min(correlation, 1.0),
        eta=table["eta"],
        where=f"{rung.updates} of {rungs[-1].updates} updates",
    )
    gone, share = _gone_on(engine, at_rung, rung.fraction), CREDIT + (len(at_rung) + 1) / table["eta"]
    # A search gets better as it goes on, and its newest would all be among the best of those seen so far; who is among
    # the best of all goes on when it ends, see `engine.loop.last_chance`.
    full = judged.promoted and gone + 1 > share
    document = {
        "rung": rung.fraction,
        "promoted": judged.promoted and not full,
        "probability": round(judged.probability, 6),
        "correlation": round(correlation, 6),
        "why": judged.why + (f"; but {gone} have gone on, and one in {table['eta']} may" if full else ""),
        "by": "rule",
    }
    book.update(candidate, promotions=[*book.candidates[candidate]["promotions"], document])
    carry_out(engine, candidate)


def _gone_on(engine: Engine, before: Iterable[str], rung: float) -> int:
    """How many of those that were judged at a rung the rule has let go on."""
    made = (p for node in before for p in engine.book.candidates[node]["promotions"] if p["by"] == "rule")
    return sum(p["promoted"] for p in made if p["rung"] == rung)


def carry_out(engine: Engine, candidate: str, again: bool = False) -> None:
    """Do what the last promotion of a candidate says.

    Args:
        again: after a crash, when some of it may have been done.
    """
    last = engine.book.candidates[candidate]["promotions"][-1]
    if last["promoted"]:
        if not again:
            engine.arrived.discard(candidate)
            engine.book.log(f"{candidate} goes on: {last['why']}", node=candidate)
        goes_on(engine, candidate)
        return
    engine.arrived.discard(candidate)
    _end_here(engine, engine.book.own_trials(candidate))
    close(engine, candidate, "stopped", last["why"])


def _end_here(engine: Engine, trials: Iterable[Document]) -> None:
    """Trainings that wait at a rung go no further."""
    for trial in trials:
        if trial["status"] == WAITING:
            engine.book.update_trial(trial["id"], status="stopped")
