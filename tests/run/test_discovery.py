"""A discovery from the first decision to the last, with nothing mocked."""

from __future__ import annotations

import ast
import json
import tomllib

import pytest

from engine.archive.events import EventReader
from engine.archive.store import read_archive
from tests.run.conftest import Finished, finish
from tests.run.world import World

TASKS = {"add", "sort", "mod", "chain", "mul", "hop"}


def test_every_candidate_has_scores_cost_and_a_reflection(finished: Finished) -> None:
    export = finished.export
    assert export["run"]["status"] == "finished"
    assert [c["id"] for c in export["candidates"]] == [f"c{i:03d}" for i in range(5)]
    root, *children = export["candidates"]
    assert root["parent"] is None and root["depth"] == 0
    for c in export["candidates"]:
        assert c["status"] == "scored" or c["cause"]
        assert c["reflection"]
    for c in children:
        assert c["parent"] in {x["id"] for x in export["candidates"]} and c["depth"] >= 1
        assert c["proposal"]["hypothesis"] and c["proposal"]["mechanisms"]
        assert c["verification"]["passed"]
    for c in (x for x in export["candidates"] if x["status"] == "scored"):
        assert set(c["benchmarks"]) == TASKS
        assert 0 <= c["overall"] <= 100 and c["cost"]["train_seconds"] > 0


def test_the_root_is_trained_over_several_seeds(finished: Finished) -> None:
    baseline = finished.export["baseline"]
    assert baseline["id"] == "c000" and len(baseline["seeds"]) == 2
    purposes = [t["purpose"] for t in finished.export["trials"] if t["candidate"] == "c000"]
    assert sorted(purposes) == ["baseline", "search"]


def test_overall_is_the_papers_weighted_mean_of_the_tasks(finished: Finished) -> None:
    for trial in finished.export["trials"]:
        by_task = {k: b["value"] for k, b in trial["benchmarks"].items()}
        wanted = sum((0.2 if task in ("mul", "hop") else 0.15) * v for task, v in by_task.items())
        assert abs(trial["overall"] - wanted) < 1e-9


def test_all_scores_of_a_run_carry_one_protocol(finished: Finished) -> None:
    assert len({t["protocol"] for t in finished.export["trials"]}) == 1


def test_candidates_differ_in_behaviour(finished: Finished) -> None:
    prints = [c["verification"]["fingerprint"] for c in finished.export["candidates"][1:] if c["status"] == "scored"]
    assert len(set(prints)) == len(prints)


def test_events_are_numbered_without_gaps_and_rebuild_the_archive(finished: Finished) -> None:
    events = EventReader(finished.folder.events).read()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    folded: dict[str, dict[str, object]] = {}
    for e in events:
        if e.kind == "candidate.created":
            folded[str(e.node)] = dict(e.data)
        elif e.kind in ("candidate.status", "candidate.updated"):
            folded[str(e.node)].update(e.data)
    assert folded == {c["id"]: c for c in read_archive(finished.folder.archive).candidates()}


def test_every_update_of_every_training_is_on_record(finished: Finished) -> None:
    steps: dict[str, list[int]] = {}
    for e in EventReader(finished.folder.events).read():
        if e.kind == "trial.metrics":
            steps.setdefault(e.data["trial"], []).extend(p["step"] for p in e.data["points"])
    for trial in finished.export["trials"]:
        assert steps[trial["id"]] == list(range(1, 9))


def test_samples_show_whole_groups_with_parts_and_advantages(finished: Finished) -> None:
    rows = [json.loads(x) for x in finished.folder.trial("c000-search-0").samples.read_text().splitlines()]
    assert len(rows) % 4 == 0 and len({r["step"] for r in rows}) > 1
    first = rows[:4]
    assert len({r["problem"] for r in first}) == 1
    assert set(first[0]["parts"]) == {"correct", "format", "brevity"}
    assert abs(sum(r["advantage"] for r in first)) < 1e-3


def test_a_training_that_was_scored_to_its_end_keeps_its_adapter_and_no_checkpoint(finished: Finished) -> None:
    whole = [t["id"] for t in finished.export["trials"] if t["status"] == "scored" and not t.get("cached")]
    assert whole
    for trial in map(finished.folder.trial, whole):
        assert (trial.adapter / "adapter_model.safetensors").is_file()
        assert not list(trial.checkpoints.glob("checkpoint-*"))


def test_gold_is_nowhere_in_what_a_trainer_can_read(finished: Finished) -> None:
    job = finished.folder.trial("c001-search-0").job.read_text()
    assert "gold" not in job and "answer" not in job


def test_run_toml_is_all_that_a_repetition_needs(finished: Finished) -> None:
    config = tomllib.loads(finished.folder.config.read_text())
    assert config["seed"] == 1 and config["lag"] == 4 and config["profile"]["train"]["updates"] == 8


def test_an_algorithm_file_imports_only_what_the_contract_allows(finished: Finished) -> None:
    for c in finished.export["candidates"]:
        tree = ast.parse(finished.folder.candidate(c["id"]).algorithm.read_text())
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        assert modules <= {"torch", "math", "typing", "dataclasses", "engine.contract", "__future__"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_lineage_and_scores_with_one_worker(
    finished: Finished, shared_world: World
) -> None:
    again = finish(shared_world, "again", workers=1, candidates=4)
    keys = ("id", "name", "parent", "depth", "status", "proposal", "code_sha256", "benchmarks", "reflection")
    for one, other in zip(finished.export["candidates"], again.export["candidates"], strict=True):
        assert {k: one[k] for k in keys} == {k: other[k] for k in keys}
    assert finished.export["baseline"]["overall_mean"] == again.export["baseline"]["overall_mean"]


def test_headless_prints_a_line_for_what_matters(finished: Finished) -> None:
    lines = finished.output.splitlines()
    assert any("c001" in line and "from c000" in line for line in lines)
    assert any("scored" in line for line in lines)
    assert "finished" in lines[-1]
