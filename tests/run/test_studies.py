"""A score that a search found is proven on fresh seeds and problems, or not: at its end and by hand."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.render import render
from engine.archive.events import EventReader
from engine.archive.files import write_atomic, write_json
from engine.archive.store import Archive, read_archive
from engine.errors import Exit, PoiseError
from engine.loop.book import Book, candidate_id, root_id
from engine.loop.config import new_run
from engine.loop.documents import candidate_document
from engine.loop.engine import Engine
from engine.loop.steering import Steering
from engine.loop.studies import begin_study, pending, restore_studies, study_all, told_unfinished
from engine.loop.workers import _arrive
from engine.process.executor import Executor
from tests.run.conftest import Finished
from tests.run.world import Events, World, engine_process, profile

Score = Callable[[Mapping[str, Any]], float | None]
"""What a training of a study scores, by its document; None: it fails."""
TASKS = ("add", "sort", "mod", "chain", "mul", "hop")
MECHANISMS = ("A", "B", "C")
SEARCH = {"c001": 44.0, "c002": 42.0, "c003": 39.0}
"""Scores in the search; the root had 40 and 41."""


def noise(trial: Mapping[str, Any]) -> float:
    """The same for equal arms and seeds, whatever happens around."""
    return random.Random(f"{trial['candidate']} {trial['off']} {trial['seed']}").gauss(0.0, 1.0)


def good(trial: Mapping[str, Any]) -> float:
    """c001 is 12 points better than the root, the others are not."""
    return 40.0 + 12.0 * (trial["candidate"] == "c001") + noise(trial)


class Made:
    """An engine on a real archive after a search; no process runs, scores of studies are handed in."""

    def __init__(self, path: Path, **changes: str) -> None:
        table = {"confirm.candidates": "2", "confirm.seeds": "6", "confirm.looks": "[4]", **changes}
        request = {"profile": str(profile(path, **table)), "runs_dir": str(path / "runs"), "name": "made", "seed": 3}
        self.folder, self.config = new_run(request)
        self.archive = Archive.open(self.folder.archive)
        self.book = Book(self.archive)
        spent = {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0}
        budget = {"candidates": len(SEARCH)}
        self.book.open_run({"id": "made", "status": "running", "budget": budget, "spent": spent, "sandbox": "none"})
        self.engine = self._engine()
        for node in (root_id(), *SEARCH):
            self.add(node)
        self.search_ends()

    def _engine(self) -> Engine:
        executor: Executor = None  # type: ignore[assignment]
        return Engine(self.folder, self.config, self.book, executor, "protocol")

    def add(self, node: str, overall: float | None = None) -> None:
        code = render(node, "why", ())
        self.folder.candidate(node).path.mkdir(parents=True)
        write_atomic(self.folder.candidate(node).algorithm, code.encode())
        parent = self.book.candidates[root_id()] if node != root_id() else None
        self.book.create_candidate(candidate_document(node, node, code, {}, {"model": None}, parent=parent))
        named = MECHANISMS if parent else ()
        self.book.update(node, verification={"passed": True, "mechanisms": [{"name": name} for name in named]})
        scores = [overall or SEARCH[node]] if parent else [40.0, 41.0]
        for i, score in enumerate(scores):
            trial = self.engine.new_trial(node, "baseline" if i else "search", i)
            self.engine.queue.append(trial)
            self.arrive(trial, score)
        self.book.update(node, result={"rung": 1.0, "rungs": [{"rung": 1.0, "overall": scores[0], "benchmarks": {}}]})
        self.book.set_status(node, "scored")
        self.engine.arrived.clear()

    def search_ends(self) -> None:
        self.engine.concluded = True

    def arrive(self, trial: str, overall: float | None, cause: str = "diverged") -> None:
        """A training ends: with a score, or in failure."""
        self.engine.queue.remove(trial)
        if overall is None:
            self.book.update_trial(trial, status="failed", cause=cause)
            return
        benchmarks = {task: {"metric": "avg@4", "value": overall, "n": 2, "ci": [0.0, 100.0]} for task in TASKS}
        outcomes = {task: [[1, 1, 1, 1]] * 2 if overall > 46 else [[1, 0, 0, 0], [1, 1, 0, 0]] for task in TASKS}
        self.folder.trial(trial).path.mkdir(parents=True, exist_ok=True)
        write_json(self.folder.trial(trial).scores, {"overall": overall, "outcomes": outcomes})
        _arrive(self.engine, trial, {"overall": overall, "benchmarks": benchmarks, "standard_error": 0.5})

    def die_and_come_back(self) -> None:
        """The engine's memory is lost; what the archive holds is not."""
        for task in self.engine._tasks:
            task.cancel()
        self.archive.close()
        self.archive = Archive.open(self.folder.archive)
        self.book = Book(self.archive)
        self.book.reopen_run()
        self.engine = self._engine()
        self.search_ends()
        restore_studies(self.engine)

    async def studies(self, score: Score, order: random.Random | None = None, deaths: float = 0.0) -> None:
        """Let every study come to its end."""
        order = order or random.Random(0)
        self.engine.spawn(study_all(self.engine))
        for _ in range(20_000):
            await self.engine.notify()
            await asyncio.sleep(0.001)
            if self.engine.queue and order.random() < deaths:
                self.die_and_come_back()
                self.engine.spawn(study_all(self.engine))
            elif self.engine.queue:
                trial = order.choice(self.engine.queue)
                self.arrive(trial, score(self.book.trials[trial]))
            elif not pending(self.engine):
                break
        errors = [t.exception() for t in self.engine._tasks if t.done() and not t.cancelled()]
        for task in self.engine._tasks:
            task.cancel()
        assert not any(errors), errors
        assert not pending(self.engine), "a study never ends"

    @property
    def all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.book.run.get("studies", [])
        return found

    def trials(self, study: str, node: str | None = None) -> list[dict[str, Any]]:
        return [t for t in self.book.trials.values() if t.get("study") == study and node in (None, t["candidate"])]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


