"""Training curves: of the selected candidate, those kept on the chart, those that train now, and the root."""

from dataclasses import replace

from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.strip import Strip

from poise_tui.format import Glyphs, compact, shorten
from poise_tui.snapshot import METRICS, Candidate, Trial
from poise_tui.state import Shown
from poise_tui.widgets.braille import Canvas, Drawn
from poise_tui.widgets.changes import changed_regions
from poise_tui.widgets.chart import SMOOTHING, Look, Pieces, Smoother, band, logarithms, value_at
from poise_tui.widgets.decimation import Range
from poise_tui.widgets.pane import LinesPane
from poise_tui.widgets.plot import GUTTER, Paper, Plot, Series, same, series_of

MOST = 8
"""Curves at a time, besides those that are kept."""
TALL = 20
"""Rows from which each curve gets a line of its own in the legend."""
SEEDS = ("search", "baseline")
"""Purposes of trainings that are seeds of the same search."""


@dataclass(frozen=True)
class Series:
    """One candidate on the chart."""

    candidate: str
    name: str
    trial: Trial
    """Whose line is drawn."""
    seeds: tuple[Trial, ...]
    """All its trainings of the search, for the band."""
    kept: bool


def colour(candidate: str) -> str:
    """A candidate's colour: the same in every pane, at any time, in every run."""
    digits = "".join(c for c in candidate if c.isdigit())
    return COLOURS[int(digits[-9:] or 0) % len(COLOURS)]


def series_of(candidate: Candidate | None, kept: bool) -> Series | None:
    """What there is to draw of a candidate."""
    if candidate is None:
        return None
    trial = candidate.running_trial or candidate.main_trial
    if trial is None or not trial.curve.count:
        return None
    seeds = tuple(t for t in candidate.trials if t.purpose in SEEDS and t.curve.count)
    return Series(candidate.id, candidate.name, trial, seeds, kept)


