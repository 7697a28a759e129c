"""The lineage as a picture: depth to the right, a line to every child, colour by what is known of a candidate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape

from engine.archive.store import Document
from engine.report.blocks import Block, Figure, Text
from engine.report.plots import legend
from engine.report.story import WHOLE, Story
from engine.report.words import GLYPH, called, interval, mark_of, mechanism, mechanisms_of, name_of, number
from engine.untrusted import one_line

ROW, TOP, LEFT, RADIUS = 22, 16, 16, 5.5
WIDTH = 1000
COLUMN = (110, 190)
"""Least and most pixels from a depth to the next."""
COLOURS = {
    "root": "ink",
    "better": "better",
    "worse": "worse",
    "can't tell": "unsure",
    "stopped": "stopped",
    "failed": "failed",
    "unmarked": "unmarked",
}
WORDS = {
    "better": "better than the root",
    "worse": "worse",
    "can't tell": "can't tell",
    "stopped": "stopped at a rung",
    "failed": "never scored (failed, refused, duplicate, pruned)",
    "unmarked": "no gain known",
}


def lineage(story: Story) -> list[Block]:
    """The section's blocks."""
    if story.root is None:
        return [Text("There is no candidate yet.", "muted")]
    children: dict[str, list[Document]] = defaultdict(list)
    for candidate in story.tried:
        children[candidate["parent"] if candidate["parent"] in story.by_id else story.root["id"]].append(candidate)
    used = {"root" if c is story.root else mark_of(c) for c in story.candidates}
    entries = [(COLOURS[mark], words) for mark, words in WORDS.items() if mark in used]
    caption = (
        "From left to right: GRPO, its children, their children. A label is the gain over the root in points of "
        "Overall (the score itself where no gain is known), at the rung after the @, in updates, where the training "
        "was not whole; hover for the rest. A ring marks what was confirmed, a square the control arm."
    )
    svg = legend(entries) + _svg(story, children)
    return [Figure(svg, caption, "\n".join(_words(story, story.root, children, "")))]


def _svg(story: Story, children: dict[str, list[Document]]) -> str:
    assert story.root
    places: dict[str, tuple[int, float]] = {}
    rows = _place(story.root, children, places, 0, 0)
    deepest = max(depth for depth, _ in places.values())
    step = min(max((WIDTH - 150) / max(deepest, 1), COLUMN[0]), COLUMN[1])
    width, height = max(WIDTH, LEFT + step * deepest + 150), 2 * TOP + ROW * max(rows - 1, 0)

    def at(node: str) -> tuple[float, float]:
        depth, row = places[node]
        return LEFT + depth * step, TOP + row * ROW

    lines = []
    for parent, below in children.items():
        x, y = at(parent)
        for child in below:
            to_x, to_y = at(child["id"])
            middle = (x + to_x) / 2
            lines.append(
                f'<path d="M{x:.0f},{y:.1f}C{middle:.0f},{y:.1f} {middle:.0f},{to_y:.1f} {to_x:.0f},{to_y:.1f}"/>'
            )
    nodes = [_node(story, candidate, *at(candidate["id"])) for candidate in story.candidates]
    return (
        f'<svg class="lineage" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="lineage">'
        f'<g class="edges">{"".join(lines)}</g>{"".join(nodes)}</svg>'
    )


def _place(
    node: Document, children: dict[str, list[Document]], places: dict[str, tuple[int, float]], depth: int, row: int
) -> int:
    """Give a node's leaves the next free rows and itself the middle of its children; returns the next free row."""
    below = children[node["id"]]
    places[node["id"]] = (depth, float(row))
    for child in below:
        row = _place(child, children, places, depth + 1, row)
    if below:
        places[node["id"]] = (depth, (places[below[0]["id"]][1] + places[below[-1]["id"]][1]) / 2)
        return row
    return row + 1


def _node(story: Story, candidate: Document, x: float, y: float) -> str:
    root = candidate is story.root
    colour = COLOURS["root" if root else mark_of(candidate)]
    place = f'style="fill:var(--{colour})"'
    if candidate["arm"] == "control":
        shape = f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" {place}/>'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" {place}/>'
    if candidate in story.confirmed:
        shape += f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS + 4}"/>'
    aside = 13 if candidate in story.confirmed else 9
    label = f"<text x='{x + aside:.1f}' y='{y + 4:.1f}'>{escape(_label(story, candidate))}</text>"
    return f"<g><title>{escape(_title(story, candidate))}</title>{shape}{label}</g>"


def _label(story: Story, candidate: Document) -> str:
    """`c012 +5.3`, with the rung where it is not the whole training."""
    if candidate is story.root:
        return name_of(candidate) if len(name_of(candidate)) < 12 else candidate["id"]
    return f"{candidate['id']} {short_gain(story, candidate)}".strip()


def short_gain(story: Story, candidate: Document) -> str:
    """`+5.3`, or `+0.4 @12` below the whole training; the score where no gain is known; else ""."""
    if not candidate["rungs"]:
        return ""
    last, gain = candidate["rungs"][-1], candidate["gain"]
    at = "" if last["rung"] == WHOLE else f" {story.short(last['rung'])}"
    if gain:
        return f"{gain['value']:+.1f}{at}"
    return f"{number(candidate.get('overall'))}{at}"


def _title(story: Story, candidate: Document) -> str:
    lines = [called(candidate), candidate["status"]]
    if candidate["gain"]:
        lines.append(f"{interval(candidate['gain'])} over the root at {story.at_words(candidate['gain']['rung'])}")
    lines += [mechanism(m) for m in mechanisms_of(candidate)]
    if candidate.get("cause"):
        lines.append(one_line(candidate["cause"], 300))
    if hypothesis := (candidate.get("proposal") or {}).get("hypothesis"):
        lines.append(one_line(hypothesis, 400))
    return "\n".join(lines)


def _words(story: Story, node: Document, children: dict[str, list[Document]], indent: str) -> Iterator[str]:
    mark = GLYPH.get(mark_of(node), "") if node is not story.root else ""
    star = " ★ confirmed" if node in story.confirmed else ""
    yield f"{indent}{node['id']} {name_of(node)} {short_gain(story, node)} {mark}".rstrip() + star
    for child in children[node["id"]]:
        yield from _words(story, child, children, indent + "  ")
