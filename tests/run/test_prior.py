"""A run that starts from an earlier one has its candidates as evidence, on its own scale; only where that fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from engine.errors import Exit, PoiseError
from engine.loop.config import read_config
from engine.loop.prior import check_earlier, on_this_root, read_earlier
from tests.archive.test_formats import old
from tests.run.world import Events, World, profile

__all__ = ["old"]


def allowed(folder: RunFolder, seed: int | None = None, **changes: Any) -> int:
    config = read_config(folder)
    profile = {**config.profile, "search": {**config.profile["search"], **changes.pop("search", {})}}
    asked = {"protocol": read_archive(folder.archive).run()["protocol"], "root": [], **changes}
    earlier = read_earlier(folder, {"profile": config.profile})
    return check_earlier(earlier, config.profile, profile, asked["protocol"], asked["root"], seed)


def test_the_seed_is_one_that_the_earlier_run_has_not_used(old: RunFolder) -> None:
    assert allowed(old) == 4
    assert allowed(old, seed=11) == 11
    with pytest.raises(PoiseError, match=r"seed 3 was used there, .* give another --seed, such as 4"):
        allowed(old, seed=3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"protocol": "other"}, "its scores are of protocol bedeaeaa38f39d9b, this run's of other"),
        ({"search": {"rungs": {"at": [0.5]}}}, "it has other rungs"),
        ({"root": [{"name": "NoStd", "params": {}}]}, "its root is GRPO: give --root "),
    ],
)
def test_a_run_whose_scores_mean_something_else_is_refused(old: RunFolder, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PoiseError, match=f"--from old: {says}") as refused:
        allowed(old, **changes)
    assert refused.value.code is Exit.REFUSED


def test_what_was_measured_there_counts_as_a_gain_over_the_root_there() -> None:
    def result(overall: float, task: float) -> dict[str, Any]:
        return {"rung": 1.0, "overall": overall, "benchmarks": {"add": {"value": task, "ci": [task - 5, task + 5]}}}

    document = {"prior": {"root": [result(20.0, 50.0)]}, "result": {"rungs": [result(24.0, 40.0)]}}
    (moved,) = on_this_root(document, {1.0: result(30.0, 92.0)})
    assert moved == result(34.0, 82.0)
    assert on_this_root(document, {0.5: result(30.0, 92.0)}) == [], "before the root is scored there it says nothing"
    (full,) = on_this_root(document, {1.0: result(99.0, 100.0)})
    assert full["overall"] == 100.0
    assert full["benchmarks"]["add"] == {"value": 90.0, "ci": [85.0, 95.0]}


@pytest.mark.slow
def test_a_new_run_goes_on_from_an_old_archive(world: World) -> None:
    quick = str(profile(world.path))
    first = world.poise("run", "--headless", "--profile", quick, "--name", "one", "--seed", "1", "--candidates", "3")
    assert first.returncode == 0, first.stderr
    options = ("run", "--headless", "--profile", quick, "--from", "one", "--candidates", "3")
    same = world.poise(*options, "--name", "same", "--seed", "1")
    assert (same.returncode, same.stderr.count("\n")) == (Exit.REFUSED, 1)
    assert not world.folder("same").path.exists()
    second = world.poise(*options, "--name", "two")
    assert second.returncode == 0, second.stdout + second.stderr

    before, after = world.export("one"), world.export("two")
    assert after["run"]["seed"] == 2
    earlier = {c["name"]: c for c in before["candidates"] if c["parent"] and c["status"] in ("scored", "infeasible")}
    taken = {c["name"]: c for c in after["candidates"] if c["id"].startswith("u")}
    assert taken.keys() == earlier.keys()
    for name, c in taken.items():
        assert (c["overall"], c["code_sha256"]) == (earlier[name]["overall"], earlier[name]["code_sha256"])
        assert c["provenance"]["proposer"] == "run one"
        assert c["cost"]["train_seconds"] == 0
    assert not any(t["candidate"].startswith("u") for t in after["trials"]), "nothing is trained again"
    decisions = [e for e in Events(world.folder("two")).update() if e.kind == "decision"]
    assert {c["id"] for c in taken.values()} <= set(decisions[-1].data["saw"])
    names = [c["name"] for c in after["candidates"]]
    assert len(set(names)) == len(names), "what was tried there is not proposed again"
    prompts = [json.loads(line) for line in world.folder("two").llm.read_text().splitlines()]
    assert prompts

    third = world.poise(
        "run", "--headless", "--profile", quick, "--from", "two", "--name", "three", "--candidates", "1"
    )
    assert third.returncode == 0, third.stderr
    assert world.export("three")["run"]["seed"] == 3
    wrong = world.poise("confirm", "two", "u001", "--seeds", "2", "--yes")
    assert wrong.returncode == 0, wrong.stderr
