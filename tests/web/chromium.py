"""A real browser without a window, driven over its own debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--window-size=1280,800",
)  # fmt: skip
SECONDS = 120.0


class Page:
    """One page: what it asks for, what its WebSockets get, and what it shows."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.frames: list[bytes] = []
        """Binary messages that the page got over WebSockets."""
        self.asked: list[str] = []
        """Addresses that left the browser."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self._next()
                if message.get("id") == self._number:
                    assert "error" not in message, message
                    answer: dict[str, Any] = message["result"]
                    return answer

    async def open(self, url: str) -> None:
        for domain in ("Page", "Network", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def value(self, script: str) -> Any:
        """What an expression gives in the page."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    async def until(self, true: Callable[[], bool]) -> None:
        """Read on until something holds."""
        async with asyncio.timeout(SECONDS):
            while not true():
                await self._next()

    async def key(self, text: str) -> None:
        """Press a key in the terminal of the page."""
        await self.value("document.querySelector('.xterm-helper-textarea').focus()")
        code = {"key": text, "windowsVirtualKeyCode": 191 if text == "?" else ord(text.upper())}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    async def shows(self, text: str) -> None:
        """Wait for a text of the page."""
        async with asyncio.timeout(SECONDS):
            while text not in (await self.value("document.body ? document.body.innerText : ''") or ""):
                pass

    async def screenshot(self, path: Path) -> bytes:
        found = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(data := base64.b64decode(found["data"]))
        return data

    async def _next(self) -> dict[str, Any]:
        message = await self._socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        found: dict[str, Any] = json.loads(message.data)
        params = found.get("params", {})
        match found.get("method"):
            case "Network.webSocketFrameReceived" if params["response"]["opcode"] == 2:
                self.frames.append(base64.b64decode(params["response"]["payloadData"]))
            case "Network.responseReceived":
                self.asked.append(params["response"]["url"])
        return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """Start a browser with a profile of its own, on one empty page."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="poise-browser-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(SECONDS):
                while b"DevTools listening on ws://" not in (line := await process.stderr.readline()):
                    assert line, "the browser ended"
            host = line.decode().split("ws://")[1].split("/")[0]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{host}/json/list") as answer:
                    (target,) = [t for t in await answer.json() if t["type"] == "page"]
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.kill()
            await process.wait()
