"""Studies: trainings after a score that say whether it holds (confirm) and what it is owed to (ablate).

A study is a document of the run: its arms, each trained over the same fresh seeds and scored on fresh problems of the
confirmation split, up to a look; then it is judged, and goes on to its next look or ends. All of it follows from the
documents, so that an engine that takes the run up goes on where the last one was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from engine.archive.store import Document
from engine.errors import PoiseError
from engine.loop.ablating import attribution
from engine.loop.book import UNFINISHED, root_id
from engine.loop.confirming import confirmed, judge_look
from engine.loop.figures import scores_at
from engine.loop.finalists import finalists, search_over
from engine.loop.seeds import train_seed
from engine.loop.study_plan import (
    CONFIRM,
    ablate_plan,
    confirm_plan,
    mechanisms,
    open_nodes,
    running,
    studies_of,
    training_of,
    trainings,
)

if TYPE_CHECKING:
    from engine.loop.engine import Engine

BY_ITSELF = "end of the search"
OVER = ("scored", "failed", "stopped")


async def study_all(engine: Engine) -> None:
    """Carry every study from look to look, and begin the one at the end of the search."""
    _withdraw(engine)
    while True:
        async with engine.changed:
            await engine.changed.wait_for(
                lambda: engine.stopping is None and (_due(engine) is not None or _confirms_by_itself(engine))
            )
        if _confirms_by_itself(engine):
            _begin_by_itself(engine)
        while engine.stopping is None and (study := _due(engine)) is not None:
            await _step(engine, study)
        await engine.notify()


def begin_study(engine: Engine, kind: str, node: str, seeds: int | None) -> Document:
    """Begin a study that somebody asked for; one of that kind that is under way for this candidate is it.

    Returns:
        its document.

    Raises:
        PoiseError: refused (4), see `engine.loop.study_plan`.
    """
    book = engine.book
    if same := running(book.run, kind, node):
        return same[0]
    candidate = book.candidates[node]
    if kind == "confirm":
        plan = confirm_plan(book.run, engine.config.profile, [candidate], seeds)
    else:
        plan = ablate_plan(book.candidates[root_id()], candidate, seeds)
    return _open(engine, plan, "user")


def restore_studies(engine: Engine) -> None:
    """Take up the trainings of studies alone: an engine that was started for one goes on with no search."""
    engine.book.set_run_status("running", "engine started for a study")
    engine.held.clear()  # who is paused in the search may be studied
    for trial in list(engine.book.trials.values()):
        pruned = engine.book.candidates[trial["candidate"]]["status"] == "pruned"
        if trial.get("study") and trial["status"] in UNFINISHED and not pruned:
            engine.enqueue(trial["id"])


def pending(engine: Engine) -> bool:
    """Whether a study is under way, or is to begin now that the search has ended."""
    return bool(running(engine.book.run)) or _confirms_by_itself(engine)


def told_unfinished(engine: Engine) -> str | None:
    """What to say when the engine goes down before everything is confirmed that would have been; None: nothing."""
    book = engine.book
    run, used = book.run["id"], (engine.stopping or "").startswith("budget")
    if left := running(book.run):
        study = left[0]
        return f"{study['id']} is not over: `poise {study['kind']} {run} {study['nodes'][0]}` goes on with it"
    if used and not engine.study_only and _wanted(engine) and (best := _best(engine)):
        return f"no time is left to confirm the best: `poise confirm {run} {best[0]}` does it"
    return None


# -- the one at the end of the search


def _wanted(engine: Engine) -> int:
    """How many the end of the search would still confirm."""
    run, table = engine.book.run, engine.config.profile.get("confirm", CONFIRM)
    return 0 if run.get("confirmed_after") == engine.book.last_slot else int(table["candidates"])


def _confirms_by_itself(engine: Engine) -> bool:
    return not engine.study_only and engine.concluded and _wanted(engine) > 0 and search_over(engine)


def _best(engine: Engine) -> list[str]:
    """Candidates above the root, by the means over their whole trainings, that no study has judged; the best first."""
    root = scores_at(engine.book.root_trials(), 1.0)
    if not root:
        return []
    level = fmean(root)
    known = (node for node, c in engine.book.candidates.items() if c["confirmed"] is not None)
    busy = (node for study in running(engine.book.run, "confirm") for node in study["nodes"])
    judged = {*known, *busy}
    return [node for node, scores in finalists(engine).items() if fmean(scores) > level and node not in judged]


def _begin_by_itself(engine: Engine) -> None:
    book = engine.book
    best = _best(engine)[: _wanted(engine)]
    once = {"confirmed_after": book.last_slot}
    if best:
        nodes = [book.candidates[node] for node in best]
        _open(engine, confirm_plan(book.run, engine.config.profile, nodes, None, automatic=True), BY_ITSELF, **once)
    else:
        book.set_run(**once)
        book.log("nothing to confirm: no new candidate's mean is above the root's")


# -- from look to look


def _open(engine: Engine, plan: Document, by: str, **more: Any) -> Document:
    """Write a study down; its trainings are made by `study_all`."""
    before = studies_of(engine.book.run)
    study = {
        "id": f"{plan['kind']}-{sum(s['kind'] == plan['kind'] for s in before) + 1}",
        "number": len(before) + 1,
        "by": by,
        "status": "running",
        "cause": None,
        "created": time.time(),
        "finished": None,
        "split": "confirmation",
        **plan,
        "look": 0,
        "judged": {},
        "dropped": {},
    }
    engine.book.set_run(studies=[*before, study], **more)
    *early, last = map(str, plan["looks"])
    looks = f"{', '.join(early)} and {last}" if early else last
    of = ", ".join(f"{node} at alpha {plan['alpha'][node]:.3g}" if plan["alpha"] else node for node in plan["nodes"])
    engine.book.log(
        f"{study['id']}: {of}; up to {trainings(plan)} fresh trainings in {len(plan['arms'])} arms, judged after "
        f"{looks} seeds each"
    )
    return study


def _due(engine: Engine) -> Document | None:
    """A study that something can be done for now."""
    return next((study for study in running(engine.book.run) if _ready(engine, study)), None)


def _ready(engine: Engine, study: Document) -> bool:
    table = _table(engine, study)
    every = [t for trials in table.values() for t in trials]
    return (
        all(t is None or t["status"] in OVER for t in every)
        or any(t is not None and t["status"] == "failed" for t in table[0])
        or any(_gone(engine, study, node) for node in open_nodes(study))
    )


def _table(engine: Engine, study: Document) -> dict[int, list[Document | None]]:
    """The trials of each arm that still counts, up to the coming look, by seed; None where there is none yet."""
    nodes, seeds = open_nodes(study), study["looks"][study["look"]]
    arms = [i for i, arm in enumerate(study["arms"]) if i == 0 or arm["candidate"] in nodes]
    return {arm: [engine.book.trials.get(training_of(study, arm, i)[0]) for i in range(seeds)] for arm in arms}


def _gone(engine: Engine, study: Document, node: str) -> bool:
    """Whether a candidate was pruned: it drops out, also if that was taken back while its trainings ended."""
    trials = engine.book.trials_of(node, study["kind"])
    stopped = any(t["status"] == "stopped" for t in trials if t["study"] == study["id"])
    return stopped or bool(engine.book.candidates[node]["status"] == "pruned")


async def _step(engine: Engine, study: Document) -> None:
    """Do what is due for a study: drop a pruned candidate, make trainings, or judge a look."""
    table = _table(engine, study)
    failed = next((t for t in table[0] if t is not None and t["status"] == "failed"), None)
    gone = [node for node in open_nodes(study) if _gone(engine, study, node)]
    if failed is not None:
        _end(engine, study, "failed", f"{failed['id']} failed, which the others are compared with: {failed['cause']}")
    elif gone:
        _change(engine, study, dropped={**study["dropped"], **dict.fromkeys(gone, "pruned")})
        engine.book.log(f"{study['id']}: {', '.join(gone)} drops out: pruned")
        if not open_nodes(study := _change(engine, study)):
            _end(engine, study, "done", None)
    elif any(t is None for trials in table.values() for t in trials):
        _make(engine, study, table)
    else:
        try:
            await _judge(engine, study, {arm: [t for t in trials if t] for arm, trials in table.items()})
        except (ValueError, PoiseError) as error:
            _end(engine, study, "failed", f"its results cannot be judged: {error}")


def _make(engine: Engine, study: Document, table: dict[int, list[Document | None]]) -> None:
    """The trainings up to the coming look that are not there yet; seed by seed, all arms side by side."""
    for seed in range(study["looks"][study["look"]]):
        for arm in (arm for arm, trials in table.items() if trials[seed] is None):
            _, index, common = training_of(study, arm, seed)
            engine.enqueue(
                engine.new_trial(
                    study["arms"][arm]["candidate"],
                    study["kind"],
                    index,
                    seed=train_seed(engine.config.seed, study["kind"], common),
                    aim=len(engine.runner.rungs) - 1,
                    off=study["arms"][arm]["off"],
                    split=study["split"],
                    study=study["id"],
                    fresh=study["number"],
                )
            )


async def _judge(engine: Engine, study: Document, trials: dict[int, list[Document]]) -> None:
    """Judge a look, write down what it says of each candidate, and end the study where nothing is left open."""
    book = engine.book
    if study["kind"] == "ablate":
        node = study["nodes"][0]
        names = mechanisms(book.candidates[node])
        found = await asyncio.to_thread(attribution, study, names, list(trials.values()))
        book.update(node, attribution=found)
        book.log(f"{study['id']}: {node}: {found['line']}", node=node)
        _end(engine, study, "done", None)
        return
    folder, tasks = engine.runner.folder, engine.config.profile["tasks"]
    own = {study["arms"][arm]["candidate"]: found for arm, found in trials.items() if arm}
    judged, bootstraps = await asyncio.to_thread(
        judge_look, study, own, trials[0], tasks, lambda trial: folder.trial(trial).scores
    )
    looks = {node: [*study["judged"].get(node, ()), look] for node, look in judged.items()}
    for node, so_far in looks.items():
        if so_far[-1]["verdict"] != "continue":
            book.update(node, confirmed=confirmed(study, node, so_far, bootstraps[node]))
        told = f"look {study['look'] + 1} of {len(study['looks'])}: {node}: {so_far[-1]['line']}"
        book.log(f"{study['id']}: {told}", node=node)
    study = _change(engine, study, judged={**study["judged"], **looks}, look=study["look"] + 1)
    if not open_nodes(study):
        _end(engine, study, "done", None)


def _end(engine: Engine, study: Document, status: str, cause: str | None) -> None:
    _change(engine, study, status=status, cause=cause, finished=time.time())
    engine.book.log(f"{study['id']}: {status}" + (f": {cause}" if cause else ""), level="warning" if cause else "info")
    _withdraw(engine)


def _withdraw(engine: Engine) -> None:
    """End the trainings of studies that are over."""
    alive = {study["id"] for study in running(engine.book.run)}
    for trial in engine.book.trials.values():
        if not trial.get("study") or trial["study"] in alive or trial["status"] not in UNFINISHED:
            continue
        if trial["id"] in engine.active:
            engine.runner.kill(trial["id"], "its study is over")
            continue
        if trial["id"] in engine.queue:
            engine.queue.remove(trial["id"])
        engine.book.update_trial(trial["id"], status="stopped")


def _change(engine: Engine, study: Document, **fields: Any) -> Document:
    """Change fields of a study's document; the others are as they are by now."""
    studies: Sequence[Document] = [s | fields if s["id"] == study["id"] else s for s in studies_of(engine.book.run)]
    if fields:
        engine.book.set_run(studies=studies)
    return next(s for s in studies if s["id"] == study["id"])
