"""A model server that answers by what it is asked: each direction, repair, screening and reading its own script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.search.model_server import ModelServer, Reply

HEADING = "# Direction of this proposal: others take other ones\n"


@dataclass
class ScriptedServer(ModelServer):
    """Replies by topic: a direction's id, `repair`, `screen` or `consistency`; the last of each for ever."""

    script: Mapping[str, list[Reply]] = field(default_factory=dict)
    topics: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    """The last message of each request, in order."""
    held: frozenset[str] = frozenset()
    """Topics that are answered after all others of the script."""
    answered: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One chat completion."""
        messages = (await request.json())["messages"]
        topic = _topic(messages)
        if topic in self.held:
            await self.released.wait()
        replies = self.script[topic]
        # Nothing is awaited between these lines and the choice in there.
        self.replies = [replies[min(self.topics.count(topic), len(replies) - 1)]]
        self.topics.append(topic)
        self.asked_for.append(messages[-1]["content"])
        response = await super().handle(request)
        self.answered += 1
        if self.answered == len(self.script) - len(self.held):
            self.released.set()
        return response


def _topic(messages: list[dict[str, Any]]) -> str:
    last = messages[-1]["content"]
    if '"readings"' in last:
        return "screen"
    if '"mismatches"' in last:
        return "consistency"
    if last.startswith("That answer cannot be used"):
        return "repair"
    return last.split(HEADING)[1].split(":")[0] if HEADING in last else "free"


@asynccontextmanager
async def scripted(*held: str, **script: Reply | list[Reply]) -> AsyncIterator[ScriptedServer]:
    """A server at `url` for the length of a test; it answers `held` last."""
    lists = {topic: reply if isinstance(reply, list) else [reply] for topic, reply in script.items()}
    model = ScriptedServer([], script=lists, held=frozenset(held))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", model.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    model.url = str(server.make_url("/v1"))
    try:
        yield model
    finally:
        await server.close()