def _same(one: tuple[Series, ...], other: tuple[Series, ...]) -> bool:
    """Whether two charts look the same. A trial's points never change, so that their number tells."""
    return len(one) == len(other) and all(
        (a.candidate, a.name, a.kept, len(a.seeds)) == (b.candidate, b.name, b.kept, len(b.seeds))
        and all(
            (s.id, s.steps, s.curve.count) == (t.id, t.steps, t.curve.count)
            for s, t in zip((a.trial, *a.seeds), (b.trial, *b.seeds), strict=True)
        )
        for a, b in zip(one, other, strict=True)
    )


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
        self._smooth = Smoother()
        self._drawn = Drawn()
        self._strips: list[Strip] | None = None

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
        if shown.words != self._words or not _same(series_, self._series):
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
        self.border_title = f"{self.metric.replace('_', ' ')}{', ' * bool(said)}{said}"
        before = self._strips
        if before is None or len(before) != self.size.height:
            self._strips = None
            self.refresh()
            return
        # All is put together anew, but the terminal is told only what is another than before.
        self._strips = self._draw(self.size.width, self.size.height)
        if regions := changed_regions(before, self._strips, self.size.width):
            self.refresh(*regions)

    # -- drawing -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._draw()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        """As many lines as there is room for."""
        rows, base = self._picture(width, height)[:height], self.rich_style
        return [row.adjust_cell_length(width, base) for row in rows] + [Strip.blank(width, base)] * (height - len(rows))

    def _picture(self, width: int, height: int) -> list[Strip]:
        look, legend = self.look, self._legend(width, height)
        canvas = Canvas(max(1, width - GUTTER), max(1, height - 1 - len(legend)), self._glyphs.cell)
        across = look.across(self.longest)
        raw = [self._line(s.trial, across, canvas.columns) for s in self._series]
        bands = [
            band([self._line(t, across, canvas.columns) for t in s.seeds]) if look.bands and len(s.seeds) > 1 else {}
            for s in self._series
        ]
        smooth: list[Pieces] = []
        if look.smooth:
            smooth = [self._line(s.trial, across, canvas.columns, look.smooth) for s in self._series]
        found = [value for pieces in raw for piece in pieces for _, value in piece]
        found += [value for ends in bands for pair in ends.values() for value in pair]
        if not found or width < GUTTER + 8 or height < 4:
            return self._say(width, height)
        upward = Range(min(found), max(found)).around()
        count = len(self._series)
        for owner, ends in enumerate(bands):
            for column, values_ in ends.items():
                canvas.shade(column, values_, upward, count + owner)
        for first, lines in ((count, raw), (0, smooth)) if smooth else ((0, raw),):
            for owner, (series, pieces) in enumerate(zip(self._series, lines, strict=True)):
                key = (series.trial.id, self.metric, look.smooth if first == 0 else 0.0)
                canvas.add(self._drawn.layer(key, canvas, pieces, upward), first + owner)
        self._drawn.forget_others({trial.id for s in self._series for trial in (s.trial, *s.seeds)})
        return [*legend, *self._rows(canvas, upward, across, width)]

    def _line(self, trial: Trial, across: Range, columns: int, smooth: float = 0.0) -> Pieces:
        """A curve in so many columns, smoothed or raw; on a logarithmic scale what is not above 0 is a gap."""
        curve = trial.curve
        values = self._smooth(trial, self.metric, smooth) if smooth else curve.values(self.metric)
        pieces = self._drawn.pieces((trial.id, self.metric, smooth), curve.steps(), values, across, columns)
        return logarithms(pieces) if self.look.log else pieces

    def _rows(self, canvas: Canvas, upward: Range, across: Range, width: int) -> list[Strip]:
        """The canvas with its axes."""
        base = self.rich_style
        axis = base + self.get_component_rich_style("curves--axis")
        styles = [base + self._style(owner) for owner in range(len(self._series))]
        styles += [style + Style(dim=True, bold=False) for style in styles]  # bands and raw lines
        styles.append(base)  # of owner -1, empty space
        middle = canvas.height // 2
        labels = {0: upward.high, middle: (upward.high + upward.low) / 2, canvas.height - 1: upward.low}
        cross = self._cross_column(across, canvas.width)
        rows = []
        for row in range(canvas.height):
            label = compact(10 ** labels[row] if self.look.log else labels[row]) if row in labels else ""
            joint = ("┤" if label else "│") if not self._glyphs.ascii else "|"
            cells = [Segment(f"{label:>{GUTTER - 2}} {joint}", axis)]
            at = 0
            for text, owner in canvas.runs(row):
                if owner < 0 and cross is not None and at <= cross < at + len(text):
                    before, after = cross - at, len(text) - (cross - at) - 1
                    cells += [Segment(" " * before, styles[-1]), Segment(self._glyphs.pipe[0], axis)]
                    cells.append(Segment(" " * after, styles[-1]))
                else:
                    cells.append(Segment(text, styles[owner]))
                at += len(text)
            rows.append(Strip(cells))
        right = f"{across.high:.0f} updates"
        bottom = " " * GUTTER + f"{across.low:.0f}" + right.rjust(width - GUTTER - len(f"{across.low:.0f}"))
        if cross is not None and self.look.cross is not None:
            told = f"update {self.look.cross:.0f}"
            place = max(GUTTER + 4, min(GUTTER + cross - len(told) // 2, width - len(right) - len(told) - 2))
            bottom = bottom[:place] + told + bottom[place + len(told) :]
        rows.append(Strip([Segment(bottom[:width], axis)]))
        return rows

    def _cross_column(self, across: Range, width: int) -> int | None:
        at = self.look.cross
        if at is None or not across.low <= at <= across.high:
            return None
        return min(width - 1, int((at - across.low) / max(1e-9, across.high - across.low) * (width - 1) + 0.5))

    def _legend(self, width: int, height: int) -> list[Strip]:
        """The value of each line at the crosshair, else the newest one; the selected candidate first."""
        order = list(reversed(range(len(self._series))))
        each = len(order) + 12 < height and height >= TALL
        room = max(12, width if each else width // max(1, min(len(order), 3)))
        lines, base = [], self.rich_style
        for owner in order:
            series = self._series[owner]
            curve = series.trial.curve
            value = compact(
                curve.last(self.metric)
                if self.look.cross is None
                else value_at(curve.steps(), curve.values(self.metric), self.look.cross)
            )
            mark = "+" if series.kept else ""
            text = shorten(
                f"{self._glyphs.dot} {mark}{series.candidate} {series.name}", room - len(value) - 3, self._glyphs
            )
            seeds = f" ({len(series.seeds)} seeds)" if each and len(series.seeds) > 1 else ""
            lines.append(Segment(f" {text} {value}{seeds} ", base + self._style(owner)))
        return [Strip(row) for row in ([[segment] for segment in lines] if each else [lines])]

    def _style(self, owner: int) -> Style:
        selected = owner == len(self._series) - 1
        return Style(color=colour(self._series[owner].candidate), bold=selected)

    def _say(self, width: int, height: int) -> list[Strip]:
        words = self._words or f"no {self.metric.replace('_', ' ')} yet"
        blank = Strip.blank(width, self.rich_style)
        text = shorten(words, width, self._glyphs).center(width)
        middle = Strip([Segment(text, self.rich_style + self.get_component_rich_style("curves--axis"))])
        return [*[blank] * (height // 2), middle]
