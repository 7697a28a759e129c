"""The workers: each takes a waiting trial, runs its processes until it is over or put aside, and takes the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.archive.store import ReadOnlyArchive
from engine.errors import PoiseError
from engine.loop.book import HELD, purpose_of, slot_of
from engine.loop.decisions import close
from engine.loop.guard import DISK
from engine.loop.supervise import Verdict, begin, verdict
from engine.process.executor import Result

if TYPE_CHECKING:
    from engine.loop.engine import Engine


async def work(engine: Engine, worker: int) -> None:
    """Take trial after trial from the queue, the most urgent first.

    Args:
        engine: whose queue.
        worker: its number, from 0.
    """
    while True:
        async with engine.changed:
            await engine.changed.wait_for(lambda: bool(engine.queue) and not engine.paused and engine.stopping is None)
            trial = min(engine.queue, key=lambda waiting: _urgency(engine, waiting))
            engine.queue.remove(trial)
            engine.active[trial] = "training"
        try:
            await _run_trial(engine, trial, worker)
        finally:
            engine.active.pop(trial, None)
            await engine.notify()


def _urgency(engine: Engine, trial: str) -> float:
    """Trials in the order of their slots; the root's further seeds are mixed in, one after every two slots, and the
    control arm evenly.
    """
    document = engine.book.trials[trial]
    place = slot_of(document["candidate"])
    if document["purpose"] == "control":
        return place * float(engine.book.run["budget"]["candidates"]) / max(engine.config.controls, 1)
    return place if document["purpose"] == "search" else 2 * int(trial.rsplit("-", 1)[1]) + 0.5


async def _run_trial(engine: Engine, trial: str, worker: int) -> None:
    document = engine.book.trials[trial]
    candidate, main = document["candidate"], document["purpose"] == purpose_of(document["candidate"])
    while True:
        trained = bool(document["trained"])
        result, judged = await _attempt(engine, trial, worker, main)
        if _pruned(engine, candidate):
            engine.book.update_trial(trial, status="stopped")
            engine.decider.derive(candidate)
            return
        if judged.act == "aside":
            if result.get("reason") == "disk":
                await engine.pause(DISK, f"no space left on the disk for {trial}: free some, the run then goes on")
            _put_aside(engine, trial, main, judged.fields)
            return
        if judged.act == "again":
            again = f"{trial} is started again: {result['cause']}"
            engine.book.log(again, level="warning", node=candidate)
            if "micro_batches" in judged.fields:
                engine.runner.start_anew(trial)
            if judged.fields:
                engine.book.update_trial(trial, **judged.fields)
        elif judged.act == "done" and not trained:
            engine.runner.forget_scores(trial)
            engine.book.update_trial(trial, trained=True, starts=0, reached=-1, cause=None, **_resumed(result))
        elif judged.act == "done" and "flags" not in document and (doubts := _doubts(engine, trial, result["data"])):
            engine.book.update_trial(trial, fresh=1, starts=0, reached=-1, **doubts)
            engine.book.update(candidate, flags=doubts["flags"])
            told = f"{trial} is scored again on fresh problems: {'; '.join(doubts['flags'])}"
            engine.book.log(told, level="warning", node=candidate)
        elif judged.act == "done":
            data = result["data"]
            scores = {"overall": data["overall"], "benchmarks": data["benchmarks"]}
            engine.book.update_trial(trial, status="scored", cause=None, **scores)
            close(engine, candidate, main, "scored", None)
            return
        else:
            engine.book.update_trial(trial, status="failed", cause=judged.cause, settles=judged.act)
            engine.book.log(f"{trial} failed: {judged.cause}", level="warning", node=candidate)
            close(engine, candidate, main, judged.act, judged.cause)
            return


def _doubts(engine: Engine, trial: str, score: dict[str, Any]) -> dict[str, Any]:
    """Fields of a trial whose score is to be measured again: why, and what it was at first; empty if it counts."""
    found = engine.decider.doubts(engine.book.trials[trial], score)
    return {"flags": found, "first": {k: score[k] for k in ("overall", "benchmarks")}} if found else {}


async def _attempt(engine: Engine, trial: str, worker: int, main: bool) -> tuple[Result, Verdict]:
    """One process for a trial's next step, and what to do about how it ended."""
    document = engine.book.trials[trial]
    scoring = bool(document["trained"])
    started, refused = begin(document, 0 if scoring else engine.runner.reached(trial), engine.retries)
    if refused is not None:
        return {"status": "failed", "cause": refused}, Verdict("failed", refused)
    engine.active[trial] = "scoring" if scoring else "training"
    _mark(engine, trial, engine.active[trial], main, started)
    try:
        result = await (engine.runner.score if scoring else engine.runner.train)(trial, worker)
    except ReadOnlyArchive:
        raise
    except PoiseError as e:  # no process could be started for it
        result = {"status": "failed", "cause": str(e), "reason": "server"}
    waiting = engine.paused or engine.stopping is not None or document["candidate"] in engine.held
    return result, verdict(document, result, engine.retries, waiting)


def _pruned(engine: Engine, candidate: str) -> bool:
    return bool(engine.book.candidates[candidate]["status"] == "pruned")


def _mark(engine: Engine, trial: str, status: str, main: bool, more: dict[str, Any]) -> None:
    engine.book.update_trial(trial, status=status, **more)
    if main:
        engine.book.set_status(engine.book.trials[trial]["candidate"], status)


def _put_aside(engine: Engine, trial: str, main: bool, more: dict[str, Any]) -> None:
    """A training stopped at a checkpoint: by its user, or because the whole run pauses or goes down."""
    candidate = engine.book.trials[trial]["candidate"]
    engine.book.update_trial(trial, status="paused", **more)
    if candidate in engine.held:
        if main:
            engine.book.set_status(candidate, "paused", HELD)
    elif engine.paused or engine.stopping is not None:
        if main:
            engine.book.set_status(candidate, "paused", "the run is paused")
        engine.queue.append(trial)
    else:  # resumed while it was still stopping
        engine.enqueue(trial)


def _resumed(result: Result) -> dict[str, Any]:
    """Whether a training went on from a checkpoint, and how well, as its process says; nothing if it did not."""
    said = result["data"].get("resumed")
    return {"resumed": said} if said in ("exact", "inexact") else {}
