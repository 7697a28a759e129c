"""A stand-in for an engine whose child leaves a daemon behind; killed from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.sandbox.layers import Sandbox
from tests.process.conftest import read_when_written
from tests.sandbox.conftest import TESTS


async def main(folder: Path, layers: list[str]) -> None:
    launcher = Launcher(["json"], sandbox=Sandbox(frozenset(layers), (folder,), (TESTS,)), allow_calls=True)
    kind = "call:tests.sandbox.inside:leave_a_daemon"
    job = {"id": "j", "kind": kind, "folder": str(folder / "j"), "limits": {}}
    running = asyncio.create_task(LocalExecutor(launcher).run(job))
    await read_when_written(folder / "j" / "ready.json")
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
