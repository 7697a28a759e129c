"""A score that is hard to believe is measured again in a real run; a planted key is in nothing that a run leaves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from engine.archive.events import EventReader
from tests.run.test_language_model import CODE, REFLECTION
from tests.run.world import World, profile
from tests.search.model_server import serving

KEY = "sk-canary-7b2d40e95a1c"
LATE = CODE.replace(
    "return self.share * inner(ratio)",
    "if m.step < 9:\n            return inner(ratio)\n        return self.share * inner(ratio)",
)
"""It acts from the tenth update on, which a training of eight never sees: its adapter is the root's."""
PROPOSAL = json.dumps({"name": "Gentle-GRPO", "hypothesis": "Clipped tokens keep some gradient, later.", "code": LATE})
EVIL = f"\x1b]0;owned\x07\x1b[31m[red]{KEY}[/red]\u202e" + "x" * 20_000


@dataclass(frozen=True)
class Left:
    """What a run leaves."""

    world: World
    done: subprocess.CompletedProcess[str]
    export: dict[str, Any]


@pytest.fixture
async def left(world: World) -> Left:
    quick = profile(world.path, baseline_seeds="1", lag="1")
    evil = json.dumps({"verdict": EVIL, "reading": EVIL, "suggestion": EVIL})
    async with serving((500, EVIL), evil, PROPOSAL, REFLECTION) as server:
        environment = {**world.environment, "OPENAI_API_KEY": KEY, "OPENAI_API_BASE": server.url}
        command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--profile", str(quick), "--name", "r"]
        command += ["--candidates", "1", "--workers", "1", "--seed", "1", "--llm", "openai/test"]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, cwd=world.path, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return Left(world, done, world.export("r"))


async def test_a_flagged_score_is_measured_again_before_it_counts_and_no_key_is_left_anywhere(left: Left) -> None:
    root, late = left.export["candidates"]
    assert late["status"] == "scored" and root["flags"] == []
    assert late["flags"] == ["copy: its adapter is that of c000, byte for byte"]
    events = EventReader(left.world.folder("r").events).read()
    (told,) = [e.data["message"] for e in events if e.kind == "log" and "scored again" in e.data["message"]]
    assert "byte for byte" in told
    fields = [e.data for e in events if e.kind == "trial.updated" and e.data["trial"] == "c001-search-0"]
    (first,) = [f["first"] for f in fields if "first" in f]
    # Equal adapters on equal problems have equal scores; the fresh problems are others, and their figure counts.
    assert first["benchmarks"] == root["benchmarks"]
    assert late["benchmarks"] != root["benchmarks"]
    updates = [e.data for e in events if e.kind == "candidate.updated" and e.node == "c001"]
    assert {u["overall"] for u in updates if u.get("overall") is not None} == {late["overall"]}, "it never had another"
    scored = [f["cost"]["score_seconds"] for f in fields if "cost" in f]
    assert scored[-1] > scored[-2] > 0, "the second scoring is paid for too"

    found = [p for p in left.world.path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert not found
    for command in (("status", "r"), ("export", "r", "--format", "md"), ("export", "r", "--format", "csv")):
        shown = left.world.poise(*command)
        assert KEY not in shown.stdout + shown.stderr
    assert KEY not in left.done.stdout + left.done.stderr + json.dumps(left.export)
    reflection = root["reflection"]
    assert "[secret]" in reflection and "\x1b" not in reflection and "\u202e" not in reflection
    assert len(reflection) < 10_000
    assert "\x1b" not in left.done.stdout
