"""How good a candidate is known to be, as text: rungs, gain, promotions, confirmation, attribution."""

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from poise_tui.format import number, one_line, signed
from poise_tui.snapshot import Candidate

MUTED = "$foreground 60%"
MOOD = {"better": "$success", "worse": "$error", "pays": "$success", "harmful": "$error", "confirmed": "$success"}


def evidence(document: Mapping[str, Any]) -> list[Content]:
    """Lines for the detail pane; none where nothing is known."""
    lines: list[Content] = []
    for part in (_rungs, _promotions, _confirmed, _attribution):
        try:
            lines += part(document)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # it has not the promised shape
            lines.append(Content.styled("  not readable", MUTED))
    return [Content(""), Content.styled("Evidence", "bold $primary"), *lines] if lines else []


def trainings(candidate: Candidate) -> list[Content]:
    """Every training of a candidate: what for, how far it got, and its score there."""
    lines = [Content(""), Content.styled("Trainings", "bold $primary")]
    for trial in candidate.trials:
        at = "" if trial.updates in (None, trial.steps) else f" at update {trial.updates}"
        score = "" if trial.overall is None else f" {number(trial.overall)}{at}"
        lines.append(Content(f"  {one_line(trial.id):<20} {one_line(trial.purpose):<9}{one_line(trial.status)}{score}"))
    return lines if candidate.trials else []


def _rungs(document: Mapping[str, Any]) -> list[Content]:
    lines = []
    for rung in document.get("rungs") or ():
        scores = ", ".join(number(score) for score in rung["overalls"])
        seeds = len(rung["overalls"])
        lines.append(Content(f"  after {rung['updates']} updates: {scores} ({seeds} seed{'s' if seeds != 1 else ''})"))
    if (gain := document.get("gain")) is not None:
        told = f"  over the root there: {signed(gain['value'])} ({signed(gain['low'])} to {signed(gain['high'])}), "
        lines.append(Content.assemble(told, (one_line(gain["mark"]), MOOD.get(gain["mark"], MUTED))))
    return lines


BY = {"user": " by hand", "end": " at the end of the search"}


def _promotions(document: Mapping[str, Any]) -> list[Content]:
    return [
        Content.assemble(
            "  ",
            ("went on" if p["promoted"] else "stopped", "$success" if p["promoted"] else "$warning"),
            BY.get(p["by"], "") + f": {one_line(p['why'])}",
        )
        for p in document.get("promotions") or ()
    ]


def _confirmed(document: Mapping[str, Any]) -> list[Content]:
    if (found := document.get("confirmed")) is None:
        return []
    verdict = one_line(found["verdict"])
    lines = [
        Content.assemble("  ", (verdict, f"bold {MOOD.get(verdict, '$warning')}"), f" ({one_line(found['study'])})")
    ]
    lines += [Content(f"  {one_line(found['line'])}")]
    if found.get("p") is not None:
        looks = ", ".join(str(look["seeds"]) for look in found.get("looks") or ())
        told = (
            f"  p {found['p']:.2g}, alpha {found['alpha']:.2g} of the run's ledger, looked at after {looks} seeds each"
        )
        lines.append(Content.styled(told, MUTED))
    return lines


def _attribution(document: Mapping[str, Any]) -> list[Content]:
    if (found := document.get("attribution")) is None:
        return []
    lines = [Content.styled(f"  {'mechanism':<28}{'switched off':>24}{'alone':>9}{'Shapley':>9}", MUTED)]
    for m in found["mechanisms"]:
        off = f"{signed(m['off']['effect'])} ({signed(m['off']['low'])} to {signed(m['off']['high'])})"
        shapley = signed(m["shapley"]["value"]) if m.get("shapley") else ""
        row = f"  {one_line(m['name'])[:27]:<28}{off:>24}{signed(m['alone']['effect']):>9}{shapley:>9}  "
        lines.append(Content.assemble(row, (one_line(m["verdict"]), MOOD.get(m["verdict"], MUTED))))
    return lines
