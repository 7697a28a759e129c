"""The task that makes decisions, round by round, and what follows a result: figures, reflection, a settled slot."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from engine.errors import Exit, PoiseError
from engine.loop.book import SETTLED, candidate_id, control_id, purpose_of
from engine.loop.closing import close_search, time_to_confirm
from engine.loop.figures import derive, result_of
from engine.loop.settled import ready

if TYPE_CHECKING:
    from engine.loop.decider import Made
    from engine.loop.engine import Engine


async def decide_all(engine: Engine) -> None:
    """Make round after round of decisions, each as soon as the settled-prefix rule allows it."""
    last, parents = engine.book.last_slot, engine.decider.parents
    for first in range(1, last + 1, parents):
        slots = range(first, min(first + parents, last + 1))
        missing = [k for k in slots if candidate_id(k) not in engine.book.candidates]
        due = controls_due(engine.config.controls, slots[-1], last)
        controls = [i for i in range(1, due + 1) if control_id(i) not in engine.book.candidates]
        if not (missing or controls):
            continue
        async with engine.changed:
            await engine.changed.wait_for(
                lambda first=first: (
                    not engine.paused  # type: ignore[misc]
                    and engine.stopping is None
                    and ready(first, engine.config.lag, engine.book.has_settled)
                )
            )
        if engine.book.run.get("closed"):
            return
        if (reason := time_to_confirm(engine, engine.wall())) is not None:
            close_search(engine, reason)
            await engine.notify()
            return
        try:
            await _round(engine, missing, controls)
        except PoiseError as e:
            if e.code is Exit.REFUSED:  # the money is used up; a confirmation needs none
                close_search(engine, f"budget: {e}")
                await engine.notify()
            else:  # nothing can be proposed any more: the user must act, then resume
                await engine.stop(str(e))
            return


def controls_due(controls: int, slot: int, last: int) -> int:
    """How many of the control arm's candidates there should be once decision `slot` of `last` is made: its share."""
    return math.ceil(controls * slot / last)


async def _round(engine: Engine, slots: list[int], controls: list[int]) -> None:
    """Make a round's proposals side by side and record them in order, so that twins are told apart the same way.

    Raises:
        PoiseError: one of them cannot be made; the others are recorded all the same, since they may have been paid.
    """
    decider, failure = engine.decider, None
    tasks: list[asyncio.Task[Made]] = [
        *(asyncio.create_task(engine.with_space(lambda k=k: decider.propose(k))) for k in slots),  # type: ignore[misc]
        *(asyncio.create_task(engine.with_space(lambda i=i: decider.propose_control(i))) for i in controls),  # type: ignore[misc]
    ]
    try:
        for task in tasks:
            try:
                made = await task
                await admit(engine, await engine.with_space(lambda made=made: _recorded(engine, made)))  # type: ignore[misc]
            except PoiseError as error:
                failure = failure or error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failure is not None:
        raise failure


async def _recorded(engine: Engine, made: Made) -> str:
    return engine.decider.record(made)


def start_injected(engine: Engine, candidate: str) -> None:
    """Verify a user's algorithm, then let it train like any other; nothing happens if that is under way."""
    if candidate not in engine.closing:
        engine.closing.add(candidate)
        engine.spawn(_admit_injected(engine, candidate))


async def _admit_injected(engine: Engine, candidate: str) -> None:
    try:
        await engine.with_space(lambda: engine.decider.verify_injected(candidate))
        await admit(engine, candidate)
    finally:
        engine.closing.discard(candidate)
        await engine.notify()


async def admit(engine: Engine, candidate: str) -> None:
    """Queue a verified candidate for its training, or close a failed one."""
    if engine.book.candidates[candidate]["status"] == "queued":
        engine.enqueue(engine.new_trial(candidate, purpose_of(candidate), 0))
    elif engine.book.candidates[candidate]["status"] in SETTLED:
        await engine.with_space(lambda: engine.decider.reflect(candidate))
    await engine.notify()


def close(engine: Engine, candidate: str, status: str, cause: str | None) -> None:
    """A candidate has its result: its figures are final, it is reflected upon, and its slot settles."""
    derive(engine.book, candidate)
    engine.book.update(candidate, result=result_of(engine.book, candidate))
    engine.closing.add(candidate)
    engine.spawn(reflect(engine, candidate, status, cause))


async def reflect(engine: Engine, candidate: str, status: str | None = None, cause: str | None = None) -> None:
    """Reflect on a candidate; with a status, then settle it so."""
    try:
        await engine.with_space(lambda: engine.decider.reflect(candidate, status, cause))
        if status is not None and engine.book.candidates[candidate]["status"] != "pruned":
            engine.book.set_status(candidate, status, cause)
    finally:
        engine.closing.discard(candidate)
        await engine.notify()
