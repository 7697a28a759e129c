"""What a user may do to a running engine, and the answer to each command of the control socket."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from engine.archive.events import Event
from engine.archive.store import Document
from engine.errors import Exit, PoiseError
from engine.loop.book import HELD, SETTLED, WAITING, root_id
from engine.loop.budget import estimate
from engine.loop.commands import Command, read_command
from engine.loop.engine import Engine
from engine.loop.interventions import direct, inject, suggest, weigh
from engine.loop.promotions import promote
from engine.loop.studies import begin_study
from engine.loop.study_plan import KINDS, find, trainings

USER = "user"
"""Who pauses the run by a command."""
REMEMBERED = 256
"""Commands whose answers are kept for those who ask again."""


class Steering:
    """Commands of the control socket, each acknowledged at once; effects arrive as events.

    Args:
        engine: who is steered.
        recorded: `steering` events of engines before this one: what they obeyed is not obeyed again.
    """

    def __init__(self, engine: Engine, recorded: Iterable[Event] = ()) -> None:
        self.engine = engine
        self.book = engine.book
        self._answers: OrderedDict[str, asyncio.Future[dict[str, Any]]] = OrderedDict()
        self._earlier = {e.data["id"]: e.data.get("answer") or {} for e in recorded if e.data.get("id")}
        """Answers to commands that were obeyed before this engine began, by id."""

    async def handle(self, command: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Answer one command; one that was sent twice (of the same id) is obeyed once, by this engine or one before.

        Raises:
            PoiseError: it cannot be done; the line says why.
        """
        asked = read_command(command, fields)
        if asked.id is None:
            return await self._obey(asked)
        if asked.id in self._earlier:
            return dict(self._earlier[asked.id])
        task = self._answers.get(asked.id)
        if task is None:
            task = self._answers[asked.id] = asyncio.ensure_future(self._obey(asked))
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # Shielded: a client that hangs up does not take its command back.
        return await asyncio.shield(task)

    async def _obey(self, asked: Command) -> dict[str, Any]:
        if asked.command == "ping":
            return self.status()
        if asked.command == "status":
            return {**self.status(), "estimate": estimate(self.book, self.engine.runner.folder.llm)}
        if asked.command == "stop":
            self._record(asked, None, {})
            await self.engine.stop("stopped by the user")
            return {}
        if self.engine.study_only and asked.command in ("inject", "promote", "restore"):
            again = f"`poise resume {self.book.run['id']}` goes on with it, once the study is over"
            raise PoiseError(f"only a study is done now, no search: {again}", Exit.REFUSED)
        if asked.command in KINDS:
            candidate = self.find(asked.node or "")
            study = begin_study(self.engine, asked.command, candidate["id"], asked.seeds)
            answer = {"study": study["id"], "trainings": trainings(study)}
            self._record(asked, candidate["id"], answer)
            await self.engine.notify()
            return answer
        if asked.command in ("direct", "weights", "inject"):
            answer = await self._intervene(asked)
            self._record(asked, answer.get("node"), answer)
            await self.engine.notify()
            return answer
        actions = {
            "pause": self._pause if asked.node else self._pause_run,
            "resume": self._resume if asked.node else self._resume_run,
            "prune": self._prune,
            "restore": self._restore,
            "pin": self._pin,
            "unpin": self._unpin,
            "promote": self._promote,
        }
        candidate = self.find(asked.node) if asked.node else {}
        answer = await actions[asked.command](candidate)
        self._record(asked, candidate.get("id"), answer)
        await self.engine.notify()
        return answer

    async def _intervene(self, asked: Command) -> dict[str, Any]:
        if asked.command == "direct":
            return await direct(self.engine, asked.text or "")
        if asked.command == "weights":
            return await weigh(self.engine, asked.weights)
        return await (
            inject(self.engine, asked.code) if asked.code is not None else suggest(self.engine, asked.text or "")
        )

    def status(self) -> dict[str, Any]:
        """Where the run stands."""
        counts: dict[str, int] = {}
        for c in self.book.candidates.values():
            counts[c["status"]] = counts.get(c["status"], 0) + 1
        return {
            "run": self.book.run["id"],
            "status": "paused" if self.engine.paused else self.book.run["status"],
            "reason": "; ".join(self.engine.pauses.values()) or self.engine.stopping,
            "unwritten": self.book.waiting,
            "candidates": counts,
            "active": dict(self.engine.active),
            "queued": len(self.engine.queue),
        }

    def find(self, node: str) -> Document:
        """A candidate by its id or its unique name.

        Raises:
            PoiseError: there is none, or the name is not unique.
        """
        return find(self.book.candidates, node, self.book.run["id"])

    async def _pause_run(self, _: Document) -> dict[str, Any]:
        await self.engine.pause(USER, "paused by the user")
        return {}

    async def _resume_run(self, _: Document) -> dict[str, Any]:
        await self.engine.resume(USER, "resumed by the user")
        return {}

    async def _pause(self, candidate: Document) -> dict[str, Any]:
        node, status = candidate["id"], candidate["status"]
        trials = [t["id"] for t in self.book.trials_of(node) if t["purpose"] not in KINDS]
        waiting = [t for t in trials if t in self.engine.queue]
        training = [t for t in trials if self.engine.active.get(t) == "training"]
        at_rung = node in self.engine.arrived
        if node in self.engine.held:
            return {}
        if not (waiting or training or at_rung):
            raise PoiseError(f"{node} is {status}: only a queued or training candidate can be paused", Exit.REFUSED)
        self.engine.held.add(node)
        for trial in waiting:
            self.engine.queue.remove(trial)
            self.book.update_trial(trial, status="paused")
        for trial in training:
            self.engine.runner.control(trial, "pause")
        if not training:
            self.book.set_status(node, "paused", HELD)
        return {}

    async def _resume(self, candidate: Document) -> dict[str, Any]:
        node = candidate["id"]
        if node not in self.engine.held:
            raise PoiseError(f"{node} is {candidate['status']}, not paused by you", Exit.REFUSED)
        self.engine.held.remove(node)
        for trial in self.book.trials_of(node):
            if trial["status"] == "paused":
                self.engine.enqueue(trial["id"])
        if node in self.engine.arrived and candidate["status"] == "paused":
            self.book.set_status(node, "queued")
        return {}

    async def _promote(self, candidate: Document) -> dict[str, Any]:
        return {"updates": await promote(self.engine, candidate)}

    async def _prune(self, candidate: Document) -> dict[str, Any]:
        if candidate["id"] == root_id():
            raise PoiseError("the root cannot be pruned: every lineage starts from it", Exit.REFUSED)
        branch = [n for n in self.book.branch(candidate["id"]) if self.book.candidates[n]["status"] != "pruned"]
        for node in branch:
            self.engine.held.discard(node)
            self.engine.arrived.discard(node)
            self.book.update(node, before_prune=_settled_or_none(self.book.candidates[node]))
            self.book.set_status(node, "pruned", f"pruned by the user with {candidate['id']}")
            for trial in self.book.trials_of(node):
                if trial["id"] in self.engine.queue:
                    self.engine.queue.remove(trial["id"])
                    self.book.update_trial(trial["id"], status="stopped")
                elif trial["id"] in self.engine.active:
                    self.engine.runner.kill(trial["id"], "pruned")
        return {"pruned": branch}

    async def _restore(self, candidate: Document) -> dict[str, Any]:
        if candidate["status"] != "pruned":
            raise PoiseError(f"{candidate['id']} is {candidate['status']}, not pruned", Exit.REFUSED)
        branch = [n for n in self.book.branch(candidate["id"]) if self.book.candidates[n]["status"] == "pruned"]
        ending = [t for n in branch for t in self.book.trials_of(n) if t["id"] in self.engine.active]
        if ending:
            raise PoiseError(f"{ending[0]['id']} is still ending: try again in a moment", Exit.REFUSED)
        for node in branch:
            before = self.book.candidates[node].get("before_prune")
            if before is not None:
                self.book.set_status(node, before["status"], before["cause"])
            else:
                self._go_on(node)
        return {"restored": branch}

    def _go_on(self, node: str) -> None:
        """Let a candidate that was pruned before it had its result go on where it was."""
        self.book.set_status(node, "queued")
        for trial in self.book.own_trials(node):
            if trial["status"] in (WAITING, "scored"):
                self.engine.arrived.add(node)
            else:
                self.engine.enqueue(trial["id"])

    async def _pin(self, candidate: Document) -> dict[str, Any]:
        self.book.update(candidate["id"], pinned=True)
        return {}

    async def _unpin(self, candidate: Document) -> dict[str, Any]:
        self.book.update(candidate["id"], pinned=False)
        return {}

    def _record(self, asked: Command, node: str | None, answer: dict[str, Any]) -> None:
        self.book.tell("steering", node, {"command": asked.command, "node": node, **asked.who, "answer": answer})


def _settled_or_none(candidate: Document) -> dict[str, Any] | None:
    if candidate["status"] in SETTLED:
        return {"status": candidate["status"], "cause": candidate["cause"]}
    return None
