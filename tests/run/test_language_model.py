"""A language model takes the same path as the keyless proposer: real HTTP, real files, no trace of the key."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.run.world import World, profile
from tests.search.model_server import Reply, serving

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
KEY = "sk-canary-4f1c9e"


async def discover(world: World, *replies: Reply) -> subprocess.CompletedProcess[str]:
    quick = profile(world.path, baseline_seeds="1", lag="1")
    async with serving(*replies) as server:
        environment = {**world.environment, "OPENAI_API_KEY": KEY, "OPENAI_API_BASE": server.url}
        command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--profile", str(quick), "--name", "r"]
        command += ["--candidates", "2", "--workers", "1", "--seed", "1", "--llm", "openai/test"]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, cwd=world.path, capture_output=True, text=True, timeout=180
        )


async def test_a_model_proposes_whole_files_is_repaired_within_bounds_and_its_failures_are_on_record(
    world: World,
) -> None:
    # c000's reflection; an inert first answer, sent back and repaired; c001's reflection; then only garbage.
    done = await discover(world, REFLECTION, IDLE, GOOD, REFLECTION, "no JSON at all")
    assert done.returncode == 0, done.stdout + done.stderr
    root, gentle, failed = world.export("r")["candidates"]
    assert gentle["name"] == "Gentle-GRPO" and gentle["status"] == "scored"
    assert gentle["provenance"] == {"proposer": "llm", "model": "openai/test"}
    assert gentle["proposal"]["mechanisms"] == [{"name": "GentleSurrogate", "params": {"share": 0.25}}]
    assert gentle["cost"]["llm_usd"] > 0
    assert "It held." in gentle["reflection"] and "It held." in root["reflection"]
    assert failed["status"] == "failed" and "none usable" in failed["cause"]
    assert failed["reflection"]
    assert (world.folder("r").candidate("c001").algorithm).read_text() == CODE
    calls = [json.loads(line) for line in world.folder("r").llm.read_text().splitlines()]
    assert len(calls) >= 7
    assert sum(c["usd"] for c in calls) == world.export("r")["run"]["spent"]["llm_usd"]
    assert not [p for p in files(world.path / "runs") if KEY.encode() in p.read_bytes()], "the key is nowhere"


async def test_a_refused_key_stops_the_run_with_the_reason_and_records_no_failed_nodes(world: World) -> None:
    done = await discover(world, (401, "Incorrect API key provided"))
    assert "run stopped" in done.stdout and "test" in done.stdout.splitlines()[-1]
    assert [c["id"] for c in world.export("r")["candidates"]] == ["c000"]


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]
