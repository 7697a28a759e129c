"""What one training taught: structured claims of a reflection, which add up to the run's knowledge page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["confirmed", "refuted", "untested"]
"""What became of the hypothesis behind a finding."""


@dataclass(frozen=True)
class Finding:
    """One thing learnt.

    Attributes:
        about: the mechanisms it is about, by name; several when they came together.
        effect: what was seen, in a short sentence.
        hypothesis: whether what was expected of them held.
        condition: under which regime or setting; None: in general.
        gain: points of Overall over the parent; None where nothing was scored.
        margin: half the 95 % interval of the gain.
        next: what to try after this.
        never: what not to try again.
        rung: the share of a training after which candidate and parent were compared.
    """

    about: tuple[str, ...]
    effect: str
    hypothesis: Verdict = "untested"
    condition: str | None = None
    gain: float | None = None
    margin: float | None = None
    next: str | None = None
    never: str | None = None
    rung: float = 1.0

    def document(self) -> dict[str, Any]:
        """As it stands in a candidate document's `findings`."""
        return {**asdict(self), "about": list(self.about)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Finding:
        """The reverse of `document`. Raises TypeError for a document that is none."""
        return cls(**{**document, "about": tuple(document["about"])})
