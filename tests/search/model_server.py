"""A real HTTP server that speaks the chat-completions protocol and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

SILENT, DRIP, TRUNCATED, CUT = "silent", "drip", "truncated", "cut"
Reply = str | tuple[int, str]
"""An answer's text, (HTTP status, body of the error), SILENT, DRIP, TRUNCATED (the JSON ends in its middle) or CUT (the
connection does).
"""


@dataclass
class ModelServer:
    """Gives the replies in order, the last one for ever."""

    replies: Sequence[Reply]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One chat completion."""
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization", ""))
        self.asked.set()
        if reply == SILENT:
            await asyncio.Event().wait()
        if reply == DRIP:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        if reply == TRUNCATED:
            return web.Response(text='{"id": "x", "object": "chat.completion", "choi', content_type="application/json")
        if reply == CUT:
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "900"})
            await response.prepare(request)
            await response.write(b'{"id": "x"')
            assert request.transport is not None
            request.transport.close()
            return response
        if isinstance(reply, tuple):
            return web.json_response({"error": {"message": reply[1], "type": "error", "code": None}}, status=reply[0])
        message = {"role": "assistant", "content": reply}
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "test",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
            }
        )


@asynccontextmanager
async def serving(*replies: Reply) -> AsyncIterator[ModelServer]:
    """A server at `url` for the length of a test."""
    model = ModelServer(replies)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    model.url = str(server.make_url("/v1"))
    try:
        yield model
    finally:
        await server.close()
