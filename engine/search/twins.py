"""Has a candidate been there before? Its verification's fingerprints and signature against those of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.verify.distance import twin


@dataclass(frozen=True)
class TwinOf:
    """An earlier candidate that does the same, or the same up to a factor."""

    id: str
    kind: str
    """`equal`; `equal here`: on every recorded batch of the profile; `scale`; `scale of the policy gradient`."""
    factor: float = 1.0

    @property
    def duplicate(self) -> bool:
        """Whether training it would repeat the earlier one."""
        return self.kind != "scale of the policy gradient"

    @property
    def sentence(self) -> str:
        """The candidate's cause."""
        if self.kind == "equal":
            return f"behaves like {self.id}"
        if self.kind == "equal here":
            return f"behaves like {self.id} on every batch recorded from this profile's root"
        return f"a scale-twin of {self.id}: its gradient is {self.factor:.4g} times that one's, which Adam removes"

    def document(self) -> dict[str, Any]:
        """`{"id", "kind", "factor"}`."""
        return asdict(self)


def find_twin(node: str, reports: Mapping[str, Mapping[str, Any]]) -> TwinOf | None:
    """The first earlier candidate that makes this one a duplicate, else the first that is its policy's scale-twin.

    Args:
        node: the candidate.
        reports: verifications that passed, of the candidate and the earlier ones, in the order of decisions.
    """
    mine = reports[node]
    found = [t for other, report in reports.items() if other != node and (t := _compared(other, mine, report))]
    return next((t for t in found if t.duplicate), found[0] if found else None)


def _compared(other: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> TwinOf | None:
    if mine["fingerprint"] == theirs["fingerprint"]:
        return TwinOf(other, "equal")
    here = mine["profile_fingerprint"]
    if here is not None and here == theirs["profile_fingerprint"]:
        return TwinOf(other, "equal here")
    try:
        scaled = twin(mine["signature"], theirs["signature"])
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
        return None  # a signature comes from where candidate code ran; one that cannot be read resembles nothing
    if scaled is None or scaled.kind == "equal":
        return None  # equal up to the rounding of signatures; the fingerprint knows better
    return TwinOf(other, "scale of the policy gradient" if scaled.only_policy else "scale", scaled.factor)
