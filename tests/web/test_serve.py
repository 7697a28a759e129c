"""The dashboard in a browser: there on this machine, read-only unless asked, and behind a token elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from poise_tui.web.guard import is_loopback
from tests.cli.conftest import Poise, poise, refusal, runs, write_run
from tests.dashboard.recorded import write
from tests.web.serving import Served, serving, visiting

__all__ = ["poise", "runs"]


def braille(text: str) -> int:
    """How many cells of a chart are drawn."""
    return sum("\u2801" <= sign <= "\u28ff" for sign in text)


@pytest.fixture
def served(runs: Path) -> Iterator[Served]:
    write(runs)
    with serving("recorded") as found:
        yield found


async def status(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_a_visitor_sees_tree_and_curve_a_key_works_and_steering_is_refused(served: Served) -> None:
    assert served.token is None
    assert "visitors can only look" in served.said
    async with aiohttp.ClientSession() as session, visiting(session, served.url) as visit:
        text = await visit.until(lambda text: "GRPO" in text and "read-only" in text and braille(text) > 20)
        assert "recorded" in text
        await visit.type("?")
        await visit.until(lambda text: "Keys" in text)
        await visit.type("\x1b")
        await visit.type("x")
        await visit.until(lambda text: "without --readonly" in text)


async def test_the_page_asks_nothing_of_other_hosts_and_stands_in_no_frame(served: Served) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{served.url}/") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert answer.status == 200
    assert "POISE recorded" in page
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert (await status(f"{served.url}/static/js/textual.js"))[0] == 200


async def test_another_page_and_another_name_of_this_machine_are_refused(served: Served) -> None:
    assert (await status(f"{served.url}/", Host="evil.example"))[0] == 403
    assert (await status(f"{served.url}/", Origin="http://evil.example"))[0] == 403
    async with aiohttp.ClientSession() as session:
        for origin in ("http://evil.example", "http://localhost:1", "null"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{served.url}/ws", origin=origin)
            assert refused.value.status == 403


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--steer",)])
async def test_elsewhere_or_to_steer_a_visitor_needs_the_token(runs: Path, options: tuple[str, ...]) -> None:
    write(runs)
    with serving("recorded", *options) as served:
        url = served.url.replace("0.0.0.0", "127.0.0.1")
        assert served.token is not None
        assert len(served.token) >= 32
        for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/?token=wrong", f"/ws?token={served.token}"):
            assert (await status(f"{url}{path}"))[0] == 401, path
        jar = aiohttp.CookieJar(unsafe=True)  # which only means: also for addresses that are numbers
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            async with session.get(f"{url}/?token={served.token}") as answer:
                assert answer.status == 200
                assert str(answer.url) == f"{url}/", "the token is gone from the address"
                cookie = answer.history[0].headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie
            async with visiting(session, url) as visit:
                text = await visit.until(lambda text: "GRPO" in text)
        assert ("read-only" in text) is ("--steer" not in options)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("nowhere",), 3, "no run 'nowhere'"),
        (("r", "--token", "short"), 2, "--token: at least 16 characters"),
        (("r", "--host", "203.0.113.1"), 4, "cannot listen on 203.0.113.1 port 8000"),
        (("r", "--public-url", "lab.example"), 2, "--public-url lab.example: give http://... or https://..."),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_line(
    poise: Poise, runs: Path, options: tuple[str, ...], code: int, says: str
) -> None:
    write_run(runs, "r")
    assert says in refusal(poise("serve", *options), code)


def test_only_addresses_of_this_machine_count_as_this_machine() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert not any(is_loopback(h) for h in ("0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org"))
