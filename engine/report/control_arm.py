"""The control arm: random proposals under the same rules, which say what the search itself is worth."""

from __future__ import annotations

from statistics import fmean, median

from engine.report.blocks import Block, Cell, Table, Text
from engine.report.story import Story, mean_at
from engine.report.words import interval, mark_cell, mechanism, mechanisms_of, name_of, number, plural


def control_arm(story: Story) -> list[Block]:
    """The section's blocks."""
    control = [c for c in story.tried if c["arm"] == "control"]
    if not control:
        return [
            Text(
                "This run had none: what its search is worth over random composition is not known from it. `poise "
                "run --control random=6` adds one.",
                "muted",
            )
        ]
    blocks: list[Block] = [
        Text(
            f"{plural(len(control), 'candidate')} (r001 …) composed at random from the same mechanisms, without "
            "looking at any result, trained and judged like the others. The search has earned something only where "
            "it beats them."
        )
    ]
    arms: list[list[Cell | str]] = []
    for rung, _ in sorted(story.rungs, reverse=True):
        for arm, words in (("search", "the search"), ("control", "at random")):
            scores = [mean_at(c, rung) for c in story.at(rung, arm)]
            if scores:
                arms.append([
                    story.at_words(rung), words, str(len(scores)), number(fmean(scores)), number(median(scores)),
                    number(max(scores)), _better(story, rung, arm),
                ])  # fmt: skip
    blocks.append(Table(["furthest rung", "arm", "n", "mean", "median", "best", "marked better"], "llrrrrr", arms))
    rows: list[list[Cell | str]] = []
    for candidate in sorted(
        control, key=lambda c: (-(c["rungs"][-1]["rung"] if c["rungs"] else 0.0), -(c["overall"] or 0.0))
    ):
        last = candidate["rungs"][-1]["rung"] if candidate["rungs"] else None
        rows.append([
            candidate["id"], name_of(candidate), "–" if last is None else story.short(last),
            number(candidate["overall"]),
            interval(candidate["gain"]), mark_cell(candidate["gain"]), candidate["status"],
            " + ".join(mechanism(m, params=False) for m in mechanisms_of(candidate)),
        ])  # fmt: skip
    head = ["id", "name", "rung", "Overall", "gain over the root", "mark", "status", "mechanisms"]
    return [*blocks, Table(head, "lllrlllw", rows)]


def _better(story: Story, rung: float, arm: str) -> str:
    found = [c for c in story.at(rung, arm) if c["gain"]]
    return str(sum(c["gain"]["mark"] == "better" for c in found)) if found else "–"
