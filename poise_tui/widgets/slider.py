"""The line of a replay: whether it plays, how fast, where it stands, and when that was."""

from collections.abc import Callable
from datetime import datetime

from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from poise_tui.format import Glyphs, duration
from poise_tui.replay import Place, ReplayFeed

REFRESH_SECONDS = 0.25


class Slider(Static):
    """Shows the place in time; a click goes there."""

    def __init__(self, glyphs: Glyphs, feed: Callable[[], ReplayFeed]) -> None:
        super().__init__(id="slider")
        self._glyphs, self._feed = glyphs, feed
        self._track = (0, 1)
        self._said: Content | None = None

    def on_mount(self) -> None:
        self.say()
        self.set_interval(REFRESH_SECONDS, self._beat)

    def on_resize(self) -> None:
        self.say()

    def _beat(self) -> None:
        if self.screen is self.app.screen_stack[0]:
            self.say()

    def say(self) -> None:
        """Show where the replay stands now."""
        content = self._line(self._feed().place)
        if self._said is None or not content.is_same(self._said):
            self._said = content
            self.update(content, layout=False)

    def _line(self, place: Place) -> Content:
        if not place.length:
            return Content(" reading the recording" + self._glyphs.ellipsis)
        glyphs = self._glyphs
        mark = glyphs.status["training" if place.playing else "paused"]
        before = f" {mark} {place.speed:g}x  {duration(place.at)} of {duration(place.length)}  "
        after = f"  {datetime.fromtimestamp(place.time):%Y-%m-%d %H:%M:%S} "
        room = max(4, self.size.width - len(before) - len(after))
        at = round((room - 1) * place.at / place.length)
        self._track = (len(before), room)
        track = Content.assemble(
            (glyphs.bar * at, "$primary 60%"),
            (glyphs.dot, "bold $accent"),
            (glyphs.trough * (room - at - 1), "$border"),
        )
        return Content.assemble((before, "bold"), track, (after, "$foreground 70%"))

    def on_click(self, event: Click) -> None:
        start, room = self._track
        if start <= event.x < start + room:
            feed = self._feed()
            feed.seek(feed.place.length * (event.x - start) / max(1, room - 1))
            self.say()
