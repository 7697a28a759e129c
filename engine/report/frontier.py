"""The best so far: by decisions, by depth and by seconds of compute, against the root's noise and against chance."""

from __future__ import annotations

from itertools import accumulate

from engine.archive.store import Document
from engine.report.blocks import Block, Figure, Text
from engine.report.plots import Band, Panel, Series, draw, legend
from engine.report.story import DISCOVERY, WHOLE, Level, Story, mean_at
from engine.report.words import number, plural
from engine.stats.noise import expected_best


def frontier(story: Story) -> list[Block]:
    """The section's blocks: whole trainings of the search alone, so that all scores can be compared."""
    level, whole = story.level(WHOLE), story.at(WHOLE)
    if level is None or not whole:
        return [Text("No candidate has a score of a whole training yet.", "muted")]
    order = [c for c in story.tried if c in whole]
    scores = [mean_at(c, WHOLE) for c in order]
    low, high = _around(level)
    shares = [low, high, *scores]
    limits = (min(shares) - 1, max(shares) + 1)
    # One that collapses must not squeeze everything else into a line.
    if limits[0] < level.mean - 3 * (limits[1] - level.mean):
        limits = (level.mean - 1.5 * (limits[1] - level.mean), limits[1])
    panels = (
        _decisions(story, order, scores, level, limits),
        _depth(order, scores, level, limits),
        _compute(story, order, level, limits),
    )
    entries = [
        ("s0", "best so far"),
        ("unsure", "each candidate"),
        ("ink", "the root, mean"),
        ("band", "± its noise (std of one training)"),
        ("worse", "best expected by chance"),
    ]
    caption = (
        f"Mean Overall of {plural(len(order), 'candidate')} trained wholly. The band is the root: {number(level.mean)} "
        f"± {number(level.std)} over {plural(level.seeds, 'training')} that differ by seed alone. The dashed line is "
        "where the best would be expected if all that were scored so far, at any rung, were the root itself; a best "
        "that stays near it is chance."
    )
    return [Figure(legend(entries) + draw(panels, "frontier", 3, 2.9), caption)]


def _around(level: Level) -> tuple[float, float]:
    std = level.std or 0.0
    return level.mean - std, level.mean + std


def _root(level: Level, x: list[float]) -> tuple[Band, Series]:
    low, high = _around(level)
    ends = [min(x), max(x)] if min(x) < max(x) else [x[0] - 0.5, x[0] + 0.5]
    return Band(ends, [low, low], [high, high]), Series(ends, [level.mean] * 2, "ink", width=1.0)


def _decisions(
    story: Story, order: list[Document], scores: list[float], level: Level, limits: tuple[float, float]
) -> Panel:
    x = [float(i + 1) for i in range(len(order))]
    band, line = _root(level, x)
    # Who is trained wholly was chosen from all that were scored before.
    scored = [c["id"] for c in story.scored]
    chance = [level.mean + expected_best(scored.index(c["id"]) + 1, level.std or 0.0) for c in order]
    series = [Series(x, scores, "unsure", "dots"), Series(x, chance, "worse", "dashes")]
    series.append(Series(x, list(accumulate(scores, max)), "s0", "step", width=2.0))
    return Panel("by candidates trained", "whole candidates", "Overall", [line, *series], [band], True, limits)


def _depth(order: list[Document], scores: list[float], level: Level, limits: tuple[float, float]) -> Panel:
    depths = [float(c["depth"]) for c in order]
    every = sorted(set(depths))
    best = [max(s for s, d in zip(scores, depths, strict=True) if d == depth) for depth in every]
    band, line = _root(level, [0.0, *every])
    series = [Series(depths, scores, "unsure", "dots"), Series(every, best, "s0", width=2.0)]
    return Panel("best of each depth", "generations from the root", "", [line, *series], [band], True, limits)


def _compute(story: Story, order: list[Document], level: Level, limits: tuple[float, float]) -> Panel:
    """Seconds of all that was trained and scored for the search up to a candidate's end, the root's first."""
    spent = dict.fromkeys(story.by_id, 0.0)
    for trial in story.trials:
        if trial["purpose"] in DISCOVERY and trial["candidate"] in spent:
            spent[trial["candidate"]] += busy(trial)
    assert story.root
    at, total = {}, spent.pop(story.root["id"])
    ended = sorted(
        (c for c in story.tried if c["arm"] == "search"), key=lambda c: (c["finished"] or float("inf"), c["id"])
    )
    for candidate in ended:
        total += spent[candidate["id"]]
        at[candidate["id"]] = total / 60
    by_time = sorted(order, key=lambda c: at[c["id"]])
    x, scores = [at[c["id"]] for c in by_time], [mean_at(c, WHOLE) for c in by_time]
    band, line = _root(level, [0.0, *x])
    series = [Series(x, scores, "unsure", "dots"), Series(x, list(accumulate(scores, max)), "s0", "step", width=2.0)]
    return Panel("by compute", "minutes of training and scoring", "", [line, *series], [band], False, limits)


def busy(trial: Document) -> float:
    """Seconds a training took with its scoring."""
    cost = trial.get("cost") or {}
    return float(cost.get("train_seconds") or 0.0) + float(cost.get("score_seconds") or 0.0)