# -- what a study decides, on scores that are made up


async def test_the_best_above_the_root_are_confirmed_at_the_end_once(made: Made) -> None:
    await made.studies(good)
    (study,) = made.all
    assert study["by"] == "end of the search" and study["status"] == "done"
    assert study["nodes"] == ["c001", "c002"], "c003 is below the root's mean"
    found = {node: made.book.candidates[node]["confirmed"] for node in SEARCH}
    assert found["c001"]["verdict"] == "confirmed" and found["c001"]["low"] > 0
    assert found["c002"]["verdict"] != "confirmed" and found["c003"] is None
    assert study["alpha"] == {"c001": pytest.approx(0.02), "c002": pytest.approx(0.02)}
    await made.studies(good)
    assert len(made.all) == 1


async def test_a_candidate_that_is_clear_at_a_look_trains_no_further_and_the_root_is_shared(made: Made) -> None:
    await made.studies(good)
    assert [len(made.trials("confirm-1", node)) for node in ("c000", "c001", "c002")] == [6, 4, 6]
    assert [look["seeds"] for look in made.book.candidates["c001"]["confirmed"]["looks"]] == [4]
    assert [look["seeds"] for look in made.book.candidates["c002"]["confirmed"]["looks"]] == [4, 6]


async def test_scores_of_the_search_do_not_change_by_a_study(made: Made) -> None:
    fields = ("overall", "seeds", "rungs", "gain", "result", "status")
    before = {n: {k: c[k] for k in fields} for n, c in made.book.candidates.items()}
    await made.studies(good)
    assert {n: {k: c[k] for k in fields} for n, c in made.book.candidates.items()} == before


