"""Who goes on from a rung does not depend on the order in which scores arrive; and nobody is left waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.render import render
from engine.archive.files import write_atomic
from engine.archive.store import Archive
from engine.loop.book import SETTLED, Book, candidate_id, root_id, slot_of
from engine.loop.config import new_run
from engine.loop.documents import candidate_document
from engine.loop.engine import Engine
from engine.loop.figures import scores_at
from engine.loop.last_chance import give_last_chances
from engine.loop.promotions import goes_on, promote, promote_all
from engine.loop.settled import ready
from engine.loop.workers import _arrive
from engine.process.executor import Executor
from engine.search.select import round_of
from tests.run.world import profile

CANDIDATES = 14


class Made:
    """An engine on a real archive whose trainings are made up: no process runs, scores are handed in."""

    def __init__(self, path: Path, name: str, candidates: int = CANDIDATES) -> None:
        rungs = {"search.rungs.at": "[0.25, 0.5]", "search.rungs.seeds": "[1, 2, 1]", "search.rungs.eta": "4"}
        file = profile(path, **rungs, updates="16", baseline_seeds="3", problems="120", samples="16")
        folder, config = new_run({"profile": str(file), "runs_dir": str(path / "runs"), "name": name, "seed": 3})
        self.archive = Archive.open(folder.archive)
        self.book = Book(self.archive)
        budget = {"candidates": candidates}
        spent = {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0}
        self.book.open_run({"id": name, "status": "running", "budget": budget, "spent": spent, "sandbox": "none"})
        executor: Executor = None  # type: ignore[assignment]
        self.engine = Engine(folder, config, self.book, executor, "protocol")
        for slot in range(candidates + 1):
            node, code = candidate_id(slot), render(f"A{slot}", "why", ())
            folder.candidate(node).path.mkdir(parents=True)
            write_atomic(folder.candidate(node).algorithm, code.encode())
            parent = self.book.candidates[root_id()] if slot else None
            self.book.create_candidate(candidate_document(node, f"A{slot}", code, {}, {"model": None}, parent=parent))
        for i in range(3):
            self.engine.enqueue(self.engine.new_trial(root_id(), "baseline" if i else "search", i))
        for slot in range(1, candidates + 1):
            self.engine.enqueue(self.engine.new_trial(candidate_id(slot), "search", 0))

    def arrive(self, trial: str) -> None:
        """Its next score comes in; good candidates are good at every rung, with some noise."""
        self.engine.queue.remove(trial)
        candidate, rung = self.book.trials[trial]["candidate"], self.engine.runner.rung(trial)
        true = random.Random(candidate).gauss(0.0, 4.0) if candidate != root_id() else 0.0
        noise = random.Random(f"{trial}{rung.updates}").gauss(0.0, 1.0)
        overall = 30.0 + 20 * rung.fraction + true * (0.5 + rung.fraction / 2) + noise
        benchmarks = {"add": {"metric": "avg@16", "value": overall, "n": 120, "ci": [overall - 2, overall + 2]}}
        _arrive(self.engine, trial, {"overall": overall, "benchmarks": benchmarks, "standard_error": 0.5})

    def able(self) -> list[str]:
        """Trials that could train now: of candidates whose decision the settled-prefix rule would have allowed."""
        lag, there = self.engine.config.lag, self.book.has_settled
        slots = {t: slot_of(self.book.trials[t]["candidate"]) for t in self.engine.queue}
        return [t for t, slot in slots.items() if not slot or ready(round_of(slot, 3)[1], lag, there)]

    async def until_all_settled(self, order: random.Random) -> None:
        self.engine.spawn(promote_all(self.engine))
        for _ in range(20_000):
            if (able := self.able()) and order.random() < 0.5:
                self.arrive(order.choice(able))
                await self.engine.notify()
            await asyncio.sleep(0)
            if not self.engine.queue and all(c["status"] in SETTLED for c in self.book.candidates.values()):
                break
        for task in list(self.engine._tasks):
            task.cancel()

    def outcome(self) -> dict[str, Any]:
        return {
            c["id"]: [c["status"], c["promotions"], c["rungs"], c["gain"], c["result"]]
            for c in self.book.candidates.values()
        }


@pytest.fixture
def made(tmp_path: Path) -> Any:
    engines: list[Made] = []

    def make(name: str, candidates: int = CANDIDATES) -> Made:
        engines.append(Made(tmp_path, name, candidates))
        return engines[-1]

    yield make
    for one in engines:
        one.archive.close()


def settled(made: Made, order: int) -> dict[str, Any]:
    asyncio.run(made.until_all_settled(random.Random(order)))
    assert {c["status"] for c in made.book.candidates.values()} <= {"scored", "stopped"}
    return made.outcome()


async def until_nobody_is_left(made: Made) -> list[set[str]]:
    """The search, and all its last chances: who got one, time after time."""
    gone = []
    for seed in range(9):
        await made.until_all_settled(random.Random(seed))
        if not give_last_chances(made.engine):
            return gone
        gone.append({n for n, c in made.book.candidates.items() if c["status"] == "queued"})
    raise AssertionError("it does not come to an end")


def test_promotions_do_not_depend_on_the_order_in_which_scores_arrive(made: Any) -> None:
    outcomes = [settled(made(f"r{order}"), order) for order in range(4)]
    for outcome in outcomes[1:]:
        assert outcome == outcomes[0]
    verdicts = [p["promoted"] for _, promotions, *_ in outcomes[0].values() for p in promotions]
    assert True in verdicts and False in verdicts


def test_most_stop_early_and_the_better_ones_are_trained_to_the_end(made: Any) -> None:
    made = made("r")
    asyncio.run(until_nobody_is_left(made))
    outcome = made.outcome()
    ends = {node: result["rung"] for node, (_, _, _, _, result) in outcome.items()}
    assert ends[root_id()] == 1.0
    assert sum(end < 1.0 for end in ends.values()) > CANDIDATES / 2
    strength = {node: random.Random(node).gauss(0.0, 4.0) for node in ends if node != root_id()}
    whole = [strength[n] for n in strength if ends[n] == 1.0]
    stopped = [strength[n] for n in strength if ends[n] < 1.0]
    assert sum(whole) / len(whole) > sum(stopped) / len(stopped) + 2
    assert ends[max(strength, key=lambda n: strength[n])] == 1.0


def test_whoever_stops_is_told_where_and_why_and_has_a_gain_at_that_rung(made: Any) -> None:
    made = made("r")
    settled(made, 2)
    for c in made.book.candidates.values():
        if c["status"] != "stopped":
            continue
        last = c["promotions"][-1]
        assert last["by"] == "rule" and not last["promoted"] and last["rung"] == c["fidelity"] < 1
        assert f"of {made.engine.runner.rungs[-1].updates} updates is rank" in c["cause"]
        assert c["gain"]["rung"] == c["fidelity"] and c["gain"]["low"] < c["gain"]["value"] < c["gain"]["high"]


def test_replicas_begin_at_the_second_rung_and_all_trials_come_to_an_end(made: Any) -> None:
    made = made("r")
    settled(made, 3)
    for c in made.book.candidates.values():
        own = made.book.own_trials(c["id"])
        assert {t["status"] for t in own} <= {"scored", "stopped"}
        if c["id"] != root_id():
            at_second = [r for r in c["rungs"] if r["rung"] == 0.5]
            assert len(own) == (2 if at_second else 1)
            assert all(len(r["overalls"]) == 2 for r in at_second)


def test_a_stopped_candidate_goes_on_by_hand_and_is_judged_again(made: Any) -> None:
    made = made("r")

    async def by_hand() -> tuple[str, int]:
        await made.until_all_settled(random.Random(4))
        stopped = (c for c in made.book.candidates.values() if c["status"] == "stopped" and c["fidelity"] == 0.25)
        node = next(stopped)["id"]
        updates = await promote(made.engine, made.book.candidates[node])
        await made.until_all_settled(random.Random(5))
        return node, updates

    node, updates = asyncio.run(by_hand())
    assert updates == 8
    found = made.book.candidates[node]
    assert [p["by"] for p in found["promotions"]] == ["user", "rule"]
    assert found["fidelity"] >= 0.5 and found["status"] in ("scored", "stopped")


def test_the_best_of_all_go_on_when_the_search_ends_whenever_they_came(made: Any) -> None:
    made = made("r")
    book, engine = made.book, made.engine
    eta, first = engine.config.profile["search"]["rungs"]["eta"], engine.runner.rungs[0].fraction

    gone = asyncio.run(until_nobody_is_left(made))
    assert gone, "somebody among the best had stopped"
    assert all(any(p["by"] == "end" for p in book.candidates[n]["promotions"]) for n in gone[0])
    nodes = [n for n in book.candidates if n != root_id()]
    best = sorted(nodes, key=lambda n: -scores_at(book.own_trials(n), first)[0])[: -(-len(nodes) // eta)]
    assert all(book.candidates[n]["fidelity"] > first for n in best)
    assert all(c["status"] in ("scored", "stopped") for c in book.candidates.values())


def test_carrying_out_a_promotion_twice_trains_nothing_twice(made: Any) -> None:
    made = made("r", 3)
    node = candidate_id(1)
    made.arrive(f"{node}-search-0")
    made.book.update(node, promotions=[{"rung": 0.25, "promoted": True, "why": "", "by": "rule"}])
    goes_on(made.engine, node)
    once = (list(made.engine.queue), [dict(t) for t in made.book.own_trials(node)])
    goes_on(made.engine, node)
    assert once == (list(made.engine.queue), [dict(t) for t in made.book.own_trials(node)])
    assert [t["aim"] for t in made.book.own_trials(node)] == [1, 1]


def test_scores_of_the_root_are_all_there_before_anybody_is_judged(made: Any) -> None:
    made = made("r", 2)

    async def go() -> list[Mapping[str, Any]]:
        made.engine.spawn(promote_all(made.engine))
        made.arrive("c001-search-0")
        made.arrive("c002-search-0")
        for trial in ("c000-search-0", "c000-baseline-1"):
            made.arrive(trial)
        for _ in range(50):
            await made.engine.notify()
            await asyncio.sleep(0)
        before = list(made.book.candidates["c001"]["promotions"])
        made.arrive("c000-baseline-2")
        for _ in range(50):
            await made.engine.notify()
            await asyncio.sleep(0)
        for task in list(made.engine._tasks):
            task.cancel()
        return [*before, *made.book.candidates["c001"]["promotions"]]

    assert len(asyncio.run(go())) == 1
