"""Training curves of the selected candidate, of those that train now, and of the root; one metric at a time."""

from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.strip import Strip

from poise_tui.format import Glyphs, compact, shorten
from poise_tui.snapshot import METRICS, Candidate, Snapshot, Trial
from poise_tui.widgets.braille import Canvas, Drawn
from poise_tui.widgets.changes import changed_regions
from poise_tui.widgets.decimation import Range
from poise_tui.widgets.pane import LinesPane

COLOURS = ("#e69f00", "#56b4e9", "#2fb380", "#b8a100", "#4a8fd9", "#e8703a", "#cc79a7", "#9a86e0")
"""Told apart by colour-blind eyes too (after Okabe and Ito), on dark and on light ground."""

GUTTER = 8
"""Columns for the labels of the y axis."""

MOST = 8
"""Curves at a time."""


@dataclass(frozen=True)
class Series:
    """One line of the chart."""

    candidate: str
    name: str
    trial: Trial


def colour(candidate: str) -> str:
    """A candidate's colour: the same in every pane, at any time, in every run."""
    digits = "".join(c for c in candidate if c.isdigit())
    return COLOURS[int(digits[-9:] or 0) % len(COLOURS)]


def same(one: tuple[Series, ...], other: tuple[Series, ...]) -> bool:
    """Whether two charts look the same. A trial's points never change, so that their number tells."""
    return [(s.candidate, s.name, s.trial.id, s.trial.steps, s.trial.curve.count) for s in one] == [
        (s.candidate, s.name, s.trial.id, s.trial.steps, s.trial.curve.count) for s in other
    ]


class Curves(LinesPane):
    """A chart; its axes and legend are drawn into the same lines."""

    COMPONENT_CLASSES = {"curves--axis"}  # noqa: RUF012

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="curves")
        self._glyphs = glyphs
        self._series: tuple[Series, ...] = ()
        self._words = ""
        self._metric = 0
        self._strips: list[Strip] | None = None
        self._drawn = Drawn()

    @property
    def metric(self) -> str:
        """The metric on show."""
        return METRICS[self._metric]

    def on_mount(self) -> None:
        self._title()

    def side(self, columns: int) -> bool:
        """Another metric."""
        self._metric = (self._metric + columns) % len(METRICS)
        self._title()
        self._redraw()
        return True

    def step(self, rows: int) -> bool:
        return False

    def end(self, bottom: bool) -> bool:
        return False

    def show(self, snapshot: Snapshot, selected: Candidate | None, words: str) -> None:
        """Draw another state of the run.

        Args:
            selected: drawn last, over the others.
            words: what to say as long as there is nothing to draw.
        """
        running = [c for c in snapshot.candidates.values() if c.running_trial is not None]
        wanted = [snapshot.root, *running[-MOST + 2 :], selected]
        found: dict[str, Series] = {}
        for c in wanted:
            if c is not None and (trial := c.running_trial or c.main_trial) is not None and trial.curve.count:
                found.pop(c.id, None)
                found[c.id] = Series(c.id, c.name, trial)
        series = tuple(found.values())
        if words != self._words or not same(series, self._series):
            self._series, self._words = series, words
            self._redraw()

    def on_resize(self, _: Resize) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._redraw()

    def _title(self) -> None:
        self.border_title = f"2 {self.metric.replace('_', ' ')}"
        self.border_subtitle = "m: next metric"

    def _redraw(self) -> None:
        """Draw it all, but tell the terminal only what is another than before."""
        before = self._strips
        if before is None or len(before) != self.size.height:
            self._strips = None
            self.refresh()
            return
        self._strips = self._draw(self.size.width, self.size.height)
        if regions := changed_regions(before, self._strips, self.size.width):
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._draw(self.size.width, self.size.height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        canvas = Canvas(max(1, width - GUTTER), max(1, height - 2), braille=self._glyphs.braille)
        lines = []
        longest = max((s.trial.steps for s in self._series), default=1)
        across = Range(1, max(2, longest))
        keys = [(series.trial.id, self.metric) for series in self._series]
        self._drawn.forget_others(set(keys))
        for key, series in zip(keys, self._series, strict=True):
            curve = series.trial.curve
            lines.append(self._drawn.pieces(key, curve.steps(), curve.values(self.metric), across, canvas.columns))
        found = [value for pieces in lines for piece in pieces for _, value in piece]
        if not found or width < GUTTER + 8 or height < 4:
            return self._say(width, height)
        upward = Range(min(found), max(found)).around()
        for owner, (key, pieces) in enumerate(zip(keys, lines, strict=True)):
            canvas.add(self._drawn.layer(key, canvas, pieces, upward), owner)
        base = self.rich_style
        styles = [base + self._style(owner) for owner in range(len(self._series))]
        styles.append(base)  # of owner -1, empty space
        rows = [self._legend(width, styles)]
        labels = {0: upward.high, canvas.height // 2: (upward.high + upward.low) / 2, canvas.height - 1: upward.low}
        axis = base + self.get_component_rich_style("curves--axis")
        for row in range(canvas.height):
            label = compact(labels[row]) if row in labels else ""
            joint = ("┤" if label else "│") if self._glyphs.braille else "|"
            cells = [Segment(f"{label:>{GUTTER - 2}} {joint}", axis)]
            cells += [Segment(text, styles[owner]) for text, owner in canvas.runs(row)]
            rows.append(Strip(cells))
        right = f"{longest} updates"
        bottom = " " * GUTTER + "1" + right.rjust(width - GUTTER - 1)
        rows.append(Strip([Segment(bottom[:width], axis)]))
        rows = rows[:height] + [Strip.blank(width, base)] * (height - len(rows))
        return [row.adjust_cell_length(width, base) for row in rows]

    def _legend(self, width: int, styles: list[Style]) -> Strip:
        """The newest value of each line, the selected first."""
        cells: list[Segment] = []
        room = max(12, width // max(1, min(len(self._series), 3)))
        for owner in reversed(range(len(self._series))):
            series = self._series[owner]
            value = compact(series.trial.curve.last(self.metric))
            text = shorten(f"{self._glyphs.dot} {series.candidate} {series.name}", room - len(value) - 3, self._glyphs)
            cells.append(Segment(f" {text} {value} ", styles[owner]))
        return Strip(cells)

    def _style(self, owner: int) -> Style:
        selected = owner == len(self._series) - 1
        return Style(color=colour(self._series[owner].candidate), bold=selected)

    def _say(self, width: int, height: int) -> list[Strip]:
        words = self._words or f"no {self.metric.replace('_', ' ')} yet"
        blank = Strip.blank(width, self.rich_style)
        text = shorten(words, width, self._glyphs).center(width)
        middle = Strip([Segment(text, self.rich_style + self.get_component_rich_style("curves--axis"))])
        below = [blank] * (height - height // 2 - 1)
        return [*[blank] * (height // 2), middle.adjust_cell_length(width, self.rich_style), *below][:height]
