"""Draws curves of candidates into lines of text: legend, bands of seeds, raw and smoothed lines, axes, crosshair."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from poise_tui.format import Glyphs, compact, shorten
from poise_tui.snapshot import Candidate, Trial
from poise_tui.widgets.braille import Canvas, Drawn
from poise_tui.widgets.chart import Look, Pieces, Smoother, band, logarithms, value_at
from poise_tui.widgets.decimation import Range

COLOURS = ("#e69f00", "#56b4e9", "#2fb380", "#b8a100", "#4a8fd9", "#e8703a", "#cc79a7", "#9a86e0")
"""Told apart by colour-blind eyes too (after Okabe and Ito), on dark and on light ground."""

GUTTER = 8
"""Columns for the labels of the y axis."""
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
    kept: bool = False
    """Whether the user keeps it on the chart."""


@dataclass(frozen=True)
class Paper:
    """What is drawn on, and with."""

    width: int
    height: int
    ground: Style
    axis: Style
    glyphs: Glyphs


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


def same(one: Sequence[Series], other: Sequence[Series]) -> bool:
    """Whether two charts look the same. A trial's points never change, so that their number tells."""
    return list(map(_face, one)) == list(map(_face, other))


def _face(s: Series) -> tuple[object, ...]:
    seeds = [(t.id, t.curve.count) for t in s.seeds]
    return s.candidate, s.name, s.kept, s.trial.id, s.trial.steps, s.trial.curve.count, seeds


class Plot:
    """Remembers what it has drawn of curves that only grow."""

    def __init__(self) -> None:
        self._smooth = Smoother()
        self._drawn = Drawn()

    def draw(self, series: Sequence[Series], metric: str, look: Look, words: str, paper: Paper) -> list[Strip]:
        """As many lines as the paper has.

        Args:
            series: the selected candidate last, over the others.
            words: what to say as long as there is nothing to draw.
        """
        legend = _legend(series, metric, look, paper)
        canvas = Canvas(max(1, paper.width - GUTTER), max(1, paper.height - 1 - len(legend)), paper.glyphs.cell)
        longest = max((s.trial.steps for s in series), default=1)
        across = look.across(longest)
        raw = [self._line(s.trial, metric, look, across, canvas.columns) for s in series]
        reach = canvas.columns / max(1.0, across.high - across.low)
        bands = [
            band([self._line(t, metric, look, across, canvas.columns) for t in s.seeds], reach)
            if look.bands and len(s.seeds) > 1
            else {}
            for s in series
        ]
        smooth = [self._smoothed(s.trial, metric, look, across, canvas.columns) for s in series] if look.smooth else []
        found = [value for pieces in raw for piece in pieces for _, value in piece]
        found += [value for ends in bands for pair in ends.values() for value in pair]
        if not found or paper.width < GUTTER + 8 or paper.height < 4:
            return _say(words or f"no {metric.replace('_', ' ')} yet", paper)
        upward = Range(min(found), max(found)).around()
        count = len(series)
        for owner, ends in enumerate(bands):
            canvas.add(canvas.shade(ends, upward), count + owner)
        keys: set[Hashable] = set()
        for kind, first, lines in (("raw", count, raw), ("smooth", 0, smooth)) if smooth else (("raw", 0, raw),):
            for owner, pieces in enumerate(lines):
                key = (series[owner].trial.id, metric, kind, look.smooth if kind == "smooth" else 0.0)
                canvas.add(self._drawn.layer(key, canvas, pieces, upward), first + owner)
                keys.add(key)
        seeds = {(t.id, metric, "raw", 0.0) for s in series for t in s.seeds}
        self._drawn.forget_others(keys | seeds)
        rows = [*legend, *_rows(canvas, series, look, (across, upward), paper)]
        rows = rows[: paper.height] + [Strip.blank(paper.width, paper.ground)] * (paper.height - len(rows))
        return [row.adjust_cell_length(paper.width, paper.ground) for row in rows]

    def _line(self, trial: Trial, metric: str, look: Look, across: Range, columns: int) -> Pieces:
        key, curve = (trial.id, metric, "raw", 0.0), trial.curve
        pieces = self._drawn.pieces(key, curve.steps(), curve.values(metric), across, columns)
        return logarithms(pieces) if look.log else pieces

    def _smoothed(self, trial: Trial, metric: str, look: Look, across: Range, columns: int) -> Pieces:
        key, values = (trial.id, metric, "smooth", look.smooth), self._smooth(trial, metric, look.smooth)
        pieces = self._drawn.pieces(key, trial.curve.steps(), values, across, columns)
        return logarithms(pieces) if look.log else pieces


