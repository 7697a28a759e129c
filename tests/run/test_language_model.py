"""A language model takes the same path as the keyless proposer: real HTTP, real files, no trace of the key."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.loop.seeds import decision_seed
from tests.run.world import World, profile
from tests.search.model_server import ModelServer, Reply, serving

CODE = '''"""A gentler clip."""

from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch


class GentleSurrogate(Mechanism):
    """Half of PPO's clipped surrogate, half of the unclipped one."""

    share: float = 0.5

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return self.share * inner(ratio) - (1 - self.share) * ratio * m.advantages


algorithm = Algorithm(name="Gentle-GRPO", mechanisms=(GentleSurrogate(share=0.25),))
'''
INERT = CODE.replace("self.share * inner(ratio) - (1 - self.share) * ratio * m.advantages", "inner(ratio)")
GOOD = json.dumps({"name": "Gentle-GRPO", "hypothesis": "Clipped tokens keep some gradient.", "code": CODE})
IDLE = json.dumps({"name": "Gentle-GRPO", "hypothesis": "Clipped tokens keep some gradient.", "code": INERT})
REFLECTION = json.dumps({"verdict": "It held.", "reading": "The clip was rarely active.", "suggestion": "Leave it."})
READINGS = json.dumps({"readings": []})
CONSISTENT = json.dumps({"consistent": True, "mismatches": []})
KEY = "sk-canary-4f1c9e"
SEED = 1


def by_question(request: dict[str, Any]) -> Reply:
    """c001's proposals are inert until they are sent back; c002's are garbage; the rest is answered well.

    A round's calls come in any order, so what is asked decides, and whose it is by its seed.
    """
    first, last = (request["messages"][i]["content"] for i in (0, -1))
    if request["model"] == "dead":
        return 401, "Incorrect API key provided"
    if "You analyse one training" in first:
        return REFLECTION
    if "readings" in last:
        return READINGS
    if "mismatches" in last:
        return CONSISTENT
    if request["seed"] == decision_seed(SEED, 2):
        return "no JSON at all"
    return GOOD if last.startswith("That answer cannot be used") else IDLE


async def discover(
    world: World, server: ModelServer, *options: str, llm: str = "openai/test", name: str = "r"
) -> subprocess.CompletedProcess[str]:
    """A run of two candidates against the server."""
    return await headless(world, {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": server.url}, llm, name, *options)


async def headless(
    world: World, environment: dict[str, str], llm: str, name: str, *options: str
) -> subprocess.CompletedProcess[str]:
    quick = profile(world.path, baseline_seeds="1", lag="1")
    command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--profile", str(quick), "--name", name]
    command += ["--candidates", "2", "--workers", "1", "--llm", llm, *(options or ("--seed", str(SEED)))]
    whole = {**world.environment, **environment}
    return await asyncio.to_thread(
        subprocess.run, command, env=whole, cwd=world.path, capture_output=True, text=True, timeout=280
    )


def comparable(world: World, name: str) -> list[dict[str, Any]]:
    """A run's candidates without clocks."""
    keys = ("id", "name", "parent", "status", "cause", "proposal", "overall", "benchmarks", "reflection", "provenance")
    candidates = world.export(name)["candidates"]
    return [{**{k: c[k] for k in keys}, "usd": c["cost"]["llm_usd"]} for c in candidates]


async def test_a_model_proposes_whole_files_is_repaired_within_bounds_and_its_failures_are_on_record(
    world: World,
) -> None:
    async with serving(reply_to=by_question) as server:
        done = await discover(world, server)
    assert done.returncode == 0, done.stdout + done.stderr
    root, gentle, failed = world.export("r")["candidates"]
    assert gentle["name"] == "Gentle-GRPO" and gentle["status"] == "scored", gentle["cause"]
    assert gentle["provenance"] == {"proposer": "llm", "model": "openai/test"}
    assert gentle["proposal"]["mechanisms"] == [{"name": "GentleSurrogate", "params": {"share": 0.25}}]
    assert gentle["cost"]["llm_usd"] > 0
    assert "It held." in gentle["reflection"] and "It held." in root["reflection"]
    assert failed["status"] == "failed" and "none usable" in failed["cause"]
    assert failed["reflection"]
    assert (world.folder("r").candidate("c001").algorithm).read_text() == CODE
    calls = [json.loads(line) for line in world.folder("r").llm.read_text().splitlines()]
    assert len(calls) == len(server.requests)
    assert sum(c["usd"] for c in calls) == pytest.approx(world.export("r")["run"]["spent"]["llm_usd"])
    assert not [p for p in files(world.path / "runs") if KEY.encode() in p.read_bytes()], "the key is nowhere"


async def test_a_refused_key_stops_the_run_with_the_reason_and_records_no_failed_nodes(world: World) -> None:
    async with serving((401, "Incorrect API key provided")) as server:
        done = await discover(world, server)
    assert "run stopped" in done.stdout and "test" in done.stdout.splitlines()[-1]
    assert [c["id"] for c in world.export("r")["candidates"]] == ["c000"]


@pytest.mark.slow
async def test_a_recorded_run_is_repeated_without_network_or_key_exactly_or_not_at_all(world: World) -> None:
    async with serving(reply_to=by_question) as server:
        done = await discover(world, server)
    assert done.returncode == 0, done.stdout + done.stderr
    nowhere = {"OPENAI_API_KEY": "", "OPENAI_API_BASE": "http://127.0.0.1:9/v1"}
    again = await headless(world, nowhere, f"record:{world.folder('r').path}", "again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert comparable(world, "again") == comparable(world, "r")
    other = await headless(world, nowhere, "record:runs/r", "other", "--seed", "2")
    last = other.stdout.splitlines()[-1]
    assert "run stopped" in last and "has no answer to the" in last and "another --seed" in last


@pytest.mark.slow
async def test_of_several_models_a_dead_one_does_not_end_the_run(world: World) -> None:
    async with serving(reply_to=by_question) as server:
        done = await discover(world, server, llm="openai/dead,openai/test")
    assert done.returncode == 0, done.stdout + done.stderr
    made = {c["provenance"]["model"]: c["status"] for c in world.export("r")["candidates"][1:]}
    assert set(made) == {"openai/dead", "openai/test"} and made["openai/dead"] == "failed"


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]
