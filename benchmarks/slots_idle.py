"""How idle training slots are while a slow language model proposes: is its latency hidden behind training?

    python -P -m benchmarks.slots_idle [--latency 20] [--candidates 12] [--workers 2]

A real run on the tiny profile. Its model is a local HTTP server that answers every call after so many seconds,
proposals by what the composer makes of the prompt's evidence. Counted from the first training to the start of the last
one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from engine.search.composer import compose
from engine.search.context import read_block

BUSY = ("training", "scoring")


def answer(asked: dict[str, Any], number: int) -> str:
    """What a well-behaved model would say."""
    block = read_block("\n".join(str(m["content"]) for m in asked["messages"]))
    if block is not None:
        try:
            return json.dumps(compose(block, number))
        except PoiseError as error:
            return str(error)
    others = {"verdict": "As measured.", "reading": "See the figures.", "suggestion": "Go on.", "never": None}
    return json.dumps({**others, "readings": [], "consistent": True, "mismatches": []})


async def serve(latency: float) -> tuple[web.AppRunner, str, list[int]]:
    """The model's server, its address and how often it was asked."""
    calls: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        asked = await request.json()
        calls.append(len(calls))
        number = len(calls)
        await asyncio.sleep(latency)
        text = await asyncio.to_thread(answer, asked, number)
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        told = {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"]}
        return web.json_response({**told, "choices": [message], "usage": usage})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    return runner, f"http://127.0.0.1:{port}/v1", calls


async def measure(latency: float, candidates: int, workers: int) -> dict[str, Any]:
    """Run, and read the events."""
    runner, url, calls = await serve(latency)
    with tempfile.TemporaryDirectory(prefix="poise-idle-") as runs:
        command = ["-P", "-m", "poise_tui", "run", "--headless", "--name", "idle", "--runs-dir", runs]
        command += ["--candidates", str(candidates), "--workers", str(workers), "--llm", "openai/local"]
        environment = {**os.environ, "OPENAI_API_BASE": url, "OPENAI_API_KEY": "sk-none-needed-here"}
        run = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, stdout=2)
        code = await run.wait()
        found = idle(RunFolder(Path(runs) / "idle"), workers)
    await runner.cleanup()
    return {"exit": code, "latency_s": latency, "calls": len(calls), "workers": workers, **found}


def idle(folder: RunFolder, workers: int) -> dict[str, Any]:
    """The share of slot seconds without a training, from the first training to the start of the last one."""
    busy: set[str] = set()
    moments: list[tuple[float, int]] = []
    last = 0.0
    for event in EventReader(folder.events).read():
        if event.kind == "trial.updated" and "status" in event.data:
            trial, status = event.data["trial"], event.data["status"]
            if status in BUSY and trial not in busy:
                busy.add(trial)
                last = event.time
            elif status not in BUSY:
                busy.discard(trial)
            moments.append((event.time, len(busy)))
    begin = moments[0][0]
    used = sum((min(after, last) - at) * count for (at, count), (after, _) in pairwise(moments) if at < last)
    whole = (last - begin) * workers
    return {"seconds": round(last - begin, 1), "idle": round(1 - used / whole, 4)}


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=20.0)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    print(json.dumps(asyncio.run(measure(**vars(parser.parse_args()))), indent=1))


if __name__ == "__main__":
    main()
