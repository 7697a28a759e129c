"""The task that makes decisions, and what follows a result: figures, reflection, a settled slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Exit, PoiseError
from engine.loop.book import SETTLED, candidate_id
from engine.loop.settled import ready

if TYPE_CHECKING:
    from engine.loop.engine import Engine


async def decide_all(engine: Engine) -> None:
    """Make decision after decision, each as soon as the settled-prefix rule allows it."""
    for k in range(1, engine.book.run["budget"]["candidates"] + 1):
        if candidate_id(k) in engine.book.candidates:
            continue
        async with engine.changed:
            await engine.changed.wait_for(
                lambda k=k: (
                    not engine.paused  # type: ignore[misc]
                    and engine.stopping is None
                    and ready(k, engine.config.lag, engine.book.settled_slots())
                )
            )
        try:
            await _admit(engine, await engine.with_space(lambda k=k: engine.decider.decide(k)))  # type: ignore[misc]
        except PoiseError as e:
            # Refused: the budget is used. Else nothing can be proposed any more: the user must act, then resume.
            await engine.stop(f"budget: {e}" if e.code is Exit.REFUSED else str(e))
            return


async def _admit(engine: Engine, candidate: str) -> None:
    """Queue a verified candidate for its training, or close a failed one."""
    if engine.book.candidates[candidate]["status"] == "queued":
        engine.enqueue(engine.new_trial(candidate, "search", 0))
    elif engine.book.candidates[candidate]["status"] in SETTLED:
        await engine.with_space(lambda: engine.decider.reflect(candidate))
    await engine.notify()


def close(engine: Engine, candidate: str, main: bool, status: str, cause: str | None) -> None:
    """A trial is over: take its figures into its candidate; its own search trial settles the candidate."""
    engine.decider.derive(candidate)
    if main:
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
