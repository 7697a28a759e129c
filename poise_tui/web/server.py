"""The dashboard in a browser, by textual-serve: each visit is a `poise attach` of its own, and is let in by the guard.

The program that a visit starts is the client that a terminal starts: it reads the run's folder, and the engine knows
nothing of it. Nothing of a request reaches its command line.
"""

from __future__ import annotations

import copy
import shlex
import socket
import sys
from pathlib import Path

from aiohttp import web
from textual_serve.server import Server

from poise_tui.web.guard import Guard

PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: the page asks nothing of other hosts (the template names a font elsewhere), and no other
page frames it."""


class DashboardServer(Server):
    """Serves one run's dashboard to whom the guard lets in.

    Args:
        folder: of the run.
        guard: who comes in.
        readonly: change nothing, whoever visits.
    """

    def __init__(self, folder: Path, guard: Guard, readonly: bool) -> None:
        super().__init__(attach_command(folder, readonly), title=f"POISE {folder.name}")
        self._guard = guard

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard.middleware)
        app.on_response_prepare.append(_harden)
        return app

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page, with addresses as the visitor has typed them: behind a tunnel they are not ours."""
        mine = copy.copy(self)
        mine.public_url = self._guard.origin(request)
        page: web.StreamResponse = await Server.handle_index(mine, request)
        return page

    async def on_startup(self, app: web.Application) -> None:
        """The command has said where it is."""

    def serve_on(self, listening: socket.socket) -> None:
        """Serve on a socket that listens already, until SIGINT or SIGTERM; quietly."""
        web.run_app(self._make_app(), sock=listening, print=None, access_log=None)


def attach_command(folder: Path, readonly: bool) -> str:
    """What a visit runs, as a line for a shell."""
    words = [sys.executable, "-P", "-m", "poise_tui", "attach", str(folder), *(["--readonly"] if readonly else [])]
    return shlex.join(words)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = PAGE
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
