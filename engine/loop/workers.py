"""The workers: each takes a waiting trial, runs its processes until it is over or put aside, and takes the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.archive.store import ReadOnlyArchive
from engine.errors import PoiseError
from engine.loop.book import HELD, SETTLED, UNFINISHED, WAITING, purpose_of, root_id, slot_of
from engine.loop.decisions import close
from engine.loop.figures import derive
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


def _urgency(engine: Engine, trial: str) -> tuple[float, ...]:
    """First what was asked for by hand; then the root on its way to the rungs, since others are judged against it;
    then all in the order of their slots, the root's trainings in those of their numbers and the control arm evenly.
    """
    document = engine.book.trials[trial]
    number = int(trial.rsplit("-", 1)[1])
    if document["purpose"] in ("confirm", "ablate"):
        return (0, number)
    place: float = slot_of(document["candidate"])
    if document["candidate"] == root_id():
        if document["aim"] < len(engine.runner.rungs) - 1:
            return (1, document["aim"], number)
        place = number + 0.5
    elif document["purpose"] == "control":
        place *= engine.book.last_slot / max(engine.config.controls, 1)
    return (2, place)


async def _run_trial(engine: Engine, trial: str, worker: int) -> None:
    document = engine.book.trials[trial]
    candidate = document["candidate"]
    while True:
        trained = bool(document["trained"])
        result, judged = await _attempt(engine, trial, worker)
        if _pruned(engine, candidate):
            engine.book.update_trial(trial, status="stopped")
            derive(engine.book, candidate)
            return
        if judged.act == "aside":
            if result.get("reason") == "disk":
                await engine.pause(DISK, f"no space left on the disk for {trial}: free some, the run then goes on")
            _put_aside(engine, trial, judged.fields)
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
            _arrive(engine, trial, result["data"])
            return
        else:
            engine.book.update_trial(trial, status="failed", cause=judged.cause, settles=judged.act)
            engine.book.log(f"{trial} failed: {judged.cause}", level="warning", node=candidate)
            derive(engine.book, candidate)
            if _has_no_result_yet(engine, trial):
                end(engine, candidate, judged.act, judged.cause)
            return


def _arrive(engine: Engine, trial: str, data: dict[str, Any]) -> None:
    """A trial has its score at its rung: it is over, or waits for a decision; the root's goes on."""
    document, rung = engine.book.trials[trial], engine.runner.rung(trial)
    candidate, score = document["candidate"], {"overall": data["overall"], "benchmarks": data["benchmarks"]}
    entry = {"rung": rung.fraction, "updates": rung.updates, "standard_error": data["standard_error"], **score}
    rungs = [*(r for r in document["rungs"] if r["rung"] < rung.fraction), entry]
    told = {"cause": None, "rung": rung.fraction, "rungs": rungs, **score}
    if rung.fraction < 1.0 and candidate == root_id():
        engine.send_on(trial, document["aim"] + 1, **told)
    else:
        engine.book.update_trial(trial, status="scored" if rung.fraction == 1.0 else WAITING, **told)
    if rung.fraction == 1.0:
        engine.runner.keep_adapter_alone(trial)
    if rung.fraction == 1.0 and any(document is own for own in engine.book.root_trials()):
        engine.runner.keep_root(trial)
    derive(engine.book, candidate)
    if engine.book.trials[trial]["status"] != "queued" and _has_no_result_yet(engine, trial):
        engine.arrived.add(candidate)
        others = (t["id"] for t in engine.book.own_trials(candidate) if t["id"] != trial)
        if not any(other in engine.active for other in others):
            whole = engine.runner.rungs[-1].updates
            engine.book.set_status(candidate, "queued", f"has its score after {rung.updates} of {whole} updates")


def end(engine: Engine, candidate: str, status: str, cause: str | None) -> None:
    """A training of a candidate has failed, and so has the candidate: what else trains of it ends."""
    engine.arrived.discard(candidate)
    for other in engine.book.own_trials(candidate):
        if other["id"] in engine.queue:
            engine.queue.remove(other["id"])
        if other["id"] in engine.active:
            engine.runner.kill(other["id"], "another training of its candidate failed")
        elif other["status"] in (*UNFINISHED, WAITING):
            engine.book.update_trial(other["id"], status="stopped")
    close(engine, candidate, status, cause)


def _has_no_result_yet(engine: Engine, trial: str) -> bool:
    """Whether this is one of the trainings that its candidate waits for."""
    document = engine.book.trials[trial]
    candidate = engine.book.candidates[document["candidate"]]
    own = document["purpose"] == purpose_of(candidate["id"])
    return own and candidate["status"] not in SETTLED and candidate["id"] not in engine.closing


def _doubts(engine: Engine, trial: str, score: dict[str, Any]) -> dict[str, Any]:
    """Fields of a trial whose score is to be measured again: why, and what it was at first; empty if it counts."""
    found = engine.decider.doubts(engine.book.trials[trial], score)
    return {"flags": found, "first": {k: score[k] for k in ("overall", "benchmarks")}} if found else {}


async def _attempt(engine: Engine, trial: str, worker: int) -> tuple[Result, Verdict]:
    """One process for a trial's next step, and what to do about how it ended."""
    document = engine.book.trials[trial]
    scoring = bool(document["trained"])
    started, refused = begin(document, 0 if scoring else engine.runner.reached(trial), engine.retries)
    if refused is not None:
        return {"status": "failed", "cause": refused}, Verdict("failed", refused)
    engine.active[trial] = "scoring" if scoring else "training"
    _mark(engine, trial, engine.active[trial], started)
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


def _mark(engine: Engine, trial: str, status: str, more: dict[str, Any]) -> None:
    engine.book.update_trial(trial, status=status, **more)
    candidate = engine.book.trials[trial]["candidate"]
    if _has_no_result_yet(engine, trial) and engine.book.candidates[candidate]["status"] != status:
        engine.book.set_status(candidate, status)


def _put_aside(engine: Engine, trial: str, more: dict[str, Any]) -> None:
    """A training stopped at a checkpoint: by its user, or because the whole run pauses or goes down."""
    candidate = engine.book.trials[trial]["candidate"]
    engine.book.update_trial(trial, status="paused", **more)
    shown = _has_no_result_yet(engine, trial)
    if candidate in engine.held:
        if shown:
            engine.book.set_status(candidate, "paused", HELD)
    elif engine.paused or engine.stopping is not None:
        if shown:
            engine.book.set_status(candidate, "paused", "the run is paused")
        engine.queue.append(trial)
    else:  # resumed while it was still stopping
        engine.enqueue(trial)


def _resumed(result: Result) -> dict[str, Any]:
    """Whether a training went on from a checkpoint, and how well, as its process says; nothing if it did not."""
    said = result["data"].get("resumed")
    return {"resumed": said} if said in ("exact", "inexact") else {}
