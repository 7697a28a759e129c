"""One thing `poise doctor` has looked at: what it found, how bad that is, and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]

LEAST_FREE = 1 << 30
"""Bytes of disk below which a run cannot be expected to go on."""


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        what: the part that was looked at.
        level: how bad; only an error means that runs cannot work or that something is lost.
        says: what was found.
        do: what helps, or "".
    """

    what: str
    level: Level
    says: str
    do: str = ""


def size(amount: float) -> str:
    """Bytes in the unit people read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError
