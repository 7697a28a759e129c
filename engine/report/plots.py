"""Line charts as inline SVG, drawn by matplotlib in colours that the page's style sheet decides (light and dark)."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = ("ink", "muted", "line", "band", "better", "worse", "unsure", "s0", "s1", "s2", "s3", "s4")
COLOURS = {name: f"#a1b2{index:02x}" for index, name in enumerate(NAMES)}
"""Stand-ins: each is replaced by the style sheet's variable of that name."""
SERIES = ("s0", "s1", "s2", "s3", "s4")
Kind = Literal["line", "step", "dots", "dashes"]


@dataclass(frozen=True)
class Series:
    """Points of one colour; `label` is for the legend, "" for none."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    kind: Kind = "line"
    label: str = ""
    width: float = 1.6


@dataclass(frozen=True)
class Band:
    """A filled area between two lines over x."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One small chart."""

    title: str
    x_label: str = ""
    y_label: str = ""
    series: Sequence[Series] = ()
    bands: Sequence[Band] = ()
    whole_x: bool = False
    y_limits: tuple[float, float] | None = None


def draw(panels: Sequence[Panel], name: str, columns: int, height: float = 2.3) -> str:
    """The panels side by side as one `<svg>`.

    Args:
        name: prefix of the ids in it, its own for each figure of a page.
        columns: panels in a row.
        height: of a row, in inches; a row is ten wide.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    # It tells of a font cache that it builds at its first use; nobody needs to know.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    rows = -(-len(panels) // columns)
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(10, height * rows), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=False):
            _fill(axes, panel)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=panel.whole_x))
        for axes in list(grid)[len(panels) :] if rows * columns > len(panels) else []:
            axes.set_axis_off()
        out = io.BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _clean(out.getvalue().decode(), name)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """The colours' meaning as a line of markup above a figure: (colour, escaped words)."""
    items = (f'<span><i style="background:var(--{colour})"></i>{words}</span>' for colour, words in entries)
    return f'<div class="legend">{"".join(items)}</div>'


def _fill(axes: Axes, panel: Panel) -> None:
    for band in panel.bands:
        axes.fill_between(band.x, band.low, band.high, color=COLOURS["band"], linewidth=0)
    for series in panel.series:
        colour = COLOURS[series.colour]
        match series.kind:
            case "line":
                axes.plot(series.x, series.y, color=colour, linewidth=series.width, solid_joinstyle="round")
            case "dashes":
                axes.plot(series.x, series.y, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
            case "step":
                axes.step(series.x, series.y, color=colour, linewidth=series.width, where="post")
            case "dots":
                axes.plot(series.x, series.y, color=colour, linestyle="", marker="o", markersize=3.6, alpha=0.75)
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    if panel.y_limits:
        axes.set_ylim(*panel.y_limits)
    axes.margins(x=0.02)


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it is found, copied, and drawn in the page's font
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
}


def _clean(svg: str, name: str) -> str:
    """Only the element, its ids made its own, its colours those of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="', f' id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    for variable, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return re.sub(r">\s+<", "><", svg).strip()
