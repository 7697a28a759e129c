"""A real HTTP server that speaks OpenAI's, Anthropic's and Ollama's protocol, and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

SILENT, DRIP, TRUNCATED, CUT, HTML, HUGE = "silent", "drip", "truncated", "cut", "html", "huge"
HUGE_CHARACTERS = 3_000_000


@dataclass(frozen=True)
class Refusal:
    """An error with headers, such as `Retry-After`."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = str | tuple[int, str] | Refusal
"""An answer's text, (HTTP status, body of the error), a Refusal, SILENT, DRIP (bytes for ever), TRUNCATED (the JSON
ends in its middle), CUT (the connection does), HTML (a page with status 200) or HUGE (far more than was asked for).
"""


@dataclass
class ModelServer:
    """Gives the replies in order, the last one for ever."""

    replies: Sequence[Reply]
    by_model: Mapping[str, Sequence[Reply]] = field(default_factory=dict)
    """What single models reply instead."""
    reply_to: Callable[[dict[str, Any]], Reply] | None = None
    """Replies by what is asked instead of in order."""
    refuses: Callable[[dict[str, Any]], str | None] = lambda request: None
    """What a request is refused for, with 400, if anything; takes none of the replies."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """More figures of an answer's usage."""
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    given: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        asked = await request.json()
        self.requests.append(asked)
        self.keys.append(request.headers.get("Authorization", ""))
        self.asked.set()
        if (why := self.refuses(asked)) is not None:
            return _error(Refusal(400, why))
        reply = self._next(asked["model"]) if self.reply_to is None else self.reply_to(asked)
        if isinstance(reply, tuple):
            reply = Refusal(*reply)
        if isinstance(reply, Refusal):
            return _error(reply)
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
        if reply == HTML:
            return web.Response(text="<html><body>Sign in to this network</body></html>", content_type="text/html")
        text = "x" * HUGE_CHARACTERS if reply == HUGE else reply
        protocol = {"messages": _anthropic, "generate": _ollama, "chat": _ollama}.get(
            request.path.split("/")[-1], _openai
        )
        return web.json_response(protocol(text, self.usage))

    def _next(self, model: str) -> Reply:
        replies, who = (self.by_model[model], model) if model in self.by_model else (self.replies, "")
        self.given[who] += 1
        return replies[min(self.given[who], len(replies)) - 1]


def _error(refusal: Refusal) -> web.Response:
    body = {"error": {"message": refusal.message, "type": "error", "code": None}}
    return web.json_response(body, status=refusal.status, headers=refusal.headers)


def _openai(text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, **usage},
    }


def _anthropic(text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": "test",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100, **usage},
    }


def _ollama(text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    figures = {"prompt_eval_count": 1000, "eval_count": 100, **usage}
    return {"model": "test", "created_at": "2026-01-01T00:00:00Z", "response": text, "done": True, **figures}


@asynccontextmanager
async def serving(*replies: Reply, **options: Any) -> AsyncIterator[ModelServer]:
    """A server at `url` for the length of a test; options are fields of `ModelServer`."""
    model = ModelServer(replies, **options)
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", model.handle)
    app.router.add_post("/v1/messages", model.handle)
    app.router.add_post("/v1/api/generate", model.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    model.url = str(server.make_url("/v1"))
    try:
        yield model
    finally:
        await server.close()
