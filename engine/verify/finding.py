"""What a check found wrong: which mechanism, at which stage, in which regime, what was expected and what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Finding(Exception):
    """The reason why a file does not pass."""

    expected: str
    found: str
    mechanism: str | None = None
    stage: str | None = None
    regime: str | None = None

    def __str__(self) -> str:
        where = ".".join(x for x in (self.mechanism, self.stage) if x)
        regime = f"in the regime '{self.regime}'" if self.regime else ""
        head = ", ".join(x for x in (where, regime) if x)
        return f"{head}: expected {self.expected}, found {self.found}" if head else f"{self.found}: {self.expected}"


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    passed: bool
    detail: str
    finding: Finding | None = None

    def document(self) -> dict[str, Any]:
        """As JSON: a failed check also has mechanism, stage, regime, expected and found."""
        plain: dict[str, Any] = {"name": self.name, "passed": self.passed, "detail": self.detail}
        return plain | asdict(self.finding) if self.finding else plain
