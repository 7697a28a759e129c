"""A verification's report as lines: checks, mechanisms, claims, warnings."""

from collections.abc import Iterator, Mapping
from typing import Any

from poise_tui.format import number, one_line


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people; the JSON has more."""
    for check in report["checks"]:
        yield f"{'ok' if check['passed'] else 'FAILED':>6}  {check['name']}: {one_line(check['detail'])}"
    for claim in report["claims"]:
        said = "confirmed" if claim["holds"] else "REFUTED"
        found = f"{number(claim['value'], 3)}, GRPO {number(claim['reference'], 3)}"
        yield f"        {said}: {one_line(claim['claim'])} ({found}, regime '{claim['regime']}')"
    for row in report["mechanisms"]:
        params = ", ".join(f"{key}={value}" for key, value in row["params"].items())
        stages = ", ".join(row["stages"])
        yield f"        {one_line(row['name'])}({one_line(params)}) at {one_line(stages)}{_acts(row)}"
    for warning in report["warnings"]:
        yield f"  note  {one_line(warning)}"


def _acts(row: Mapping[str, Any]) -> str:
    if "acts" not in row:
        return ""
    here = "" if row["acts_on_profile"] is None else f", on {row['acts_on_profile']} recorded batches"
    return f"; acts in {len(row['acts'])} regimes{here}"
