"""The dashboard and the report in a real browser."""

from __future__ import annotations

import io
from pathlib import Path

import pyte
import pytest
from PIL import Image

from engine.report.write import write_report
from tests.dashboard.recorded import write
from tests.report.made_up import make_run
from tests.web.chromium import CHROMIUM, chromium
from tests.web.serving import serving
from tests.web.test_serve import braille

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]


class Screen:
    """What the terminal in the page is sent, as text."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0

    def text(self, frames: list[bytes]) -> str:
        for frame in frames[self._fed :]:
            self._stream.feed(frame)
        self._fed = len(frames)
        return "\n".join(self._screen.display)


def colours(picture: bytes) -> int:
    """Different colours of a picture; an empty page has one."""
    return len(Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1 << 24) or ())


async def test_the_dashboard_loads_shows_tree_and_curve_obeys_a_key_and_refuses_to_steer(
    own_world: Path, tmp_path: Path
) -> None:
    write(own_world / "runs")
    with serving("recorded") as served:
        async with chromium() as page:
            await page.open(f"{served.url}/")
            screen = Screen(300, 100)
            await page.until(lambda: "read-only" in (t := screen.text(page.frames)) and braille(t) > 20)
            assert "c001 Gate-GRPO" in screen.text(page.frames)
            assert await page.value("document.body.classList.contains('-first-byte')")
            assert await page.value("document.title || document.querySelector('.intro div').innerText")
            assert all(url.startswith(served.url) for url in page.asked), "nothing is fetched from elsewhere"
            shown = await page.screenshot(tmp_path / "dashboard.png")
            assert colours(shown) > 20
            await page.key("?")
            await page.until(lambda: "─ keys ─" in screen.text(page.frames))
            assert await page.screenshot(tmp_path / "help.png") != shown
            await page.key("?")
            await page.key("x")
            await page.until(lambda: "read-only: start" in screen.text(page.frames))


async def test_a_wrong_token_shows_nothing_and_the_printed_address_the_dashboard(own_world: Path) -> None:
    write(own_world / "runs")
    with serving("recorded", "--steer") as served:
        async with chromium() as page:
            await page.open(f"{served.url}/?token=wrong")
            await page.shows("the token is missing or wrong")
            await page.call("Page.navigate", url=f"{served.url}/?token={served.token}")
            screen = Screen(300, 100)
            await page.until(lambda: "c001 Gate-GRPO" in screen.text(page.frames))
            assert await page.value("location.search") == ""
            assert await page.value("document.cookie") == "", "no script can read it"


async def test_the_report_is_drawn_by_a_browser_and_asks_for_nothing(own_world: Path, tmp_path: Path) -> None:
    folder = make_run(own_world / "runs")
    page_file, *_ = write_report(folder, tmp_path / "report.html")
    async with chromium() as page:
        await page.open(page_file.as_uri())
        await page.until(lambda: bool(page.asked))
        while not await page.value("document.readyState === 'complete'"):
            pass
        said = await page.value("document.body.innerText")
        assert folder.id in said
        assert await page.value("[...document.querySelectorAll('h2')].length") >= 5
        # Every picture has a size on the page, and no text runs out of it to the right.
        sizes = await page.value("[...document.querySelectorAll('svg, img')].map(e => e.getBoundingClientRect().width)")
        assert sizes
        assert min(sizes) > 50
        assert await page.value("document.documentElement.scrollWidth <= window.innerWidth")
        assert all(url.startswith(("file:", "data:")) for url in page.asked)
        assert colours(await page.screenshot(tmp_path / "report.png")) > 20