async def test_no_seed_and_no_problems_are_met_twice(made: Made) -> None:
    await made.studies(good)
    begin_study(made.engine, "ablate", "c002", 2)
    begin_study(made.engine, "confirm", "c002", 2)
    await made.studies(good)
    known = {t["seed"] for t in made.book.trials.values() if t["purpose"] in ("search", "baseline")}
    met = [{t["seed"] for t in made.trials(study["id"])} for study in made.all]
    assert not known & met[0] | met[0] & met[1] | met[0] & met[2] | met[1] & met[2]
    assert [len(seeds) for seeds in met] == [6, 2, 2], "all arms of a study train over the same seeds"
    drawn = {study["id"]: {t["fresh"] for t in made.trials(study["id"])} for study in made.all}
    assert list(drawn.values()) == [{1}, {2}, {3}] and {t["split"] for t in made.trials("confirm-1")} == {
        "confirmation"
    }


async def test_all_confirmations_of_a_run_share_five_percent(made: Made) -> None:
    await made.studies(good)
    for _ in range(4):
        begin_study(made.engine, "confirm", "c003", 2)
        await made.studies(good)
    taken = [alpha for study in made.all for alpha in study["alpha"].values()]
    assert sum(taken) < 0.05 and taken[1:] == sorted(taken[1:], reverse=True)
    assert taken[2] == pytest.approx(0.005), "by hand: half of what is left"


async def test_a_failed_training_of_a_candidate_counts_as_nought_and_is_said(made: Made) -> None:
    await made.studies(lambda t: None if t["id"] == "c001-confirm-101" else good(t))
    told = made.book.candidates["c001"]["confirmed"]
    assert told["verdict"] != "confirmed" and told["failed"] == 1
    assert "a training of it failed and counts as 0" in told["line"]
    assert made.book.candidates["c001"]["status"] == "scored"


async def test_a_failed_training_of_the_root_ends_the_study_and_says_so(made: Made) -> None:
    await made.studies(lambda t: None if t["id"] == "c000-confirm-102" else good(t))
    (study,) = made.all
    assert study["status"] == "failed" and "c000-confirm-102 failed" in study["cause"] and "diverged" in study["cause"]
    assert made.book.candidates["c001"]["confirmed"] is None
    assert {t["status"] for t in made.trials("confirm-1")} <= {"scored", "failed", "stopped"}


async def test_a_pruned_candidate_drops_out_and_the_others_are_judged(made: Made) -> None:
    steering = Steering(made.engine)

    def prunes(trial: Mapping[str, Any]) -> float:
        if made.book.candidates["c001"]["status"] != "pruned":
            asyncio.get_running_loop().create_task(steering.handle("prune", {"node": "c001"}))
        return good(trial)

    await made.studies(prunes)
    (study,) = made.all
    assert study["status"] == "done" and study["dropped"] == {"c001": "pruned"}
    assert made.book.candidates["c001"]["confirmed"] is None
    assert made.book.candidates["c002"]["confirmed"]["seeds"] == 6
    restored = await steering.handle("restore", {"node": "c001"})
    assert restored == {"restored": ["c001"]} and not made.engine.queue, "its study is over"


@pytest.mark.parametrize("seed", range(2))
async def test_an_engine_that_dies_again_and_again_comes_to_the_same_verdicts(tmp_path: Path, seed: int) -> None:
    found = []
    for name, deaths in (("whole", 0.0), ("torn", 0.15)):
        (tmp_path / name).mkdir()
        one = Made(tmp_path / name)
        begin_study(one.engine, "ablate", "c002", 2)
        await one.studies(good, random.Random(seed), deaths)
        told = {n: (c["confirmed"], c["attribution"]) for n, c in one.book.candidates.items()}
        found.append((told, sorted((t["id"], t["seed"], t["overall"]) for t in one.book.trials.values())))
    assert found[0] == found[1]


async def test_a_run_that_is_extended_confirms_who_is_new(made: Made) -> None:
    await made.studies(good)
    made.book.set_run(budget={"candidates": 4})
    made.add("c004", 45.0)
    await made.studies(good)
    assert [study["nodes"] for study in made.all] == [["c001", "c002"], ["c004"]]
    assert made.all[1]["alpha"]["c004"] == pytest.approx(0.008), "four fifths of what is left"


