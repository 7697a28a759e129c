"""docs/reference.md says what the code does."""

import ast
from pathlib import Path

from engine.archive.event_kinds import EVENT_KINDS
from tests.docs.reference import ROOT, TARGET, reference

MAKERS = ("Event", "tell")
"""Calls whose first argument is an event's kind."""


def told_in(path: Path) -> set[str]:
    """Kinds of the events that a file tells."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {id(c): c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", "") for c in calls}
    firsts = [c.args[0] for c in calls if c.args and names[id(c)] in MAKERS]
    return {a.value for a in firsts if isinstance(a, ast.Constant) and isinstance(a.value, str)}


def test_the_reference_is_made_from_this_code() -> None:
    said = "run `python -P -m tests.docs.reference --write`"
    assert TARGET.read_text(encoding="utf-8") == reference(), said


def test_every_kind_of_event_is_explained_and_told_by_the_engine() -> None:
    told = set().union(*(told_in(path) for path in (ROOT / "engine").rglob("*.py")))
    assert told == set(EVENT_KINDS)
