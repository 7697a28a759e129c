"""A `poise serve` of its own, and a visitor that sees what a browser is sent."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
import pyte

SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """What the command printed: where it is, and its token."""

    url: str
    token: str | None
    said: str


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """Run `poise serve` on a free port."""
    command = [sys.executable, "-P", "-m", "poise_tui", "serve", *options, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first, second = process.stdout.readline(), process.stdout.readline()
            found = re.fullmatch(r"\S+ at (http://\S+?)/(?:\?token=(\S+))?\n", first)
            assert found, first
            yield Served(found[1], found[2], first + second)
        finally:
            process.terminate()
            process.wait(SECONDS)


class Visit:
    """One visitor's screen."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, width: int, height: int) -> None:
        self._socket = socket
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def feed(self, data: bytes) -> None:
        self._stream.feed(data)

    async def type(self, keys: str) -> None:
        await self._socket.send_json(["stdin", keys])

    async def until(self, true: Callable[[str], bool]) -> str:
        """The screen's text once something holds of it."""
        async with asyncio.timeout(SECONDS):
            while not true(self.text):
                message = await self._socket.receive()
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), f"{message}\n{self.text}"
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.feed(message.data)
        return self.text


@asynccontextmanager
async def visiting(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Visit]:
    """Open the WebSocket as the page does."""
    width, height = 120, 36
    async with session.ws_connect(f"{url}/ws?width={width}&height={height}", origin=url) as socket:
        yield Visit(socket, width, height)