async def test_without_anybody_above_the_root_it_says_so_and_ends(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for node in SEARCH:
        made.book.set_status(node, "pruned")
    await made.studies(good)
    assert not made.all
    logs = [e.data["message"] for e in EventReader(made.folder.events).read() if e.kind == "log"]
    assert logs == ["nothing to confirm: no new candidate's mean is above the root's"]


async def test_a_profile_can_switch_it_off(tmp_path: Path) -> None:
    made = Made(tmp_path, **{"confirm.candidates": "0"})
    assert not pending(made.engine)
    await made.studies(good)
    assert not made.all


def test_when_no_time_is_left_it_says_which_command_confirms(made: Made) -> None:
    made.engine.stopping = "budget of 1 h used"
    assert told_unfinished(made.engine) == "no time is left to confirm the best: `poise confirm made c001` does it"


async def test_problems_are_drawn_anew_beside_the_verdict_where_outcomes_are_there(made: Made) -> None:
    begin_study(made.engine, "confirm", "c001", 2)
    begin_study(made.engine, "confirm", "c003", 2)

    def loses(trial: Mapping[str, Any]) -> float:
        made.folder.trial("c003-confirm-200").scores.unlink(missing_ok=True)
        return good(trial)

    await made.studies(loses, random.Random(1))
    found = made.book.candidates["c001"]["confirmed"]["bootstrap"]
    assert 50 <= found["low"] < found["high"] <= 75, "all right against a quarter and a half"
    lost = made.book.candidates["c003"]["confirmed"]
    assert lost["bootstrap"] is None and lost["verdict"], "it decides nothing"


async def test_what_each_mechanism_pays_is_told_apart(made: Made) -> None:
    pays = {"A": 6.0, "B": 0.0, "C": -4.0}

    def additive(trial: Mapping[str, Any]) -> float:
        on = () if trial["candidate"] == root_id() else [m for m in MECHANISMS if m not in trial["off"]]
        return 40.0 + sum(pays[m] for m in on) + noise(trial) / 10

    made.book.set_run(confirmed_after=len(SEARCH))
    begin_study(made.engine, "ablate", "c001", None)
    await made.studies(additive)
    found = made.book.candidates["c001"]["attribution"]
    for one in found["mechanisms"]:
        assert one["shapley"]["value"] == pytest.approx(pays[one["name"]], abs=0.3)
        assert one["off"]["effect"] == pytest.approx(pays[one["name"]], abs=0.5)
        assert set(one["benchmarks"]) == set(TASKS)
    told = {one["name"]: one["verdict"] for one in found["mechanisms"]}
    assert told["A"] == "pays" and told["C"] == "harmful" and told["B"] in ("inert", "can't tell")
    assert [s["n"] for s in found["subsets"]] == [4] * 8
    assert "A pays" in found["line"] and "C harmful" in found["line"]


@pytest.mark.parametrize(
    ("node", "change", "says"),
    [
        ("c000", {}, "is the root"),
        ("c001", {"status": "pruned"}, "is pruned"),
        ("c001", {"verification": {"passed": False}}, "has not passed verification"),
        ("c001", {"overall": None}, "was never scored"),
    ],
)
@pytest.mark.parametrize("kind", ["confirm", "ablate"])
async def test_what_cannot_be_studied_is_refused(
    made: Made, kind: str, node: str, change: dict[str, Any], says: str
) -> None:
    made.book.candidates[node].update(change)
    with pytest.raises(PoiseError, match=says) as refused:
        await Steering(made.engine).handle(kind, {"node": node})
    assert refused.value.code is Exit.REFUSED and not made.all


async def test_asking_twice_for_a_study_that_is_under_way_begins_one(made: Made) -> None:
    steering = Steering(made.engine)
    first = await steering.handle("confirm", {"node": "c001", "seeds": 3})
    assert first == {"study": "confirm-1", "trainings": 6}
    assert await steering.handle("confirm", {"node": "c001"}) == first and len(made.all) == 1
    with pytest.raises(PoiseError, match="no candidate 'c999'") as unknown:
        await steering.handle("confirm", {"node": "c999"})
    assert unknown.value.code is Exit.NOT_FOUND
    with pytest.raises(PoiseError, match="seeds") as wrong:
        await steering.handle("confirm", {"node": "c001", "seeds": 51})
    assert wrong.value.code is Exit.USAGE


def test_a_user_cannot_pause_a_study_by_its_candidate(made: Made) -> None:
    """Its candidate has its result; to pause it would hide that."""
    begin_study(made.engine, "confirm", candidate_id(1), 2)
    made.engine.enqueue(made.engine.new_trial("c001", "confirm", 999, study="confirm-1"))
    with pytest.raises(PoiseError, match="c001 is scored"):
        asyncio.run(Steering(made.engine).handle("pause", {"node": "c001"}))


# -- real trainings


@dataclass(frozen=True)
class Studied:
    """A run whose best was confirmed at the end of the search, and two commands after that."""

    run: Finished
    candidates: dict[str, Any]
    trials: dict[str, Any]
    document: dict[str, Any]
    confirm: subprocess.CompletedProcess[str]
    ablate: subprocess.CompletedProcess[str]


SHORT = {"updates": "2", "problems": "4", "samples": "4", "search.rungs.finalists": "0", "confirm.looks": "[]"}


@pytest.fixture(scope="module")
def studied(shared_world: World) -> Studied:
    short = str(profile(shared_world.path, "short", **SHORT, **{"confirm.candidates": "1", "confirm.seeds": "2"}))
    arguments = ("--profile", short, "--name", "studied", "--workers", "2", "--candidates", "2", "--seed", "1")
    done = shared_world.poise("run", *arguments, "--headless")
    assert done.returncode == 0, done.stdout + done.stderr
    run = Finished(shared_world, shared_world.folder("studied"), done.stdout, shared_world.export("studied"))
    confirm = shared_world.poise("confirm", "studied", "c002", "--seeds", "2", "--yes")
    ablate = shared_world.poise("ablate", "studied", "c002", "--seeds", "2", "--yes")
    archive = read_archive(run.folder.archive)
    candidates, trials = ({d["id"]: d for d in table} for table in (archive.candidates(), archive.trials()))
    return Studied(run, candidates, trials, archive.run(), confirm, ablate)


def test_the_end_of_a_search_confirms_its_best_for_real(studied: Studied) -> None:
    study = studied.document["studies"][0]
    assert study["by"] == "end of the search" and study["status"] == "done" and len(study["nodes"]) == 1
    (last,) = study["judged"][study["nodes"][0]]
    assert last["verdict"] in ("confirmed", "not confirmed") or last["verdict"].startswith("needs")
    assert last["low"] <= last["gain"] <= last["high"]


def test_trainings_of_a_study_are_scored_on_other_problems_with_every_study(studied: Studied) -> None:
    drawn: dict[str, set[int]] = {}
    for trial in (t for t in studied.trials.values() if t.get("study")):
        job = json.loads((studied.run.folder.trial(trial["id"]).path / "score" / "job.json").read_text())
        assert trial["status"] == "scored" and job["split"] == "confirmation"
        drawn.setdefault(trial["study"], set()).add(job["score_seed"])
    assert len(drawn) == 3 and all(len(seeds) == 1 for seeds in drawn.values()), "the same ones for all its arms"
    assert len(set.union(*drawn.values())) == 3


def test_a_command_confirms_in_a_run_that_has_ended_and_leaves_it_as_it_was(studied: Studied) -> None:
    assert studied.confirm.returncode == 0, studied.confirm.stderr
    assert "2 arms of 2 seeds" in studied.confirm.stdout and "look 1 of 1: c002" in studied.confirm.stdout
    told = studied.candidates["c002"]["confirmed"]
    assert told["study"] == "confirm-2" and told["bootstrap"]["low"] <= told["bootstrap"]["high"]
    assert studied.document["status"] == "finished" and len(studied.candidates) == 3
    assert studied.run.folder.engine() is None


def test_a_command_tells_what_each_mechanism_pays(studied: Studied) -> None:
    assert studied.ablate.returncode == 0, studied.ablate.stderr
    found = studied.candidates["c002"]["attribution"]
    names = [one["name"] for one in found["mechanisms"]]
    assert names == [m["name"] for m in studied.candidates["c002"]["proposal"]["mechanisms"]]
    assert all(name in studied.ablate.stdout for name in names)
    assert len(found["subsets"]) == 2 ** len(names) and {s["n"] for s in found["subsets"]} == {2}
    off = {tuple(t["off"]) for t in studied.trials.values() if t.get("study") == "ablate-1"}
    assert {(), *((name,) for name in names)} <= off or len(names) == 1


def test_all_that_is_attempted_in_a_run_shares_five_percent(studied: Studied) -> None:
    taken = [alpha for study in studied.document["studies"] for alpha in study["alpha"].values()]
    assert taken == [pytest.approx(0.04), pytest.approx(0.005)]


@pytest.mark.slow
def test_a_study_whose_engine_is_killed_goes_on_by_the_same_command(studied: Studied) -> None:
    """Kill -9 between its trainings and inside of one, with the client told so; nothing is scored twice.

    Ctrl-C ends the client alone.
    """
    world, folder = studied.run.world, studied.run.folder
    events = Events(folder)
    before = events.update()[-1].seq

    def confirm() -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "poise_tui", "confirm", "studied", "c001", "--seeds", "3", "--yes"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=world.environment, cwd=world.path, text=True, **pipes)

    for status in ("scored", "training"):
        client = confirm()
        events.wait("trial.updated", after=before, status=status)
        engine_process(folder).kill()
        _, said = client.communicate(timeout=60)
        assert client.returncode == 1 and "the same command goes on with it" in said
        before = events.update()[-1].seq
    client = confirm()
    events.wait("trial.updated", after=before, status="training")
    engine = engine_process(folder)
    engine.suspend()  # or the study could be over before the client hears of the key
    client.send_signal(signal.SIGINT)
    heard, _ = client.communicate(timeout=60)
    engine.resume()
    assert client.returncode == 1
    assert "is not over: going on with it" in heard and "goes on without us" in heard
    events.wait("run.status", after=before, status="finished")
    archive = read_archive(studied.run.folder.archive)
    assert archive.run()["status"] == "finished" and archive.run()["studies"][-1]["status"] == "done"
    own = [t["id"] for t in archive.trials() if t.get("study") == archive.run()["studies"][-1]["id"]]
    told = [e.data for e in events.update() if e.kind == "trial.updated"]
    ended = Counter(data["trial"] for data in told if data.get("status") == "scored")
    assert len(own) == 6 and all(ended[trial] == 1 for trial in own)