def _rows(canvas: Canvas, series: Sequence[Series], look: Look, axes: tuple[Range, Range], paper: Paper) -> list[Strip]:
    """The canvas with its axes."""
    across, upward = axes
    styles = [_style(series, owner, paper) for owner in range(len(series))]
    styles += [style + Style(dim=True, bold=False) for style in styles]  # bands and raw lines
    styles.append(paper.ground)  # of owner -1, empty space
    middle = canvas.height // 2
    labels = {0: upward.high, middle: (upward.high + upward.low) / 2, canvas.height - 1: upward.low}
    cross = _cross_column(look, across, canvas.width)
    rows = []
    for row in range(canvas.height):
        label = compact(10 ** labels[row] if look.log else labels[row]) if row in labels else ""
        joint = ("┤" if label else "│") if not paper.glyphs.ascii else "|"
        cells = [Segment(f"{label:>{GUTTER - 2}} {joint}", paper.axis)]
        at = 0
        for text, owner in canvas.runs(row):
            if owner < 0 and cross is not None and at <= cross < at + len(text):
                cells.append(Segment(" " * (cross - at), paper.ground))
                cells.append(Segment(paper.glyphs.pipe[0], paper.axis))
                cells.append(Segment(" " * (at + len(text) - cross - 1), paper.ground))
            else:
                cells.append(Segment(text, styles[owner]))
            at += len(text)
        rows.append(Strip(cells))
    left, right = f"{across.low:.0f}", f"{across.high:.0f} updates"
    bottom = " " * GUTTER + left + right.rjust(paper.width - GUTTER - len(left))
    if cross is not None and look.cross is not None:
        told = f" update {look.cross:.0f} "
        place = max(GUTTER + len(left), min(GUTTER + cross - len(told) // 2, paper.width - len(right) - len(told)))
        bottom = bottom[:place] + told + bottom[place + len(told) :]
    rows.append(Strip([Segment(bottom[: paper.width], paper.axis)]))
    return rows


def _cross_column(look: Look, across: Range, width: int) -> int | None:
    if look.cross is None or not across.low <= look.cross <= across.high:
        return None
    share = (look.cross - across.low) / max(1e-9, across.high - across.low)
    return min(width - 1, int(share * (width - 1) + 0.5))


def _legend(series: Sequence[Series], metric: str, look: Look, paper: Paper) -> list[Strip]:
    """The value of each line at the crosshair, else the newest one; the selected candidate first."""
    each = len(series) + 12 < paper.height and paper.height >= TALL
    room = max(12, paper.width if each else paper.width // max(1, min(len(series), 3)))
    lines = []
    for owner in reversed(range(len(series))):
        one = series[owner]
        curve = one.trial.curve
        known = curve.last(metric) if look.cross is None else value_at(curve.steps(), curve.values(metric), look.cross)
        value = compact(known)
        kept = "+" if one.kept else ""
        text = f"{paper.glyphs.dot} {kept}{one.candidate} {one.name}"
        seeds = f" ({len(one.seeds)} seeds)" if each and len(one.seeds) > 1 else ""
        text = shorten(text, room - len(value) - len(seeds) - 3, paper.glyphs)
        lines.append(Segment(f" {text} {value}{seeds} ", _style(series, owner, paper)))
    return [Strip([segment]) for segment in lines] if each and lines else [Strip(lines)]


def _style(series: Sequence[Series], owner: int, paper: Paper) -> Style:
    return paper.ground + Style(color=colour(series[owner].candidate), bold=owner == len(series) - 1)


def _say(words: str, paper: Paper) -> list[Strip]:
    blank = Strip.blank(paper.width, paper.ground)
    text = shorten(words, paper.width, paper.glyphs).center(paper.width)
    middle = Strip([Segment(text, paper.axis)]).adjust_cell_length(paper.width, paper.ground)
    above = paper.height // 2
    return [*[blank] * above, middle, *[blank] * (paper.height - above - 1)][: paper.height]
