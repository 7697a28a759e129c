"""Training curves: of the selected candidate, those kept on the chart, those that train now, and the root."""

from dataclasses import replace

from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.strip import Strip

from poise_tui.format import Glyphs
from poise_tui.snapshot import METRICS
from poise_tui.state import Shown
from poise_tui.widgets.changes import changed_regions
from poise_tui.widgets.chart import SMOOTHING, Look
from poise_tui.widgets.pane import LinesPane
from poise_tui.widgets.plot import GUTTER, Paper, Plot, Series, same, series_of

MOST = 8
"""Curves at a time, besides those that are kept."""


class Curves(LinesPane):
    """A chart; its axes and legend are drawn into the same lines."""

    COMPONENT_CLASSES = {"curves--axis"}  # noqa: RUF012

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="curves")
        self._glyphs = glyphs
        self._series: tuple[Series, ...] = ()
        self._words = ""
        self.metric = METRICS[0]
        self.look = Look()
        self._plot = Plot()
        self._strips: list[Strip] | None = None

    @property
    def series(self) -> tuple[Series, ...]:
        """Who is on the chart, the selected candidate last."""
        return self._series

    @property
    def metrics(self) -> list[str]:
        """What can be shown of the curves that are there."""
        return list(dict.fromkeys(m for s in self._series for m in s.trial.curve.metrics)) or [METRICS[0]]

    @property
    def longest(self) -> int:
        """Updates of the longest training on the chart."""
        return max((s.trial.steps for s in self._series), default=1)

    def on_mount(self) -> None:
        self._redraw()

    # -- what is drawn -----------------------------------------------------------------------------------------

    def show(self, shown: Shown) -> None:
        """Draw another state of the run: the selected candidate last, over the others."""
        candidates = shown.snapshot.candidates
        running = [c for c in candidates.values() if c.running_trial is not None]
        kept = [candidates[node] for node in shown.overlaid if node in candidates]
        found: dict[str, Series] = {}
        for candidate in (shown.snapshot.root, *running[-MOST + 2 :], *kept, shown.candidate):
            if (series := series_of(candidate, candidate in kept)) is not None:
                found.pop(series.candidate, None)
                found[series.candidate] = series
        series_ = tuple(found.values())
        if not same(series_, self._series) or shown.words != self._words:
            self._series, self._words = series_, shown.words
            self._redraw()

    def turn_metric(self, step: int) -> None:
        """The next metric, or one before."""
        names = self.metrics
        place = names.index(self.metric) if self.metric in names else -1
        self.set_metric(names[(place + step) % len(names)])

    def set_metric(self, name: str) -> bool:
        """A metric by its name, blanks or underscores; False if there is none."""
        found = {m.replace("_", " "): m for m in self.metrics}.get(name.strip().replace("_", " "))
        if found is not None:
            self.metric = found
            self._redraw()
        return found is not None

    def change(self, what: str) -> None:
        """Draw otherwise: smooth, log, tail, in, out, bands."""
        look = self.look
        match what:
            case "smooth":
                place = SMOOTHING.index(look.smooth)
                look = replace(look, smooth=SMOOTHING[(place + 1) % len(SMOOTHING)])
            case "log":
                look = replace(look, log=not look.log)
            case "tail":
                look = replace(look, tail=not look.tail, window=None)
            case "bands":
                look = replace(look, bands=not look.bands)
            case "in" | "out":
                look = look.zoomed(0.5 if what == "in" else 2.0, self.longest)
        self.look = look
        self._redraw()

    def side(self, columns: int) -> bool:
        """Move the crosshair."""
        self.look = self.look.crossed(columns, self._updates_a_column(), self.longest)
        self._redraw()
        return True

    def step(self, rows: int) -> bool:
        return False

    def end(self, bottom: bool) -> bool:
        return False

    def no_cross(self) -> bool:
        """Take the crosshair away; False if there is none."""
        was, self.look = self.look, replace(self.look, cross=None)
        self._redraw()
        return was.cross is not None

    def _updates_a_column(self) -> float:
        across = self.look.across(self.longest)
        return (across.high - across.low) / max(1, self.size.width - GUTTER - 1)

    def on_click(self, event: Click) -> None:
        if (offset := event.get_content_offset(self)) is not None and offset.x >= GUTTER:
            at = self.look.across(self.longest).low + (offset.x - GUTTER) * self._updates_a_column()
            self.look = replace(self.look, cross=round(at))
            self._redraw()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.change("in")

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.change("out")

    def on_resize(self, _: Resize) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._redraw()

    def _redraw(self) -> None:
        said = self.look.words()
        self.border_title = f"3 {self.metric.replace('_', ' ')}{', ' * bool(said)}{said}"
        before = self._strips
        if before is None or len(before) != self.size.height:
            self._strips = None
            self.refresh()
            return
        self._strips = self._draw()  # all of it, but the terminal is told only what is another than before
        if regions := changed_regions(before, self._strips, self.size.width):
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._draw()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        axis = self.rich_style + self.get_component_rich_style("curves--axis")
        paper = Paper(self.size.width, self.size.height, self.rich_style, axis, self._glyphs)
        return self._plot.draw(self._series, self.metric, self.look, self._words, paper)
