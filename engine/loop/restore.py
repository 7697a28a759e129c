"""How a run begins: with its root, or where a stop or a crash left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.loop.book import SETTLED, UNFINISHED, is_injected, purpose_of, root_id
from engine.loop.decisions import close, reflect, start_injected

if TYPE_CHECKING:
    from engine.loop.engine import Engine


async def restore(engine: Engine) -> None:
    """Begin with the root, or take up what a stop or a crash left behind."""
    engine.book.set_run_status("running", "engine started")
    if not engine.book.candidates:
        engine.decider.create_root()
    if engine.book.candidates[root_id()]["status"] == "verifying":
        await engine.with_space(engine.decider.verify_root)
    if engine.book.candidates[root_id()]["status"] == "infeasible":
        await engine.stop(f"the root cannot train: {engine.book.candidates[root_id()]['cause']}")
        return
    wanted = [("search", 0), *(("baseline", i) for i in range(1, engine.config.profile["search"]["baseline_seeds"]))]
    for purpose, i in wanted:
        if f"{root_id()}-{purpose}-{i}" not in engine.book.trials:
            engine.new_trial(root_id(), purpose, i)
    for trial in engine.book.trials.values():
        candidate = engine.book.candidates[trial["candidate"]]
        unfinished = trial["status"] in UNFINISHED
        if unfinished and candidate["status"] != "pruned" and candidate["id"] not in engine.held:
            engine.enqueue(trial["id"])
    for candidate in list(engine.book.candidates.values()):
        node, own = candidate["id"], engine.book.main_trial(candidate["id"])
        if candidate["seeds"] != [t["seed"] for t in engine.book.trials_of(node) if t["status"] == "scored"]:
            engine.decider.derive(node)
        if candidate["status"] in SETTLED:
            if not candidate["reflection"]:
                engine.closing.add(node)
                engine.spawn(reflect(engine, node))
        elif candidate["status"] == "verifying" and is_injected(node):
            start_injected(engine, node)
        elif own is None:
            engine.enqueue(engine.new_trial(node, purpose_of(node), 0))
        elif own["status"] in ("scored", "failed"):  # it had ended, and nobody could write that down any more
            close(engine, node, True, own.get("settles") or own["status"], own["cause"])
