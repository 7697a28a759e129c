"""The same report as Markdown: for a pull request, a wiki, a terminal. Pictures become text or are left to the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from engine.report.blocks import Block, Bullets, Cell, Code, Figure, Heading, Prose, Report, Table, Text
from engine.untrusted import many_lines, one_line

SPECIAL = re.compile(r"([\\`|*_\[\]<>#~])")
STARTS = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")


def to_markdown(report: Report) -> str:
    """The document."""
    parts = [f"# {inline(report.title)}", inline(report.subtitle), *map(_block, report.answer)]
    for section in report.sections:
        parts += [f"## {inline(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def inline(text: str) -> str:
    """Text that no renderer takes for markup, on one line; what stands between two single backticks stays code."""
    said = one_line(text, 20_000)
    pieces = said.split("`")
    if "``" in said or len(pieces) % 2 == 0:  # where code begins and ends would be open to tricks
        return _escaped(said)
    return "`".join(piece if i % 2 else _escaped(piece) for i, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text.replace("&", "&amp;"))


def _paragraph(text: str) -> str:
    return STARTS.sub(r"\1\\\2", inline(text))


def _block(block: Block) -> str:
    match block:
        case Text(text, "strong"):
            return f"**{inline(text)}**"
        case Text(text):
            return _paragraph(text)
        case Heading(text):
            return f"### {inline(text)}"
        case Bullets(items):
            return "\n".join(f"- {_paragraph(item)}" for item in items)
        case Code(text, language):
            return _fenced(text, language)
        case Figure(_, caption, words):
            return (
                _fenced(words, "") + "\n\n" if words else ""
            ) + f"{_paragraph(caption)} (The picture is in the HTML page.)"
        case Table():
            return _table(block)
        case Prose(markdown):
            return _prose(markdown)


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in it."""
    text = many_lines(text).strip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _table(table: Table) -> str:
    shown = [i for i in range(len(table.head)) if table.head[i] or any(_says(row, i) for row in table.rows)]
    lines = [
        _line(inline(table.head[i]) for i in shown),
        _line("---:" if table.align[i] == "r" else "---" for i in shown),
    ]
    for row in table.rows:
        if len(row) < len(table.head):
            lines.append(_line([*[""] * (len(shown) - 1), f"*{_cell(row[-1])}*"]))
        else:
            lines.append(_line(_cell(row[i]) for i in shown))
    return "\n".join(lines) + (f"\n\n{_paragraph(table.caption)}" if table.caption else "")


def _cell(cell: Cell | str) -> str:
    return _escaped(one_line(_said(cell), 20_000))


def _says(row: Sequence[Cell | str], column: int) -> bool:
    return len(row) > column and bool(_said(row[column])) and len(row) > 2


def _said(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _prose(markdown: str) -> str:
    """The run's own Markdown, two headings deeper; nothing in it becomes HTML, a link or a picture."""
    text = many_lines(markdown).replace("<", "&lt;")
    text = re.sub(r"([\[\]])", r"\\\1", text)
    return re.sub(r"^(#{1,4}) ", r"\1## ", text, flags=re.MULTILINE).strip()
