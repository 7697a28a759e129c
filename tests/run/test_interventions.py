"""What a user puts into a running search: each is acknowledged, recorded, and seen by the decisions that follow."""

from __future__ import annotations

import json
from typing import Any

from engine.algorithms.render import render
from tests.run.world import Events, World, profile
from tests.search.samples import choice


def test_directive_weights_ideas_and_algorithms_reach_a_running_search_and_the_control_arm_stays_apart(
    world: World,
) -> None:
    mine = world.path / "mine.py"
    mine.write_text(render("Mine-GRPO", "dividing by no deviation helps.", [choice("NoStd")]))
    arguments = ["--profile", str(profile(world.path)), "--name", "r", "--seed", "3", "--candidates", "7"]
    client = world.start(*arguments, "--control", "random=2")
    folder = world.folder("r")
    events = Events(folder)
    events.wait("run.created")
    directed = world.poise("direct", "r", "shorter answers, no KlScale")
    weighed = world.poise("weights", "r", "performance=0.9", "bayes=0")
    suggested = world.poise("inject", "r", "--idea", "try a floor under the deviation")
    injected = world.poise("inject", "r", str(mine))
    again = world.poise("inject", "r", str(mine))
    wrong = world.poise("weights", "r", "beauty=1")
    assert [p.returncode for p in (directed, weighed, suggested, injected, again, wrong)] == [0, 0, 0, 0, 2, 2]
    assert "u001" in injected.stdout
    assert "another name" in again.stderr
    assert "performance, diversity, pareto, bayes" in wrong.stderr
    assert client.wait(400) == 0, (world.path / "headless.log").read_text()

    told = [e.data["command"] for e in events.update() if e.kind == "steering"]
    assert told == ["direct", "weights", "inject", "inject"]
    exported = world.export("r")
    by_id: dict[str, Any] = {c["id"]: c for c in exported["candidates"]}
    assert {"r001", "r002", "u001"} < set(by_id)
    assert (by_id["u001"]["status"], by_id["u001"]["parent"]) == ("scored", "c000")
    assert all(by_id[r]["parent"] == "c000" and by_id[r]["status"] == "scored" for r in ("r001", "r002"))
    trials = {t["id"]: t for t in exported["trials"]}
    assert trials["r001-control-0"]["purpose"] == "control"
    assert trials["r001-control-0"]["seed"] == trials["c001-search-0"]["seed"], "the same prompts as the search"

    last = [e for e in events.update() if e.kind == "decision"][-1]
    assert not {"r001", "r002"} & set(last.data["saw"]), "the control arm is never seen"
    prompts = [json.loads(line) for line in folder.llm.read_text().splitlines()]
    late = [p["messages"][1]["content"] for p in prompts if p["purpose"] == "propose"]
    assert any("shorter answers, no KlScale" in text and "try a floor under the deviation" in text for text in late)
    assert "r001" not in folder.knowledge.read_text()
    assert "NoStd" in folder.knowledge.read_text(), "what was injected teaches too"
