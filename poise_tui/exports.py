"""What can be taken away as files: pictures of the screen, a curve, a candidate, the report; for a thread."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.archive.files import write_atomic
from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from engine.untrusted import many_lines, one_line
from poise_tui.run_files import read_code
from poise_tui.snapshot import Candidate
from poise_tui.widgets.plot import Series

KINDS: Mapping[str, str] = {
    "svg": "the screen as a picture",
    "text": "the screen as text",
    "csv": "the curves on the chart, all their values",
    "markdown": "the selected candidate",
    "report": "the run's report, one page of HTML and the same as Markdown",
}
"""By what a `:export` is told."""


def write_new(folder: Path, name: str, ending: str, text: str) -> Path:
    """Write a file under a name that is free: name.ending, else name-2.ending and so on.

    Raises:
        PoiseError: refused (4): it cannot be written.
    """
    number = 1
    while (path := folder / f"{name}{f'-{number}' if number > 1 else ''}.{ending}").exists():
        number += 1
    try:
        write_atomic(path, text.encode("utf-8", "replace"), durable=False)
    except OSError as error:
        raise PoiseError(f"cannot write {path}: {error.strerror}", Exit.REFUSED) from None
    return path


def curves_csv(series: Sequence[Series], metric: str) -> str:
    """Every value of a metric, of every training on the chart, as rows: candidate, trial, update, value.

    Where nothing was measured the value is empty.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["candidate", "name", "trial", "update", metric])
    for one in series:
        trials = {trial.id: trial for trial in (*one.seeds, one.trial)}
        for trial in trials.values():
            curve = trial.curve
            for step, value in zip(curve.steps(), curve.values(metric), strict=True):
                shown = f"{value:.7g}" if value == value else ""
                table.writerow([one.candidate, one.name, trial.id, int(step), shown])
    return text.getvalue()


def candidate_markdown(folder: RunFolder, candidate: Candidate) -> str:
    """All about one candidate: what it is, its scores, what was learnt, its code."""
    document = candidate.document()
    proposal: dict[str, Any] = document.get("proposal") or {}
    lines = [f"# {one_line(candidate.id)} {_cell(candidate.name)}", "", f"Run {folder.id}, {candidate.status}."]
    lines += [f"Cause: {_cell(candidate.cause)}."] if candidate.cause else []
    if candidate.parent:
        lines.append(f"Child of {one_line(candidate.parent)}.")
    lines += ["", "## Hypothesis", "", many_lines(proposal.get("hypothesis") or "none given"), "", "## Mechanisms", ""]
    for mechanism in proposal.get("mechanisms") or []:
        params = ", ".join(f"{k}={v}" for k, v in (mechanism.get("params") or {}).items())
        lines.append(f"- {_cell(mechanism.get('name'))}({_cell(params)})")
    if candidate.overall is not None:
        where = "" if candidate.updates is None else f" after {candidate.updates} updates"
        lines += ["", "## Scores", "", f"Overall {candidate.overall:.2f}{where}, {len(candidate.seeds)} training(s)."]
        if (gain := candidate.gain) is not None:
            lines.append(f"Over the root: {gain.value:+.2f} ({gain.low:+.2f} to {gain.high:+.2f}), {gain.mark}.")
        lines += ["", "| task | value | 95 % interval |", "| --- | --- | --- |"]
        for task, score in (document.get("benchmarks") or {}).items():
            low, high = (*(score.get("ci") or ()), None, None)[:2]
            interval = f"{low:.2f} to {high:.2f}" if low is not None and high is not None else ""
            lines.append(f"| {_cell(task)} | {score['value']:.2f} | {interval} |")
    if confirmed := document.get("confirmed"):
        lines += ["", "## Confirmation", "", _cell(f"{confirmed['verdict']}: {confirmed['line']}")]
    if text := document.get("reflection"):
        lines += ["", "## Reflection", "", many_lines(text).replace("\n## ", "\n### ").removeprefix("## ")]
    if (code := read_code(folder, candidate.id)) is not None:
        fence = "`" * max(3, 1 + max((len(run) for run in code.split() if set(run) == {"`"}), default=0))
        lines += ["", "## Code", "", f"{fence}python", many_lines(code).rstrip(), fence]
    return "\n".join(lines) + "\n"


def _cell(text: object) -> str:
    return one_line(text).replace("|", "\\|")
