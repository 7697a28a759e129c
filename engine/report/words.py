"""Numbers, gains and names as the report says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.report.blocks import Cell, Tone
from engine.untrusted import one_line

GLYPH = {"better": "▲", "worse": "▼", "can't tell": "≈"}
TONE: dict[str, Tone] = {"better": "better", "worse": "worse", "can't tell": "unsure"}
VERDICT_TONE: dict[str, Tone] = {"pays": "better", "harmful": "worse", "inert": "muted", "can't tell": "unsure"}
NAME_LIMIT = 60


def number(value: float | None, digits: int = 1) -> str:
    """With fixed digits; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(found: Mapping[str, Any] | None, key: str = "value", digits: int = 1) -> str:
    """`+5.3 (3.1 to 7.5)` from a document with a value and the ends of its interval."""
    if not found or found.get(key) is None:
        return "–"
    value = f"{found[key]:+.{digits}f}"
    if found.get("low") is None or found.get("high") is None:
        return value
    return f"{value} ({found['low']:+.{digits}f} to {found['high']:+.{digits}f})"


def seconds(amount: float) -> str:
    """`47 s`, `12 min`, `3 h 05 min`."""
    if amount < 100:
        return f"{amount:.0f} s"
    minutes = round(amount / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(part: float, whole: float) -> str:
    """A share; a dash where there is no whole."""
    return f"{part / whole:.0%}" if whole > 0 else "–"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def name_of(candidate: Mapping[str, Any]) -> str:
    """The candidate's name, short and harmless."""
    return one_line(candidate.get("name") or "", NAME_LIMIT)


def called(candidate: Mapping[str, Any]) -> str:
    """`NAME (c012)`."""
    return f"{name_of(candidate)} ({candidate['id']})"


def mechanisms_of(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Its proposal's mechanisms, each with "name" and "params"."""
    return list((candidate.get("proposal") or {}).get("mechanisms") or [])


def mechanism(entry: Mapping[str, Any], params: bool = True) -> str:
    """`ClipHigher(low=0.2, high=0.28)`."""
    chosen = entry.get("params") or {}
    inner = ", ".join(f"{key}={value}" for key, value in chosen.items()) if params else ""
    return one_line(f"{entry['name']}({inner})" if inner else str(entry["name"]), 200)


def mark_cell(gain: Mapping[str, Any] | None) -> Cell:
    """The mark of a gain, in its colour."""
    if not gain:
        return Cell("–", "muted")
    mark = str(gain.get("mark"))
    return Cell(f"{GLYPH.get(mark, '')} {mark}".strip(), TONE.get(mark, ""))


def mark_of(candidate: Mapping[str, Any]) -> str:
    """What the pictures colour a candidate by: its mark, or why it has none."""
    if candidate["status"] in ("failed", "infeasible", "pruned", "duplicate"):
        return "failed"
    if candidate["status"] == "stopped":
        return "stopped"
    gain = candidate.get("gain")
    return str(gain["mark"]) if gain else "unmarked"
