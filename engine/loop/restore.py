"""How a run begins: with its root, or where a stop or a crash left it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.archive.folder import RunFolder
from engine.archive.store import Document
from engine.loop.book import SETTLED, UNFINISHED, WAITING, is_injected, purpose_of, root_id
from engine.loop.config import read_config
from engine.loop.decisions import reflect, start_injected
from engine.loop.figures import derive, figures
from engine.loop.prior import read_earlier, take_over
from engine.loop.promotions import carry_out
from engine.loop.workers import end

if TYPE_CHECKING:
    from engine.loop.engine import Engine


async def restore(engine: Engine) -> None:
    """Begin with the root, or take up what a stop or a crash left behind."""
    engine.book.set_run_status("running", "engine started")
    if not engine.book.candidates:
        engine.decider.create_root()
    if engine.config.prior and not engine.book.run.get("prior"):
        place = RunFolder(Path(engine.config.prior))
        take_over(engine.book, engine.runner.folder, read_earlier(place, asdict(read_config(place))))
    if engine.book.candidates[root_id()]["status"] == "verifying":
        await engine.with_space(engine.decider.verify_root)
    if engine.book.candidates[root_id()]["status"] == "infeasible":
        await engine.stop(f"the root cannot train: {engine.book.candidates[root_id()]['cause']}")
        return
    for i in range(engine.config.profile["search"]["baseline_seeds"]):
        purpose = "baseline" if i else "search"
        if f"{root_id()}-{purpose}-{i}" not in engine.book.trials:
            made = engine.new_trial(root_id(), purpose, i)
            if i:  # the first one is trained in any case: its curves are what others are compared with
                engine.runner.recall_root(made)
    for trial in engine.book.trials.values():
        candidate = engine.book.candidates[trial["candidate"]]
        if candidate["status"] != "pruned" and candidate["id"] not in engine.held:
            if trial["status"] in UNFINISHED:
                engine.enqueue(trial["id"])
            elif trial["status"] in (WAITING, "scored"):
                engine.arrived.add(candidate["id"])
    for candidate in list(engine.book.candidates.values()):
        _restore_candidate(engine, candidate)


def _restore_candidate(engine: Engine, candidate: Document) -> None:
    if candidate.get("prior"):
        return
    node, own = candidate["id"], engine.book.own_trials(candidate["id"])
    if any(candidate[field] != value for field, value in figures(engine.book, node).items()):
        derive(engine.book, node)
    if candidate["status"] in SETTLED:
        engine.arrived.discard(node)
        if not candidate["reflection"]:
            engine.closing.add(node)
            engine.spawn(reflect(engine, node))
    elif candidate["status"] == "verifying" and is_injected(node):
        start_injected(engine, node)
    elif not own:
        engine.enqueue(engine.new_trial(node, purpose_of(node), 0))
    elif failed := next((t for t in own if t["status"] == "failed"), None):
        # It had ended, and nobody could write that down any more.
        end(engine, node, failed.get("settles") or "failed", failed["cause"])
    elif candidate["promotions"] and node not in engine.held and node != root_id():
        carry_out(engine, node, again=True)
