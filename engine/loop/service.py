"""One engine process: validate, lock, listen, answer the client, then run the loop until it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from engine.archive.events import last_events
from engine.archive.folder import RunFolder, find_run
from engine.archive.store import Archive
from engine.errors import PoiseError
from engine.generation.choice import require, told
from engine.loop.book import Book
from engine.loop.config import RunConfig, budget_of, new_run, read_config
from engine.loop.confinement import WEAK, sandbox_for
from engine.loop.engine import Engine
from engine.loop.graders import Graders
from engine.loop.machine import device_name, gpu_names
from engine.loop.migrate import migrate
from engine.loop.protocol import protocol_hash
from engine.loop.rungs import ladder
from engine.loop.steering import REMEMBERED, Steering
from engine.loop.study_plan import KINDS
from engine.loop.take_up import take_up
from engine.process.control import ControlServer
from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.process.lock import RunLock
from engine.process.registry import register, socket_path, unregister
from engine.process.telemetry import Telemetry
from engine.profiles.load_model import model_dir
from engine.sandbox.layers import level


async def serve(command: str, request: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
    """Run an engine from its start to its end.

    Args:
        command: `start` or `resume`.
        request: see docs/architecture.md.
        answer: tells the client, once, whether the engine runs.

    Raises:
        PoiseError: nothing was started; the line says why.
    """
    # From the first moment on: whoever started it may hang up at any time.
    signal.signal(signal.SIGHUP, lambda *_: None)
    folder, config = _open(command, request)
    floor = WEAK if request.get("allow_weak_sandbox") else config.sandbox_floor
    async with AsyncExitStack() as stack:
        address = socket_path(folder.path)
        lock = RunLock.acquire(folder.lock, str(address))
        stack.callback(lock.release)
        archive = Archive.open(folder.archive)
        stack.callback(archive.close)
        config = migrate(folder, archive, config)
        book = Book(archive)
        sandbox = sandbox_for(config.profile, floor, (folder.path / "candidates", folder.path / "trials"))
        protocol = protocol_hash(config.profile, model_dir(config.profile["model"]), device_name())
        if command == "start":
            book.open_run(_run_document(config, protocol, level(sandbox.layers)))
            if line := told(config.profile, bool(gpu_names())):
                book.log(line)
        else:
            book.reopen_run()
            take_up(book, request, folder.llm)
            if book.run["protocol"] != protocol:
                changed = f"protocol {book.run['protocol']} is {protocol} now: scores before and after do not compare"
                book.log(changed, level="warning")
            if book.run["sandbox"] != level(sandbox.layers):  # another machine, or another state of this one
                book.set_run(sandbox=level(sandbox.layers))
        log_to(folder.engine_log)
        launcher = Launcher(sandbox=sandbox, log=folder.engine_log)
        stack.push_async_callback(launcher.close)
        graders = Graders(config.profile, config.seed, stack.enter_context(folder.engine_log.open("ab")))
        stack.callback(graders.close)
        executor = LocalExecutor(launcher, graders.connect, graded=graders.kinds)
        graders.on_flood = executor.kill
        engine = Engine(folder, config, book, executor, protocol, lock.beat)
        steering = Steering(engine, last_events(folder.path, "steering", REMEMBERED))
        for kind in KINDS:
            if node := request.get(kind):
                engine.study_only = True
                await steering.handle(kind, {"node": node, "seeds": request.get("seeds"), "by": "cli"})
        server = ControlServer(address, steering.handle)
        await server.start()
        stack.push_async_callback(server.close)
        register(folder.path, address)
        stack.callback(unregister, folder.path)
        telemetry = Telemetry(folder.telemetry, launcher.running)
        telemetry.start()
        stack.callback(telemetry.stop)
        _obey_signals(engine)
        answer({"ok": True, "run": folder.id, "dir": str(folder.path), "pid": os.getpid()})
        warm = asyncio.create_task(_warm_up(launcher))
        stack.callback(warm.cancel)
        await engine.run()


def _open(command: str, request: dict[str, Any]) -> tuple[RunFolder, RunConfig]:
    if command == "start":
        return new_run(request)
    path = Path(request["run_dir"])
    folder = find_run(str(path), path.parent)
    config = read_config(folder)
    require(config.profile)
    return folder, config


def _run_document(config: RunConfig, protocol: str, sandbox: str) -> dict[str, Any]:
    return {
        "id": config.id,
        "profile": config.profile["name"],
        "status": "running",
        "created": config.created,
        "seed": config.seed,
        "directive": config.directive or None,
        "budget": budget_of(config),
        "spent": {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "workers": config.workers,
        "lag": config.lag,
        "protocol": protocol,
        "llm": config.llm,
        "sandbox": sandbox,
        "rungs": [rung.document() for rung in ladder(config.profile)],
        "confirm": {key: config.profile["confirm"][key] for key in ("candidates", "seeds")},
        "studies": [],
    }


def log_to(path: Path) -> None:
    """Send stdout and stderr to the engine's log: an engine owns no terminal."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _obey_signals(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        name = signal.Signals(number).name
        loop.add_signal_handler(number, lambda name=name: asyncio.ensure_future(engine.stop(f"stopped by {name}")))  # type: ignore[misc]


async def _warm_up(launcher: Launcher) -> None:
    """Import the trainer's libraries while the first decisions are made."""
    with suppress(PoiseError):  # the first job meets the same error, and reports it
        await launcher.start()