@pytest.mark.slow
def test_a_run_goes_on_searching_while_a_candidate_is_confirmed(world: World) -> None:
    """And one that was stopped does not go on with its search for a study."""
    short = str(profile(world.path, "short", **SHORT))
    client = world.start("--profile", short, "--name", "r", "--workers", "2", "--candidates", "30", "--seed", "1")
    events = Events(world.folder("r"))
    events.wait("candidate.status", node="c001", status="scored")
    live = world.poise("confirm", "r", "c001", "--seeds", "2", "--yes")
    assert live.returncode == 0, live.stderr
    assert world.poise("stop", "r").returncode == 0
    assert client.wait(60) == 0
    archive = read_archive(world.folder("r").archive)
    assert archive.candidate("c001")["confirmed"]["study"] == "confirm-1"
    begun = len(archive.candidates())
    assert 2 < begun < 31, "it was stopped in the middle"
    after = events.update()[-1].seq
    studied = world.poise("ablate", "r", "c001", "--seeds", "2", "--yes")
    assert studied.returncode == 0, studied.stderr
    archive = read_archive(world.folder("r").archive)
    assert archive.run()["status"] == "stopped" and len(archive.candidates()) == begun
    told = [e.data for e in events.update() if e.seq > after and e.kind == "trial.updated"]
    started = {data["trial"] for data in told if data.get("status") == "training"}
    assert started and all("-ablate-" in trial for trial in started)
