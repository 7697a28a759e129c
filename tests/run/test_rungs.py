"""A real discovery with rungs: who stops, who goes on, from where, and what later runs need not train again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from tests.run.conftest import Finished
from tests.run.world import Events, World, engine_process, profile, wait_for

RUNGS = {"search.rungs.at": "[0.25, 0.5]", "search.rungs.seeds": "[1, 2, 1]", "search.rungs.problems": "4"}
RUNGS |= {"search.rungs.samples": "4", "baseline_seeds": "2", "lag": "2"}


@pytest.fixture(scope="module")
def rungs(shared_world: World) -> Finished:
    """Six candidates, judged after 2 and 4 of 8 updates."""
    quick = str(profile(shared_world.path, "rungs", **RUNGS))
    arguments = ("--profile", quick, "--name", "rungs", "--workers", "2", "--candidates", "6", "--seed", "1")
    done = shared_world.poise("run", *arguments, "--headless")
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished(shared_world, shared_world.folder("rungs"), done.stdout, shared_world.export("rungs"))


@pytest.fixture(scope="module")
def documents(rungs: Finished) -> tuple[dict[str, Any], dict[str, Any]]:
    """Candidates and trials by id."""
    archive = read_archive(rungs.folder.archive)
    return {c["id"]: c for c in archive.candidates()}, {t["id"]: t for t in archive.trials()}


def updates(rungs: Finished, trial: str) -> list[int]:
    lines = rungs.folder.trial(trial).metrics.read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_nothing_is_trained_twice(rungs: Finished, documents: Any) -> None:
    for trial in documents[1].values():
        if trial["rungs"]:
            assert updates(rungs, trial["id"]) == list(range(1, trial["rungs"][-1]["updates"] + 1))


def test_a_training_that_passed_rungs_is_bit_for_bit_one_in_a_single_go(rungs: Finished, finished: Finished) -> None:
    """The same root, seed and profile but for the rungs."""
    ways = [
        next(t for t in read_archive(run.folder.archive).trials() if t["id"] == "c000-search-0")
        for run in (rungs, finished)
    ]
    assert len(ways[0]["rungs"]) == 3 and len(ways[1]["rungs"]) == 1
    assert ways[0]["adapter_sha256"] == ways[1]["adapter_sha256"]
    assert ways[0]["overall"] == ways[1]["overall"]


def test_somebody_stops_and_says_where_and_why_and_keeps_its_score_there(documents: Any) -> None:
    stopped = [c for c in documents[0].values() if c["status"] == "stopped"]
    assert stopped
    for c in stopped:
        assert "of 8 updates is rank" in c["cause"]
        assert c["fidelity"] in (0.25, 0.5) and c["overall"] is not None
        assert c["reflection"], "it teaches something all the same"
        assert len(c["rungs"][-1]["seeds"]) == (2 if c["fidelity"] == 0.5 else 1)


def test_gains_are_over_the_root_at_the_same_rung(documents: Any) -> None:
    candidates, trials = documents
    root = [t for t in trials.values() if t["candidate"] == "c000"]
    for c in candidates.values():
        if c["id"] == "c000" or c["gain"] is None:
            continue
        level = [r["overall"] for t in root for r in t["rungs"] if r["rung"] == c["gain"]["rung"]]
        mine = c["rungs"][-1]["overalls"]
        assert c["gain"]["root_seeds"] == len(level) == 2
        assert c["gain"]["value"] == pytest.approx(sum(mine) / len(mine) - sum(level) / 2)


def test_rungs_are_scored_on_problems_of_their_own_common_to_all(rungs: Finished, documents: Any) -> None:
    jobs = Counter()
    for trial in documents[1]:
        job = json.loads((rungs.folder.trial(trial).path / "score" / "job.json").read_text())
        jobs[job["profile"]["score"]["problems"], job["score_seed"]] += 1
    assert len(jobs) <= 3


def test_a_later_run_of_the_same_seed_takes_over_the_noise_of_the_root(rungs: Finished) -> None:
    world, before = rungs.world, read_archive(rungs.folder.archive)
    quick = str(world.path / "rungs.toml")
    done = world.poise("run", "--profile", quick, "--name", "again", "--candidates", "1", "--seed", "1", "--headless")
    assert done.returncode == 0, done.stderr
    after = {t["id"]: t for t in read_archive(world.folder("again").archive).trials()}
    trained = {t["id"]: t for t in before.trials()}
    assert after["c000-baseline-1"]["cached"] and not after["c000-search-0"].get("cached")
    assert after["c000-baseline-1"]["rungs"] == trained["c000-baseline-1"]["rungs"]
    assert after["c000-search-0"]["adapter_sha256"] == trained["c000-search-0"]["adapter_sha256"]
    assert after["c000-baseline-1"]["cost"]["train_seconds"] == 0


@pytest.mark.slow
def test_a_stopped_candidate_goes_on_from_its_checkpoint_when_its_user_promotes_it(
    rungs: Finished, tmp_path: Path
) -> None:
    world = World(tmp_path)
    quick = str(profile(world.path, "rungs", **RUNGS))
    world.start("--profile", quick, "--name", "r", "--workers", "1", "--candidates", "60", "--seed", "1")
    folder = world.folder("r")
    wait_for(folder.engine, "an engine holds the lock")
    events = Events(folder)
    stopped = events.wait("candidate.status", status="stopped").node
    assert stopped is not None
    before = read_archive(folder.archive).trials()
    trained = {t["id"]: t["rungs"][-1]["updates"] for t in before if t["candidate"] == stopped}
    told = world.poise("promote", "r", stopped)
    assert told.returncode == 0, told.stderr
    assert world.poise("promote", "r", stopped).returncode == 4, "it is not stopped any more"
    events.wait("candidate.status", stopped, status="training")
    wait_for(lambda: _further(folder, stopped, trained), "it has a score at its next rung")
    engine_process(folder).kill()
    trial = next(t for t in read_archive(folder.archive).trials() if t["candidate"] == stopped)
    steps = [json.loads(line)["step"] for line in folder.trial(trial["id"]).metrics.read_text().splitlines()]
    assert steps == sorted(set(steps)), "nothing is trained twice"


def _further(folder: RunFolder, node: str, trained: dict[str, int]) -> bool:
    trials = [t for t in read_archive(folder.archive).trials() if t["candidate"] == node and t["rungs"]]
    return any(t["rungs"][-1]["updates"] > trained.get(t["id"], 0) for t in trials)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_promotions_with_another_number_of_workers(
    rungs: Finished, tmp_path: Path
) -> None:
    world = World(tmp_path)
    quick = str(profile(world.path, "rungs", **RUNGS))
    done = world.poise(
        "run", "--profile", quick, "--name", "one", "--workers", "1", "--candidates", "6", "--seed", "1", "--headless"
    )
    assert done.returncode == 0, done.stderr
    two, one = (read_archive(w.folder(n).archive).candidates() for w, n in ((rungs.world, "rungs"), (world, "one")))
    keys = ("id", "name", "parent", "status", "promotions", "rungs")
    assert [{k: c[k] for k in keys} for c in one] == [{k: c[k] for k in keys} for c in two]
