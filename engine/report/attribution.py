"""What each mechanism pays, where it was measured, and which mechanism entered where along the winning lineage."""

from __future__ import annotations

from itertools import pairwise

from engine.archive.store import Document
from engine.report.blocks import Block, Cell, Heading, Table, Text
from engine.report.story import Story
from engine.report.words import VERDICT_TONE, called, interval, mark_cell, mechanism, mechanisms_of, name_of, seconds
from engine.untrusted import one_line


def attribution(story: Story) -> list[Block]:
    """The section's blocks."""
    blocks: list[Block] = []
    for candidate in story.candidates:
        if candidate.get("attribution"):
            blocks += _table(candidate)
    if not blocks:
        best = story.best
        how = f" `poise ablate {story.run['id']} {best['id']}` does it." if best and story.has_rungs else ""
        blocks.append(Text(f"No algorithm was taken apart yet.{how}", "muted"))
    if story.best and story.best is not story.root:
        blocks += _along(story, story.best)
    return blocks


def _table(candidate: Document) -> list[Block]:
    found = candidate["attribution"]
    rows: list[list[Cell | str]] = []
    for m in found.get("mechanisms") or []:
        verdict = str(m.get("verdict") or "–")
        rows.append([
            one_line(m["name"], 60), interval(m.get("off"), "effect"), interval(m.get("alone"), "effect"),
            interval(m.get("shapley")), Cell(verdict, VERDICT_TONE.get(verdict, "")),
        ])  # fmt: skip
    blocks: list[Block] = [
        Heading(called(candidate)),
        Text(
            "Points of Overall with 95 % intervals over seeds, each on its own. “Without it” is what the algorithm "
            "loses when this mechanism alone is switched off; “alone” is what it adds to plain GRPO; the Shapley "
            "value is its mean over all orders of adding. The verdict is about “without it”."
        ),
        Table(["mechanism", "without it it loses", "alone on GRPO", "Shapley value", "verdict"], "lllll", rows),
    ]
    tasks = list({task: None for m in found.get("mechanisms") or [] for task in m.get("benchmarks") or {}})
    if tasks:
        by_task = [
            [one_line(m["name"], 60), *(interval((m.get("benchmarks") or {}).get(t), "effect") for t in tasks)]
            for m in found["mechanisms"]
        ]
        blocks.append(Table(["without it it loses in", *tasks], "l" * (len(tasks) + 1), by_task))
    if found.get("line"):
        blocks.append(Text(one_line(found["line"], 500)))
    if found.get("seconds"):
        blocks.append(Text(f"It took {seconds(found['seconds'])} of training.", "muted"))
    return blocks


def _along(story: Story, node: Document) -> list[Block]:
    """Each step from the root to a node: what it changed, and its gain over the root."""
    path = [node]
    while (parent := story.by_id.get(path[0].get("parent") or "")) and parent not in path:
        path.insert(0, parent)
    measured = {
        m["name"]: m
        for c in path
        if c.get("attribution")
        for m in c["attribution"].get("mechanisms") or []
    }  # fmt: skip
    rows: list[list[Cell | str]] = []
    for before, candidate in pairwise(path):
        last = candidate["rungs"][-1]["rung"] if candidate["rungs"] else None
        rows.append([
            candidate["id"], name_of(candidate), changes(before, candidate),
            interval(candidate["gain"]), mark_cell(candidate["gain"]),
            "–" if last is None else story.short(last), _paid(before, candidate, measured),
        ])  # fmt: skip
    said = (
        f"The way from the root to {called(node)}. Gains are over the root at the rung named (`@12`: after 12 "
        "updates), so that steps of different rungs are not compared; what a mechanism paid is known only where it "
        "was switched off and on again."
    )
    head = ["id", "name", "what entered or left", "gain over the root", "mark", "at", "what it paid (ablation)"]
    return [Heading("Along the winning lineage"), Text(said), Table(head, "llwlllw", rows)]


def changes(before: Document, after: Document) -> str:
    """What a candidate changes in its parent: `+ ClipHigher(high=0.3), - SoftOverlong, ClipHigher(high=0.2 → 0.3)`."""
    old = {m["name"]: m for m in mechanisms_of(before)}
    new = {m["name"]: m for m in mechanisms_of(after)}
    said = [f"+ {mechanism(m)}" for name, m in new.items() if name not in old]
    said += [f"− {mechanism(m, params=False)}" for name, m in old.items() if name not in new]
    said += [
        f"~ {mechanism(m)}" for name, m in new.items() if name in old and m.get("params") != old[name].get("params")
    ]
    return ", ".join(said) or "the same mechanisms"


def _paid(before: Document, after: Document, measured: dict[str, Document]) -> str:
    old = {m["name"] for m in mechanisms_of(before)}
    entered = [m["name"] for m in mechanisms_of(after) if m["name"] not in old and m["name"] in measured]
    return (
        "; ".join(
            f"{one_line(name, 40)}: {interval(measured[name].get('off'), 'effect')}, {measured[name].get('verdict')}"
            for name in entered
        )
        or "–"
    )
