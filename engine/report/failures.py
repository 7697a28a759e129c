"""What came to nothing: candidates that failed, were refused or were stopped, by kind."""

from __future__ import annotations

import re
from collections import defaultdict

from engine.report.blocks import Block, Cell, Table, Text
from engine.report.story import Story
from engine.report.words import plural
from engine.untrusted import one_line

KINDS = {
    "failed": "failed in training or scoring",
    "infeasible": "refused by verification",
    "duplicate": "equal to an earlier one",
    "stopped": "stopped",
    "pruned": "pruned by the user",
}
SHOWN = 12
"""Ids of one cause that are named."""


def failures(story: Story) -> list[Block]:
    """The section's blocks."""
    by: dict[tuple[str, str], list[str]] = defaultdict(list)
    for candidate in story.tried:
        if candidate["status"] in KINDS:
            by[candidate["status"], _kind(candidate.get("cause"), candidate["status"])].append(candidate["id"])
    retried = sum(max(0, int(t.get("starts") or 1) - 1) for t in story.trials)
    flagged = [t for t in story.trials if t.get("flags")]
    blocks: list[Block] = []
    if by:
        order = list(KINDS)
        rows: list[list[Cell | str]] = []
        for (status, cause), ids in sorted(by.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))):
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            rows.append([KINDS[status], cause, str(len(ids)), ", ".join(ids[:SHOWN]) + more])
        blocks.append(Table(["what happened", "why", "n", "candidates"], "lwrw", rows))
    else:
        blocks.append(Text("Every candidate was trained and scored."))
    if flagged:
        said = "; ".join(f"{t['id']}: {one_line(', '.join(map(str, t['flags'])), 160)}" for t in flagged[:SHOWN])
        blocks.append(Text(f"Scores that were doubted and measured again: {said}."))
    inexact = [t["id"] for t in story.trials if t.get("resumed") == "inexact"]
    if inexact:
        blocks.append(Text(f"Went on from a checkpoint inexactly, so that scores may differ: {', '.join(inexact)}."))
    if retried:
        blocks.append(Text(f"Trainings were started again {plural(retried, 'time')} after a crash, a hang or a pause."))
    return blocks


def _kind(cause: object, status: str) -> str:
    """A cause with its numbers left out, so that equal ones fall together; at a rung that is all it says."""
    said = one_line(cause or "no cause recorded", 300)
    if status == "stopped" and " is rank " in said:
        at = re.search(r"at (.+?) is rank", said)
        return f"not promising enough at {at.group(1)}" if at else said
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", said)
