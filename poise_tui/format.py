"""How things look as text: numbers, times, statuses, glyphs; untrusted text is made harmless by `engine.untrusted`."""

import locale
import math
import os
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size

from engine.untrusted import many_lines as many_lines
from engine.untrusted import one_line as one_line
from poise_tui import cells
from poise_tui.cells import Cell

LIVE = frozenset({"training", "scoring", "verifying"})
"""Statuses of a candidate that something works on right now."""


def number(value: float | None, digits: int = 1) -> str:
    """A score with fixed digits; a dash for none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign; nothing for none."""
    return "" if value is None or not math.isfinite(value) else f"{value:+.{digits}f}"


def compact(value: float | None) -> str:
    """A number of any size in at most seven characters, for axes and legends."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    if size < 0.1:
        return f"{value:.2g}"
    return f"{value:.{max(0, min(3, 3 - len(str(int(size)))))}f}"


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def age(seconds: float) -> str:
    """A span of time in its largest unit: 40 s, 12 min, 3 h, 2 d."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def share(used: float, total: float) -> str:
    """Memory given in MiB, in the unit people read: 2.1 of 23.5 GiB."""
    return f"{used:.0f} of {total:.0f} MiB" if total < 1000 else f"{used / 1024:.1f} of {total / 1024:.1f} GiB"


@dataclass(frozen=True)
class Glyphs:
    """The characters the dashboard draws with; none that a terminal may show as an emoji, two columns wide."""

    status: dict[str, str]
    pipe: str
    blank: str
    tee: str
    elbow: str
    folded: str
    dot: str
    hollow: str
    bar: str
    trough: str
    cell: Cell
    """What charts are drawn with."""
    ellipsis: str
    mark: dict[str, str]
    """What an interval over the root says."""
    confirmed: str
    front: str
    """Of a candidate that none beats in every task."""
    sparks: str
    """From low to high."""
    half: str
    """Before half the width of an interval."""

    @property
    def ascii(self) -> bool:
        """Whether there is nothing but ASCII."""
        return self.cell is cells.ASCII

    def spark(self, value: float, most: float) -> str:
        """One character as high as a value of 0 to `most`."""
        share = value / most if most > 0 else 0.0
        return self.sparks[max(0, min(len(self.sparks) - 1, int(share * len(self.sparks))))]


UNICODE = Glyphs(
    status={
        "queued": "○",
        "verifying": "◌",
        "training": "▸",
        "paused": "‖",
        "scoring": "◐",
        "scored": "●",
        "stopped": "■",
        "failed": "✗",
        "infeasible": "⊘",
        "pruned": "╳",
        "duplicate": "≡",
    },
    pipe="│ ",
    blank="  ",
    tee="├ ",
    elbow="└ ",
    folded="…",
    dot="●",
    hollow="○",
    bar="█",
    trough="░",
    cell=cells.BRAILLE,
    ellipsis="…",
    mark={"better": "▲", "worse": "▼", "can't tell": "≈"},
    confirmed="★",
    front="◆",
    sparks="▁▂▃▄▅▆▇█",
    half="±",
)

ASCII = Glyphs(
    status={
        "queued": ".",
        "verifying": "v",
        "training": ">",
        "paused": "=",
        "scoring": "o",
        "scored": "*",
        "stopped": "#",
        "failed": "!",
        "infeasible": "/",
        "pruned": "x",
        "duplicate": "~",
    },
    pipe="| ",
    blank="  ",
    tee="|-",
    elbow="`-",
    folded="+",
    dot="*",
    hollow="o",
    bar="#",
    trough="-",
    cell=cells.ASCII,
    ellipsis="~",
    mark={"better": "+", "worse": "-", "can't tell": "~"},
    confirmed="*",
    front="P",
    sparks="_.-=*#",
    half="+-",
)


BLOCKS = replace(UNICODE, cell=cells.BLOCK)
"""For fonts and multiplexers that have box lines and blocks, but no braille."""

GLYPHS = {"braille": UNICODE, "block": BLOCKS, "ascii": ASCII}
CONSOLES = ("linux", "dumb", "vt100", "vt220")
"""Terminals whose fonts end where ASCII does."""


def choose_glyphs(asked: str | None = None) -> Glyphs:
    """What to draw with: `--glyphs`, else $POISE_GLYPHS, else what the terminal says of itself.

    Args:
        asked: a name of `GLYPHS`; None or `auto` for the terminal's word. POISE_ASCII=1 is short for `ascii`.
    """
    named = asked if asked not in (None, "auto") else os.environ.get("POISE_GLYPHS", "")
    if named in GLYPHS:
        return GLYPHS[named]
    if os.environ.get("POISE_ASCII", "") not in ("", "0") or os.environ.get("TERM", "") in CONSOLES:
        return ASCII
    encoding = locale.getencoding().lower().replace("-", "")  # the terminal's, whatever Python's UTF-8 mode says
    return UNICODE if encoding == "utf8" else ASCII


def shorten(text: str, width: int, glyphs: Glyphs) -> str:
    """The text, cut to so many columns with a mark that it was cut."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + glyphs.ellipsis
