"""A stand-in for an engine, run as a process of its own to be killed: starts jobs, prints the pids, waits."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from tests.process.conftest import read_when_written


async def main(folder: Path) -> None:
    launcher = Launcher(["json"], sandbox=None, allow_calls=True)
    executor = LocalExecutor(launcher)
    started: asyncio.Queue[int] = asyncio.Queue()

    def job(id: str, function: str, **fields: Any) -> dict[str, Any]:
        kind = f"call:tests.process.jobs:{function}"
        return {"id": id, "kind": kind, "folder": str(folder / id), "limits": {}, **fields}

    jobs = [job("a", "ignore_termination"), job("b", "loop"), job("c", "start_daemons", stay=True)]
    running = [asyncio.create_task(executor.run(job, started.put_nowait)) for job in jobs]
    pids = [await started.get() for _ in jobs]
    daemons = await read_when_written(folder / "c" / "daemons.json")
    print(json.dumps([launcher.server_pid, *pids, *daemons]), flush=True)
    await asyncio.gather(*running)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
