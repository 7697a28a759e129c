"""What a report is made of. Every text in a block is plain and may come from a model; the renderers escape it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "better", "worse", "unsure", "muted", "strong"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says, in both renderings.
        tone: its colour in the page.
        svg: a small picture in place of the text, in the page alone; our own markup, never a candidate's.
        title: what hovering shows.
    """

    text: str
    tone: Tone = ""
    svg: str = ""
    title: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone` "strong" stands out, "muted" is a remark."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows under a head. `align`: l, r or w (left, may wrap) a column. A shorter row is a remark between the others."""

    head: Sequence[str]
    align: str
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        svg: our own markup; texts in it are escaped already.
        caption: what it shows and how to read it.
        words: the same as preformatted text, for Markdown; "" where the tables say it all.
    """

    svg: str
    caption: str
    words: str = ""


@dataclass(frozen=True)
class Code:
    """A file or a command, as it is."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Prose:
    """Markdown that the run has written (its knowledge page); rendered by a safe subset."""

    markdown: str


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


Block = Text | Bullets | Table | Figure | Code | Prose | Heading


@dataclass(frozen=True)
class Section:
    """A part of the report; `id` is its anchor."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """All of it; `answer` is what somebody reads who reads nothing else."""

    title: str
    subtitle: str
    answer: Sequence[Block]
    sections: Sequence[Section]
