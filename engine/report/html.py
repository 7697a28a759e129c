"""A report as one HTML page that needs nothing else: style, pictures and a few lines of script are in it.

The page's policy forbids every request and every script but ours, whatever a candidate's text holds.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from engine.report.blocks import Block, Bullets, Cell, Code, Figure, Heading, Prose, Report, Table, Text
from engine.untrusted import many_lines, one_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

SCRIPT = """
for (const table of document.querySelectorAll("table.sorts")) table.querySelectorAll("th").forEach((head, i) => {
  head.addEventListener("click", () => {
    const body = table.tBodies[0], rows = [...body.rows].filter(r => !r.classList.contains("remark"));
    const up = head.dataset.up = head.dataset.up === "1" ? "" : "1";
    const of = row => { const t = row.cells[i].textContent, n = parseFloat(t); return isNaN(n) ? t : n; };
    const order = (x, y) => typeof x === typeof y ? (x > y) - (x < y) : typeof x === "number" ? -1 : 1;
    rows.sort((a, b) => (up ? 1 : -1) * order(of(a), of(b)));
    body.querySelectorAll("tr.remark").forEach(r => r.remove());
    body.append(...rows);
  });
});
"""
"""Sorts a table by the column that is clicked; the line of chance then has no place and goes."""


def to_html(report: Report) -> str:
    """The page."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    css = files(__package__).joinpath("page.css").read_text()
    contents = "".join(f'<a href="#{s.id}">{_text(s.title)}</a>' for s in report.sections)
    sections = "".join(
        f'<section id="{s.id}"><h2><small>{number}</small>{_text(s.title)}</h2>{_blocks(s.blocks)}</section>'
        for number, s in enumerate(report.sections, 1)
    )
    yes = " yes" if "Confirmed" in "".join(b.text for b in report.answer if isinstance(b, Text))[:9] else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(report.title)}</title><style>{css}</style></head>\n<body>"
        f"<header><h1>{_text(report.title)}</h1><p>{_text(report.subtitle)}</p>"
        f'<div class="answer{yes}">{_blocks(report.answer)}</div><nav>{contents}</nav></header>\n'
        f"<main>{sections}</main>\n<footer>Made by <code>poise report</code> from the run's folder alone.</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _blocks(blocks: Iterable[Block]) -> str:
    return "\n".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Text(text, tone):
            return f'<p class="{tone}">{_text(text)}</p>' if tone else f"<p>{_text(text)}</p>"
        case Heading(text):
            return f"<h3>{_text(text)}</h3>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>"
        case Code(text):
            return f"<pre><code>{escape(many_lines(text))}</code></pre>"
        case Figure(svg, caption):
            return f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"
        case Table():
            return _table(block)
        case Prose(markdown):
            return f'<div class="prose">{_prose(markdown)}</div>'


def _text(text: str) -> str:
    """Escaped; what stands between backticks is shown as code."""
    pieces = escape(one_line(text, 20_000)).split("`")
    if len(pieces) % 2 == 0:  # one without its partner
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


def _table(table: Table) -> str:
    head = "".join(f'<th class="{a}">{_text(h)}</th>' for h, a in zip(table.head, table.align, strict=True))
    body = "".join(_row(row, table) for row in table.rows)
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    sorts = ' class="sorts"' if len(table.rows) > 3 else ""
    return (
        f'<div class="scroll"><table{sorts}>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(row: Sequence[Cell | str], table: Table) -> str:
    cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
    if len(cells) < len(table.head):
        return f'<tr class="remark"><td colspan="{len(table.head)}">{_text(cells[-1].text)}</td></tr>'
    return "<tr>" + "".join(_cell(c, a) for c, a in zip(cells, table.align, strict=True)) + "</tr>"


def _cell(cell: Cell, align: str) -> str:
    short = " n" if align != "w" and len(cell.text) <= 30 else ""
    title = f' title="{escape(many_lines(cell.title))}"' if cell.title else ""
    return (
        f'<td class="{align}{short}{" " + cell.tone if cell.tone else ""}"{title}>{cell.svg or _text(cell.text)}</td>'
    )


def _prose(markdown: str) -> str:
    return str(renderer().render(many_lines(markdown)))


def renderer() -> MarkdownIt:
    """Markdown as HTML: no HTML of its own, no links, no pictures; headings as deep as in a section."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["image", "link", "autolink", "reference", "html_block", "html_inline"])

    def deeper(state: object) -> None:
        for token in state.tokens:  # type: ignore[attr-defined]
            if token.type in ("heading_open", "heading_close"):
                token.tag = f"h{min(6, int(token.tag[1]) + 2)}"

    parser.core.ruler.push("deeper", deeper)
    return parser
