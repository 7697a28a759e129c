"""Training dynamics of the best few and of the root: what happened inside the trainings."""

from __future__ import annotations

from html import escape

from engine.archive.store import Document
from engine.archive.tail_metrics import MetricsTail, Point
from engine.report.blocks import Block, Figure, Text
from engine.report.plots import SERIES, Band, Panel, Series, draw, legend
from engine.report.story import WHOLE, Story
from engine.report.words import called

SHOWN = 4
"""Candidates beside the root."""
MOST_STEPS = 100_000
HUGE = 1e9
"""Numbers beyond it are left out: a candidate may have made them up, and no axis can show them."""
METRICS = (
    ("reward", "reward"),
    ("correct", "share correct"),
    ("kl", "KL to the base model"),
    ("entropy", "entropy (nats a token)"),
    ("length", "length (tokens)"),
    ("grad_norm", "gradient norm"),
)


def dynamics(story: Story) -> list[Block]:
    """The section's blocks."""
    if story.root is None:
        return [Text("There is no candidate yet.", "muted")]
    shown = _shown(story)
    root = [points for t in story.trials_of(story.root["id"]) if (points := read_points(story, t["id"]))]
    curves = [(c, points) for c in shown if (points := _first(story, c["id"]))]
    panels = [_panel(key, title, root, [points for _, points in curves]) for key, title in METRICS]
    panels = [panel for panel in panels if any(s.x for s in panel.series)]
    if not panels:
        return [Text("No curves are left in the run's folder (trials/*/metrics.jsonl).", "muted")]
    entries = [("ink", escape(called(story.root)))] if root else []
    entries += [("band", "least and most over the root's trainings")] if len(root) > 1 else []
    entries += [(colour, escape(called(c))) for colour, (c, _) in zip(SERIES, curves, strict=False)]
    caption = (
        "One training each, of the seed that all share, by optimizer update. These are the training's own "
        "figures, on "
        "training problems; nothing is judged by them."
    )
    return [Figure(legend(entries) + draw(panels, "dynamics", 3), caption)]


def read_points(story: Story, trial: str) -> list[Point]:
    """The valid points of a training's curve; none where the file is missing."""
    tail = MetricsTail(story.folder.trial(trial).metrics, last=story.whole_updates or MOST_STEPS)
    points: list[Point] = []
    try:
        while more := tail.read():
            points += more
    except OSError:
        return []
    return points


def _shown(story: Story) -> list[Document]:
    best = [*story.confirmed, *story.at(WHOLE)]
    for rung, _ in sorted(story.rungs, reverse=True):
        best += story.at(rung)
    return list({c["id"]: c for c in best}.values())[:SHOWN]


def _first(story: Story, node: str) -> list[Point]:
    return next((points for t in story.trials_of(node) if (points := read_points(story, t["id"]))), [])


def _panel(key: str, title: str, root: list[list[Point]], curves: list[list[Point]]) -> Panel:
    bands: list[Band] = []
    series: list[Series] = []
    if len(root) > 1:
        by_step: dict[int, list[float]] = {}
        for points in root:
            for point in points:
                if _drawable(point.get(key)):
                    by_step.setdefault(point["step"], []).append(point[key])
        steps = sorted(by_step)
        lows, highs = [min(by_step[s]) for s in steps], [max(by_step[s]) for s in steps]
        bands += [Band([float(s) for s in steps], lows, highs)] if steps else []
    for colour, points in [("ink", points) for points in root[:1]] + list(zip(SERIES, curves, strict=False)):
        known = [p for p in points if _drawable(p.get(key))]
        series.append(Series([float(p["step"]) for p in known], [p[key] for p in known], colour, width=1.3))
    return Panel(title, "", "", series, bands, True)


def _drawable(value: float | None) -> bool:
    return value is not None and abs(value) < HUGE
