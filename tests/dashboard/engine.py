"""The engine's side of a recorded run: its lock and its control socket, which writes down what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from engine.process.control import ControlServer
from engine.process.lock import RunLock
from engine.process.registry import socket_path

Told = list[tuple[str, str | None]]


@asynccontextmanager
async def engine_of(folder: RunFolder, refuse: str | None = None) -> AsyncIterator[Told]:
    """While open, the run lives in this process.

    Args:
        refuse: answer every command with this error.
    """
    told: Told = []

    async def handle(command: str, fields: dict[str, Any]) -> dict[str, Any]:
        told.append((command, fields.get("node")))
        if refuse is not None:
            raise PoiseError(refuse, Exit.REFUSED)
        return {}

    socket = socket_path(folder.path)
    server = ControlServer(socket, handle)
    await server.start()
    lock = RunLock.acquire(folder.lock, str(socket))
    try:
        yield told
    finally:
        lock.release()
        await server.close()
