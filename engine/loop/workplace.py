"""Where a run's jobs run: on this machine, or on a cluster. Beyond this file nothing knows which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from engine.loop.book import Book
from engine.loop.config import RunConfig
from engine.loop.graders import Graders
from engine.process.executor import Executor, LocalExecutor
from engine.process.launch import TRAINER_IMPORTS, Launcher
from engine.sandbox.layers import Sandbox


@dataclass(frozen=True)
class Workplace:
    """What a run's engine works with.

    Attributes:
        executor: runs its jobs.
        processes: pids of the jobs on this machine, and their ids.
    """

    executor: Executor
    processes: Callable[[], Mapping[int, str]]


@asynccontextmanager
async def open_workplace(
    config: RunConfig, folder: RunFolder, book: Book, sandbox: Sandbox, floor: str, graders: Graders
) -> AsyncIterator[Workplace]:
    """The executor that a run's configuration names; all that runs ends with the context.

    Args:
        book: its protocol decides which nodes of a cluster fit: scores of others would not compare.
        sandbox: of jobs on this machine.
        floor: of the sandbox on every node of a cluster.
        graders: trainers get their connections from them.
    """
    if config.executor == "local":
        launcher = Launcher(sandbox=sandbox, log=folder.engine_log)
        executor = LocalExecutor(launcher, graders.connect, graded=graders.kinds)
        graders.on_flood = executor.kill
        warm = asyncio.create_task(_warm_up(launcher))
        try:
            yield Workplace(executor, launcher.running)
        finally:
            warm.cancel()
            await launcher.close()
        return
    from engine.cluster.places import Places, leave, needs_of
    from engine.cluster.ray_executor import RayExecutor
    from engine.cluster.seat import Terms

    terms = Terms(config.profile, floor, book.run["protocol"], graders.kinds, TRAINER_IMPORTS)
    places = Places(terms, needs_of(config.profile), lambda line: book.log(line, level="warning"))
    remote = RayExecutor(places, graders.connect, graders.kinds)
    graders.on_flood = remote.kill
    try:
        yield Workplace(remote, dict)
    finally:
        await remote.close()
        leave()


async def _warm_up(launcher: Launcher) -> None:
    """Import the trainer's libraries while the first decisions are made."""
    with suppress(PoiseError):  # the first job meets the same error, and reports it
        await launcher.start()
