"""Candidates that ask for more memory than there is, or flood what they can write: the run goes on with the next."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from tests.run.world import World, profile
from tests.search.model_server import serving

REFLECTION = json.dumps({"verdict": "It held.", "reading": "As it was.", "suggestion": "Go on."})
UPDATES = 4
MEMORY_MB = 1024
FILE_MB = 32
FLOOD_MB = 24
"""Of metrics; a log is flooded until nothing more goes in."""

CODE = '''"""{name}."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch

VERIFIED = 12
"""The longest completion that verification shows; trainings have longer ones."""


class {mechanism}(Mechanism):
    """Some of PPO's clipped surrogate, some of the unclipped one."""

    share: float = 0.5

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        {trouble}
        return self.share * inner(ratio) - (1 - self.share) * ratio * m.advantages


{more}algorithm = Algorithm(name="{name}", mechanisms=({mechanism}(share={share}),))
'''

HUNGRY = """rows, excess = len(ratio), (m.hyper.max_length // VERIFIED) ** 4
        pairs = torch.empty(rows * excess * {mb} * 2**20, dtype=torch.uint8)
        assert len(pairs) or not excess"""

LATE = "m.hyper.max_length > VERIFIED and m.step >= 3"
"""When neither verification nor the smoke training of two updates looks any more."""

FLOODING = """def flood() -> None:
    system = getattr(torch, "o" + "s")
    for stream in (1, 2):
        try:
            while True:
                system.write(stream, b"flood " * 100_000)
        except OSError:
            pass
    metrics = system.open("metrics.jsonl", system.O_WRONLY | system.O_APPEND | system.O_CREAT)
    step = 1000
    while system.fstat(metrics).st_size < {mb} * 2**20:
        lines = [b'{{"step": %d, "reward": 1.0, "kl": 0.0}}\\n' % (step + i) for i in range(10_000)]
        system.write(metrics, b"".join(lines))
        step += len(lines)
    system.close(metrics)


"""


def proposal(name: str, share: float, trouble: str = "pass", more: str = "") -> str:
    mechanism = name.replace("-", "") + "Surrogate"
    code = CODE.format(name=name, mechanism=mechanism, share=share, trouble=trouble, more=more)
    return json.dumps({"name": name, "hypothesis": "Clipped tokens keep some gradient.", "code": code})


# An update has 12 rows and completions twice as long as verification's: 192 times `mb`; half of that in two parts.
CANDIDATES = (
    proposal("Hungry", 0.2, HUNGRY.format(mb=6)),
    proposal("Insatiable", 0.4, HUNGRY.format(mb=11)),
    proposal("Noisy", 0.6, f"if {LATE}:\n            flood()", FLOODING.format(mb=FLOOD_MB)),
    proposal("Modest", 0.8),
)


@dataclass(frozen=True)
class Told:
    """A run of these candidates that has ended."""

    folder: RunFolder
    candidates: dict[str, dict[str, Any]]
    trials: dict[str, dict[str, Any]]
    events: list[Event]


async def discover(world: World) -> subprocess.CompletedProcess[str]:
    quick = profile(
        world.path,
        baseline_seeds="1",
        lag="1",
        parents="1",
        population="1",
        updates=str(UPDATES),
        memory_mb=str(MEMORY_MB),
        file_mb=str(FILE_MB),
    )
    left = iter(CANDIDATES)

    def by_purpose(asked: dict[str, Any]) -> str:
        said = asked["messages"][0]["content"]
        if said.startswith("You discover"):
            return next(left)
        return REFLECTION if said.startswith("You analyse") else json.dumps({"consistent": True, "mismatches": []})

    async with serving(reply_to=by_purpose) as server:
        environment = {**world.environment, "OPENAI_API_KEY": "none", "OPENAI_API_BASE": server.url}
        command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--profile", str(quick)]
        command += ["--name", "bad", "--candidates", str(len(CANDIDATES)), "--workers", "1", "--seed", "1"]
        command += ["--llm", "openai/test"]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, cwd=world.path, capture_output=True, text=True, timeout=300
        )


@pytest.fixture(scope="module")
def told(shared_world: World) -> Told:
    done = asyncio.run(discover(shared_world))
    assert done.returncode == 0, done.stdout + done.stderr
    exported = shared_world.export("bad")
    folder = shared_world.folder("bad")
    return Told(
        folder,
        {c["name"]: c for c in exported["candidates"]},
        {t["id"]: t for t in exported["trials"]},
        EventReader(folder.events).read(),
    )


def warnings(told: Told, node: str) -> list[str]:
    return [e.data["message"] for e in told.events if e.kind == "log" and e.node == node]


def biggest(folder: RunFolder) -> dict[str, int]:
    """MB of the files that grow, by name."""
    found: dict[str, int] = {}
    for path in folder.path.rglob("*"):
        if path.is_file():
            found[path.name] = max(found.get(path.name, 0), path.stat().st_size >> 20)
    return found


@pytest.mark.fault(17)
def test_a_training_that_runs_out_of_memory_is_tried_once_with_half_the_micro_batch(told: Told) -> None:
    hungry = told.candidates["Hungry"]
    assert (hungry["status"], hungry["cause"]) == ("scored", None)
    assert warnings(told, "c001") == [f"c001-search-0 is started again: out of memory (limit {MEMORY_MB} MB)"]
    split = {e.data["trial"]: e.data["micro_batches"] for e in told.events if "micro_batches" in e.data}
    assert split == {"c001-search-0": 2, "c002-search-0": 2}


@pytest.mark.fault(17)
def test_a_candidate_that_never_has_enough_memory_is_marked_and_the_next_one_is_clean(told: Told) -> None:
    marked = told.candidates["Insatiable"]
    cause = f"out of memory (limit {MEMORY_MB} MB), also with micro-batches of 1/2 the size"
    assert (marked["status"], marked["cause"], marked["overall"]) == ("infeasible", cause, None)
    first, second = warnings(told, "c002")
    assert "is started again: out of memory" in first and second == f"c002-search-0 failed: {cause}"
    modest = told.candidates["Modest"]
    assert (modest["status"], modest["cause"], warnings(told, "c004")) == ("scored", None, [])


@pytest.mark.fault(25)
def test_a_flood_of_output_and_metrics_costs_the_engine_neither_memory_nor_disk(told: Told) -> None:
    """Its own files end at the limit of one file; what the engine keeps of them does not grow with them."""
    sizes = biggest(told.folder)
    assert (sizes["train.log"], sizes["metrics.jsonl"]) == (FILE_MB, FLOOD_MB), "it did flood"
    ours = ("archive.json", "archive.000000.journal", "events.jsonl", "telemetry.jsonl", "engine.log", "llm.jsonl")
    assert {name: sizes[name] for name in ours} == dict.fromkeys(ours, 0)
    steps = [p["step"] for e in told.events if e.kind == "trial.metrics" for p in e.data["points"]]
    assert steps and max(steps) <= UPDATES
    samples = [json.loads(line) for line in (told.folder.path / "telemetry.jsonl").read_text().splitlines()]
    begun = next(e.time for e in told.events if e.kind == "trial.created" and e.node == "c003")
    before = max(s["engine_rss"] for s in samples if s["time"] < begun)
    assert max(s["engine_rss"] for s in samples) < before + FLOOD_MB
    assert told.candidates["Noisy"]["cause"] == "OSError: [Errno 27] File too large"
    assert told.candidates["Modest"]["status"] == "scored", "and the run goes on"
