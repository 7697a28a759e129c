"""The shipped profile at full length: minutes, so `make test-slow`."""

from __future__ import annotations

import pytest

from engine.profiles.schema import FOLDER
from tests.run.world import World

pytestmark = pytest.mark.slow


def test_sixteen_candidates_have_the_same_lineage_and_scores_with_one_and_two_workers(world: World) -> None:
    exports = []
    tiny = (FOLDER / "tiny.toml").read_text()
    before, confirm = tiny.split("[confirm]")
    unconfirmed = world.path / "unconfirmed.toml"  # fresh trainings of the best three would take half of the time
    unconfirmed.write_text(f"{before}[confirm]{confirm.replace('candidates = 3', 'candidates = 0', 1)}")
    for name, workers in (("one", "1"), ("two", "2")):
        arguments = ("--profile", str(unconfirmed), "--candidates", "16", "--seed", "1", "--workers", workers)
        done = world.poise("run", "--headless", "--name", name, *arguments, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
        exports.append(world.export(name))
    keys = ("id", "name", "parent", "depth", "status", "proposal", "code_sha256", "overall", "benchmarks", "reflection")
    one, two = ([{k: c[k] for k in keys} for c in e["candidates"]] for e in exports)
    assert one == two
    assert len(one) == 17
    for c in exports[0]["candidates"]:
        assert (c["status"] == "scored" and len(c["benchmarks"]) == 6) or c["cause"]
        assert c["reflection"] and set(c["cost"]) == {"train_seconds", "gpu_seconds", "llm_usd"}
