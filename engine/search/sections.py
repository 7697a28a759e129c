"""The parts of a proposal's prompt: each bounded in tokens, stable in order, of what this decision may see alone."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.search.evidence import FAILED, Evidence, difference, distance, fronts, lineage, shortlist
from engine.search.knowledge import knowledge
from engine.search.literature import in_detail, relevant
from engine.search.symptoms import symptoms
from engine.search.text import one_line, quoted

CHARACTERS_A_TOKEN = 3
"""Fewer than any common tokenizer has of English or Python, so that a prompt is never longer than planned."""
TOKENS: Mapping[str, int] = {
    "setting": 600,
    "notes": 1300,
    "knowledge": 1000,
    "code": 3300,
    "parent": 1800,
    "references": 1200,
    "failures": 500,
    "literature": 1300,
    "ideas": 1000,
    "directive": 350,
    "direction": 150,
}
"""What each part may take; what one leaves goes to the evidence block."""
_IDEA = {"id": 40, "name": 60, "hypothesis": 400, "why": 120}
NEAR = 6
"""Failures near the parent that are told."""


def room(part: str) -> int:
    """Characters a part may take."""
    return TOKENS[part] * CHARACTERS_A_TOKEN


def parent_section(parent: Evidence, code: str) -> str:
    """The parent's scores, hypothesis, reflection and file."""
    overall = f"Overall {parent.told}" if parent.overall is not None else "not scored yet"
    lines = [f"# Parent: {parent.name} ({parent.id}), {overall}"]
    lines += [
        f"- {task} ({b.metric}): {b.value:.1f}, 95 % interval {b.low:.1f} to {b.high:.1f}"
        for task, b in parent.benchmarks.items()
    ]
    if parent.hypothesis:
        lines.append(f"Its hypothesis was: {quoted(one_line(parent.hypothesis, 1200), 1200)}")
    if parent.reflection:
        lines.append(f"Reflection on it:\n{quoted(parent.reflection, room('parent') // 2)}")
    told = _cut("\n".join(lines), "parent")
    return f"{told}\nIts file:\n```python\n{quoted(code, room('code'))}\n```"


def references_section(parent: Evidence, candidates: Sequence[Evidence], seed: int) -> str:
    """The tiered reference set."""
    rows = []
    for tier, c in references(parent, candidates, seed):
        tasks = ", ".join(f"{task} {b.value:.1f}" for task, b in c.benchmarks.items())
        rows.append(f"- {tier}: {c.name} ({c.id}), Overall {c.told} ({tasks}); {c.key or 'GRPO itself'}")
        if c.reflection:
            rows.append(f"  {quoted(one_line(c.reflection, 500), 500)}")
    return _cut("# References\n" + "\n".join(rows), "references") if rows else ""


def references(parent: Evidence, candidates: Sequence[Evidence], seed: int) -> list[tuple[str, Evidence]]:
    """POISE's tiered references: up to two from the Pareto front, one complementary, one exploratory."""
    near = shortlist(candidates)
    others = [c for c in near if c.scored and c.id != parent.id]
    front = fronts(near)
    best = sorted((c for c in others if front.get(c.id) == 0), key=lambda c: (-(c.overall or 0.0), c.id))[:2]
    found = [("Pareto front", c) for c in best]
    rest = [c for c in others if c not in best]
    if rest:
        contrast = max(rest, key=lambda c: (distance(parent, c), c.overall or 0.0, c.id))
        found.append(("structural contrast", contrast))
        family = set(lineage(candidates, parent.id))
        outside = [c for c in rest if c is not contrast and parent.id not in lineage(candidates, c.id)]
        outside = [c for c in outside if c.id not in family]
        if outside:
            found.append(("from another lineage", random.Random(f"{seed}:reference").choice(outside)))
    return found


def failures_section(parent: Evidence, candidates: Sequence[Evidence]) -> str:
    """What was tried near the parent and got no score, or lost: the nearest first, with the cause."""
    place = {c.id: c for c in candidates}
    lost = [
        c
        for c in candidates
        if c.id != parent.id
        and c.mechanisms
        and (c.status in FAILED or any(f.hypothesis == "refuted" and f.condition is None for f in c.findings))
    ]
    rows = []
    for c in sorted(lost, key=lambda c: (distance(parent, c), c.id))[:NEAR]:
        before = place.get(c.parent or "")
        told = one_line(c.cause or c.status, 160)
        if before is not None and (gain := difference(c, before)) is not None:
            told = f"{gain:+.1f} against {c.parent}"
        rows.append(f"- {c.id} {c.key}: {quoted(told, 160)}")
    return _cut("# Tried near here, without success\n" + "\n".join(rows), "failures") if rows else ""


def knowledge_section(candidates: Sequence[Evidence]) -> str:
    """What the run has learnt."""
    told = knowledge(candidates).brief(room("knowledge") - 120)
    head = "# What this run has learnt (points of Overall over the parent; noise between seeds comes on top)"
    return f"{head}\n{told}" if told else ""


def literature_section(parent: Evidence, directive: str | None) -> str:
    """The mechanisms of the catalogue that bear on the parent's trouble and on the directive, with their formulas."""
    found = symptoms(parent.curves)
    topic = " ".join(
        [
            *(f"{s.name} {s.meaning}" for s in found),
            directive or "",
            suggestion_of(parent.reflection),
            parent.hypothesis,
        ]
    )
    remedies = [name for s in found for name in s.remedies]
    entries = relevant(topic, remedies, {m.name for m in parent.mechanisms})
    return (
        _cut("# Known mechanisms that bear on this\n" + "\n".join(map(in_detail, entries)), "literature")
        if entries
        else ""
    )


def ideas_section(ideas: Sequence[Mapping[str, Any]]) -> str:
    """Open ideas of earlier rounds and of the researcher."""
    rows = []
    for idea in ideas:
        told = {key: quoted(one_line(str(idea.get(key) or ""), most), most) for key, most in _IDEA.items()}
        why = f" (not chosen: {told['why']})" if told["why"] else ""
        rows.append(f"- {told['id']} {told['name']}: {told['hypothesis']}{why}")
    return _cut("# Open ideas, proposed before and never tried\n" + "\n".join(rows), "ideas") if rows else ""


def suggestion_of(reflection: str | None) -> str:
    """The text under the reflection's heading `Suggestion`, or nothing."""
    found = re.search(r"^#+ Suggestion\s*\n(.*?)(?=^#+ |\Z)", reflection or "", re.DOTALL | re.MULTILINE)
    return found.group(1).strip() if found else ""


def _cut(text: str, part: str) -> str:
    """Whole lines within the part's room; a first line that is too long is cut."""
    if len(text) <= room(part):
        return text
    head = text[: room(part)]
    return head[: head.rfind("\n")] if "\n" in head else head
