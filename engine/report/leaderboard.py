"""Leaderboards: one for each rung, since scores of different rungs are never compared."""

from __future__ import annotations

from engine.archive.store import Document
from engine.report.blocks import Block, Cell, Heading, Table, Text
from engine.report.story import WHOLE, Story, mean_at, scores_at
from engine.report.words import interval, mark_cell, mechanism, mechanisms_of, name_of, number, plural

BAR = (90, 14)
"""Pixels of an interval's picture."""


def leaderboard(story: Story) -> list[Block]:
    """The section's blocks, the whole trainings first."""
    blocks: list[Block] = []
    if story.rungs and not story.has_rungs:
        blocks.append(
            Text(
                "This run is older than gains with intervals: scores stand alone, and are no evidence of a gain.",
                "muted",
            )
        )
    for rung, _ in sorted(story.rungs, reverse=True):
        blocks += _at(story, rung)
    return blocks or [Text("No candidate has a score yet.", "muted")]


def _at(story: Story, rung: float) -> list[Block]:
    found = story.at(rung, arm=None)
    if not found:
        return []
    level = story.level(rung)
    what = "Trained wholly" if rung == WHOLE else f"As far as {story.at_words(rung)}"
    blocks: list[Block] = [Heading(f"{what}: {plural(len(found), 'candidate')}")]
    chance, n = story.chance(rung), len(story.scored)
    if level:
        said = f"The root here: {number(level.mean)}"
        said += f" ± {number(level.std)} over {plural(level.seeds, 'training')}." if level.std is not None else "."
        if chance is not None:
            said += (
                f" If all {n} that were scored in this run were the root itself, the best of them would be expected "
                f"at {chance:+.1f} by chance alone (at most: not all got here): what is not well beyond that line is "
                "no gain yet."
            )
        blocks.append(Text(said))
    gains = [c["gain"] for c in found if c["gain"]]
    span = max((abs(g[end]) for g in gains for end in ("low", "high")), default=0.0)
    rows: list[list[Cell | str]] = []
    for place, candidate in enumerate(found, 1):
        over = mean_at(candidate, rung) - level.mean if level else None
        if chance is not None and over is not None and over < chance:
            rows.append(["", f"expected best of {n} by chance alone: {chance:+.1f}"])
            chance = None
        rows.append(_row(place, candidate, rung, min(span, 40.0), bool(gains)))
    if chance is not None:
        rows.append(["", f"expected best of {n} by chance alone: {chance:+.1f}"])
    compared = ["gain over the root", "", "mark"] if gains else []
    head = ["#", "id", "name", *compared, "Overall", "seeds", "mechanisms"]
    return [*blocks, Table(head, f"rlw{'lll' if gains else ''}rrw", rows)]


def _row(place: int, candidate: Document, rung: float, span: float, compared: bool) -> list[Cell | str]:
    gain = candidate["gain"] if (candidate["gain"] or {}).get("rung") == rung else None
    mechanisms = mechanisms_of(candidate)
    confirmed = (candidate.get("confirmed") or {}).get("verdict") == "confirmed"
    name = name_of(candidate) + " ★" * confirmed + " (at random)" * (candidate["arm"] == "control")
    name += " (goes on)" * (candidate["status"] in ("queued", "training", "scoring", "paused"))
    bar = Cell("", svg=_bar(gain, span)) if gain and span else ""
    return [
        str(place),
        candidate["id"],
        name,
        *([interval(gain), bar, mark_cell(gain)] if compared else []),
        number(mean_at(candidate, rung)),
        str(len(scores_at(candidate, rung))),
        Cell(" + ".join(mechanism(m, params=False) for m in mechanisms), title="\n".join(map(mechanism, mechanisms))),
    ]


def _bar(gain: Document, span: float) -> str:
    """The interval as a line with a dot, around a stroke for no gain."""
    width, height = BAR

    def x(value: float) -> float:
        return width / 2 + max(-1.0, min(1.0, value / span)) * (width / 2 - 5)

    tone = {"better": "better", "worse": "worse"}.get(gain["mark"], "unsure")
    return (
        f'<svg class="bar" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<path d="M{width / 2},1V{height - 1}" class="zero"/>'
        f'<path d="M{x(gain["low"]):.1f},7H{x(gain["high"]):.1f}" style="stroke:var(--{tone})"/>'
        f'<circle cx="{x(gain["value"]):.1f}" cy="7" r="3" style="fill:var(--{tone})"/></svg>'
    )
