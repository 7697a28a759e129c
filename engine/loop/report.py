"""What a verification's process says, taken for what it is: made where candidate code ran, so every field is checked.

A candidate can lie about itself here, and then only trains what should not have been trained; it cannot put other
shapes, sizes or terminal sequences into the archive, and no score is read from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.untrusted import one_line

Line = Annotated[str, AfterValidator(one_line)]
Name = Annotated[str, AfterValidator(lambda text: one_line(text, 200))]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{8,128}$")]
Value = bool | int | float | Name
Few = Field(max_length=256)


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class CheckRow(_Row):
    """One check."""

    name: Name
    passed: bool
    detail: Line
    mechanism: Name | None = None
    stage: Name | None = None
    regime: Name | None = None
    expected: Line | None = None
    found: Line | None = None


class ClaimRow(_Row):
    """One claim and what was measured."""

    claim: Name
    sentence: Line
    holds: bool
    value: float | None
    bound: float | None
    reference: float | None
    regime: Name | None


class MechanismRow(_Row):
    """One mechanism of the file."""

    name: Name
    doc: Line
    params: dict[Name, Value] = Few
    ranges: dict[Name, list[float | None]] = Few
    stages: list[Name] = Few
    acts: list[Name] = Field(default=[], max_length=256)
    acts_on_profile: int | None = None


class Report(_Row):
    """A verification's report."""

    passed: bool
    cause: Line | None
    checks: list[CheckRow] = Few
    warnings: list[Line] = Few
    algorithm: Name | None
    profile: Name
    mechanisms: list[MechanismRow] = Few
    claims: list[ClaimRow] = Few
    fingerprint: Hash | None
    profile_fingerprint: Hash | None
    signature: dict[Name, dict[Name, Any]] | None


def read_report(data: Mapping[str, Any]) -> dict[str, Any]:
    """The report with only known fields, of their types and within bounds; a failed one if it is no report."""
    try:
        found = Report.model_validate(data)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        return {"passed": False, "cause": one_line(f"its verification gave no usable report: {where}", 300)}
    if found.passed and not (found.fingerprint and found.signature is not None):
        return {"passed": False, "cause": "its verification gave no usable report: it passed without a fingerprint"}
    return found.model_dump(exclude_unset=True)
