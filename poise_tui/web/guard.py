"""Who may see the dashboard in a browser: the right host, the right page, and the token where one is needed.

A page of any other site can open a WebSocket to 127.0.0.1, and a name that it owns can be made to mean 127.0.0.1: so
the Host must be ours, and an Origin must be this very page's.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

COOKIE = "poise_token"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Guard:
    """Lets requests in or not.

    Attributes:
        token: what a visitor must know; None: nothing.
        public: the address that visitors type where a proxy stands before us, such as https://lab.example/; "" if none.
        any_host: whether a visitor may have typed any name for this machine; only with a token.
    """

    token: str | None
    public: str = ""
    any_host: bool = False

    def origin(self, request: web.Request) -> str:
        """Scheme, host and port as the visitor's browser has them."""
        return self.public.rstrip("/") or f"http://{request.host}"

    def refusal(self, request: web.Request) -> str | None:
        """Why a request is not let in, whatever it knows; None if it may be."""
        host = urlsplit(f"//{request.host}").hostname or ""
        names = (*LOOPBACK, urlsplit(self.public).hostname) if self.public else LOOPBACK
        if not self.any_host and host not in names:
            return f"this is no name of the dashboard: {host}"
        origin = request.headers.get("Origin")
        if origin is not None and origin != self.origin(request):
            return "another page may not talk to the dashboard"
        return None

    def knows(self, given: str | None) -> bool:
        """Whether this is the token; takes as long whatever is given."""
        return self.token is None or (given is not None and hmac.compare_digest(given.encode(), self.token.encode()))

    @property
    def middleware(self) -> Middleware:
        """For aiohttp: refuses, or takes the token from the address once and keeps it in a cookie."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if (why := self.refusal(request)) is not None:
                return web.Response(status=403, text=f"{why}\n")
            if self.token is None or self.knows(request.cookies.get(COOKIE)):
                return await handler(request)
            if request.path == "/" and self.knows(request.query.get("token")):
                # Out of the address, where it would stay in the browser's history.
                page = web.Response(status=303, headers={"Location": "/"})
                secure = self.origin(request).startswith("https")
                page.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict", secure=secure)
                return page
            return web.Response(status=401, text="the token is missing or wrong: use the address that poise printed\n")

        return check
