"""What the tabs of the detail pane say, as text without markup: all of it may come from a model."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from textual.content import Content
from textual.highlight import highlight

from poise_tui.format import many_lines, number, one_line, signed
from poise_tui.run_files import Sample
from poise_tui.snapshot import Candidate, Snapshot
from poise_tui.widgets.evidence_text import evidence, trainings

MUTED = "$foreground 60%"
MOST_SAMPLES = 512
TERMS = ("pareto", "performance", "diversity", "bayes")
"""Of a parent's acquisition."""
MOST_RIVALS = 5


def idea(candidate: Candidate, snapshot: Snapshot) -> Content:
    """Hypothesis, mechanisms, what became of it, and why its parent was chosen."""
    document = candidate.document()
    proposal = _mapping(document.get("proposal"))
    parts = [
        _title(f"{candidate.id} {candidate.name}"),
        _pair("status", candidate.status + (f": {candidate.cause}" if candidate.cause else "")),
        *(_pair("flagged", one_line(flag)) for flag in document.get("flags") or []),
        *([_pair("pinned", "yes")] if candidate.pinned else []),
        _pair("parent", _named(candidate.parent, snapshot)),
    ]
    provenance = _mapping(document.get("provenance"))
    by = " ".join(one_line(provenance[k]) for k in ("proposer", "model") if provenance.get(k))
    cost = _mapping(document.get("cost"))
    parts += [_pair("proposed by", by)] if by else []
    if (seconds := _float(cost.get("train_seconds"))) is not None:
        parts.append(_pair("trained", f"{seconds:.0f} s"))
    parts += [Content(""), _title("Hypothesis"), Content(many_lines(proposal.get("hypothesis", "none given")))]
    parts += [Content(""), _title("Mechanisms")]
    mechanisms = [m for m in proposal.get("mechanisms") or [] if isinstance(m, Mapping)]
    for mechanism in mechanisms:
        params = ", ".join(f"{k}={v}" for k, v in _mapping(mechanism.get("params")).items())
        parts.append(Content(f"  {one_line(mechanism.get('name'))}({one_line(params)})"))
    parts += [] if mechanisms else [Content("  none: this is plain GRPO")]
    parts += evidence(document)
    parts += _verification(_mapping(document.get("verification")))
    parts += _decision(_mapping(document.get("decision")), candidate, snapshot)
    return Content("\n").join(parts)


def _verification(report: Mapping[str, Any]) -> list[Content]:
    checks = [c for c in report.get("checks") or [] if isinstance(c, Mapping)]
    if not checks:
        return []
    lines = [Content(""), _title("Verification")]
    for check in checks:
        verdict = ("passed", "$success") if check.get("passed") else ("failed", "$error")
        said = f"  {one_line(check.get('name'))}: {one_line(check.get('detail') or '')}"
        lines.append(Content.assemble("  ", verdict, said))
    for claim in (c for c in report.get("claims") or [] if isinstance(c, Mapping)):
        verdict = ("confirmed", "$success") if claim.get("holds") else ("refuted", "$error")
        figures = f"{number(_float(claim.get('value')), 3)}, GRPO {number(_float(claim.get('reference')), 3)}"
        lines.append(Content.assemble("  ", verdict, f"  {one_line(claim.get('claim'))} ({figures})"))
    twin = _mapping(report.get("twin"))
    notes = [f"twin of {twin.get('id')}: {twin.get('kind')}, factor {twin.get('factor')}"] if twin else []
    lines += [Content(f"  note  {one_line(note)}") for note in [*notes, *(report.get("warnings") or [])]]
    return lines


def _decision(decision: Mapping[str, Any], candidate: Candidate, snapshot: Snapshot) -> list[Content]:
    """The four terms of the chosen parent and of the best others, side by side, with what they add up to."""
    terms = {k: v for k, v in _mapping(decision.get("terms")).items() if isinstance(v, Mapping)}
    if not terms:
        return []
    head = f"  {'':<10}" + "".join(f"{name:>12}" for name in TERMS) + f"{'score':>8}{'chance':>8}"
    lines = [Content(""), _title("Why this parent"), Content.styled(head, MUTED)]
    others = sorted((k for k in terms if k != candidate.parent), key=lambda k: -(_float(terms[k].get("score")) or 0.0))
    for node in [*([candidate.parent] if candidate.parent in terms else []), *others[:MOST_RIVALS]]:
        row = terms[node]
        numbers = "".join(f"{number(_float(row.get(name)), 3):>12}" for name in TERMS)
        chance = _float(row.get("probability"))
        sums = f"{number(_float(row.get('score')), 3):>8}{'-' if chance is None else f'{chance:.1%}':>8}"
        style = "bold" if node == candidate.parent else ""
        lines.append(Content.styled(f"  {one_line(node)[:9]:<10}{numbers}{sums}", style))
    chosen = _mapping(terms.get(candidate.parent or ""))
    mean, std = _float(chosen.get("mean")), _float(chosen.get("std"))
    if mean is not None and std is not None:
        lines.append(Content.styled(f"  bayes: its descendants' gain is expected at {mean:+.2f}, std {std:.2f}", MUTED))
    why = "pinned by its user" if decision.get("why") == "pinned" else "drawn by chance, from a lineage of its own"
    seen = len(decision.get("saw") or [])
    lines.append(Content.styled(f"  {why}, among {seen} candidate{'' if seen == 1 else 's'}", MUTED))
    return lines


def code(text: str | None) -> Content:
    """The algorithm's file, highlighted."""
    if text is None:
        return Content.styled("no file yet", MUTED)
    return highlight(many_lines(text), language="python")


def scores(candidate: Candidate, snapshot: Snapshot) -> Content:
    """Every task with its interval, beside the root's."""
    benchmarks = _mapping(candidate.document().get("benchmarks"))
    root = snapshot.root
    ours = candidate.overall
    lines = [_title(f"{candidate.id} {candidate.name}"), Content("")]
    if not benchmarks:
        why = candidate.cause or f"it is {candidate.status}"
        return Content("\n").join([*lines, Content.styled(f"no scores yet: {why}", MUTED)])
    of_root, roots = _at_its_rung(candidate, root)
    head = f"{'task':<10}{'metric':<9}{'value':>6}  {'95% interval':<15}{'root':>6}{'diff':>7}"
    lines.append(Content.styled(head, MUTED))
    for task, score in benchmarks.items():
        score, other = _mapping(score), _mapping(of_root.get(task))
        low, high = (*(score.get("ci") or ()), None, None)[:2]
        interval = f"[{number(_float(low))}, {number(_float(high))}]"
        row = f"{one_line(task)[:9]:<10}{one_line(score.get('metric'))[:8]:<9}"
        row += f"{number(_float(score.get('value'))):>6}  {interval:<15}"
        lines.append(_against(row, _float(score.get("value")), _float(other.get("value")), candidate is root))
    lines.append(_against(f"{'Overall':<19}{number(ours):>6}{'':<17}", ours, roots, candidate is root, "bold"))
    lines += _baselines(snapshot)
    lines += trainings(candidate)
    return Content("\n").join(lines)


def _at_its_rung(candidate: Candidate, root: Candidate | None) -> tuple[Mapping[str, Any], float | None]:
    """The root's tasks and Overall where the candidate was scored: after as many updates, on the same problems."""
    if root is None:
        return {}, None
    document = root.document()
    if candidate.fidelity >= 1:
        return _mapping(document.get("benchmarks")), root.overall
    rungs = _mapping(document.get("result")).get("rungs") or ()
    nothing: Mapping[str, Any] = {}
    at = next((r for r in rungs if r.get("rung") == candidate.fidelity), nothing)
    return _mapping(at.get("benchmarks")), _float(at.get("overall"))


def _against(row: str, value: float | None, root: float | None, is_root: bool, style: str = "") -> Content:
    if is_root or value is None or root is None:
        return Content.styled(f"{row}{number(root):>6}", style)
    mood = "$success" if value > root else "$error" if value < root else MUTED
    return Content.assemble((f"{row}{number(root):>6}", style), (f"{signed(value - root):>7}", mood))


def _baselines(snapshot: Snapshot) -> list[Content]:
    """Other seeds of the root: how far apart equal algorithms land."""
    found = snapshot.level or ()
    if len(found) < 2:
        return []
    seeds = ", ".join(number(value) for value in found)
    return [Content(""), Content.styled(f"the root by itself, {len(found)} whole trainings: {seeds}", MUTED)]


def samples(found: Sequence[Sample]) -> Content:
    """Completions with what they earned over the course of the training, whole groups together, the newest first."""
    if not found:
        return Content.styled("no completions yet", MUTED)
    lines: list[Content] = []
    for step, batch in groupby(found[:MOST_SAMPLES], key=lambda sample: sample.step):
        of_step = list(batch)
        lines += [Content("")] if lines else []
        rewards = [sample.reward for sample in of_step if sample.reward is not None]
        mean = f", reward {fmean(rewards):.2f}" if rewards else ""
        right = sum(sample.correct for sample in of_step)
        lines.append(_title(f"update {step}: {right} of {len(of_step)} correct{mean}"))
        for _, group in groupby(of_step, key=lambda sample: sample.problem):
            members = list(group)
            lines.append(Content.assemble(f" {one_line(members[0].task)}: ", (one_line(members[0].prompt), "bold")))
            lines += map(_sample, members)
    if len(found) > MOST_SAMPLES:
        lines += [Content(""), Content.styled(f"and {len(found) - MOST_SAMPLES} older ones", MUTED)]
    return Content("\n").join(lines)


def _sample(sample: Sample) -> Content:
    if sample.correct:
        verdict = ("correct  ", "$success")
    elif sample.truncated:
        verdict = ("truncated", "$warning")
    elif not sample.valid:
        verdict = ("invalid  ", "$warning")
    else:
        verdict = ("wrong    ", "$error")
    parts = " ".join(f"{one_line(name)} {value:.2f}" for name, value in sample.parts.items())
    numbers = f"{number(sample.reward, 2):>6} {signed(sample.advantage, 2):>6} "
    return Content.assemble(
        "  ", verdict, numbers, (one_line(sample.completion) or "(empty)", "bold"), (f"  {parts}", MUTED)
    )


def reflection(candidate: Candidate) -> Content:
    """What was learned from it; headings of its Markdown stand out."""
    text = candidate.document().get("reflection")
    if not text:
        return Content.styled("no reflection yet: it is written once the candidate has scored or failed", MUTED)
    lines = [
        _title(line.lstrip("# ")) if line.startswith("#") else Content(line) for line in many_lines(text).split("\n")
    ]
    return Content("\n").join(lines)


def _title(text: str) -> Content:
    return Content.styled(text, "bold $primary")


def _pair(name: str, value: str) -> Content:
    return Content.assemble((f"{name:<12}", MUTED), value)


def _named(node: str | None, snapshot: Snapshot) -> str:
    if node is None:
        return "none: this is the root"
    parent = snapshot.candidates.get(node)
    return f"{one_line(node)} {parent.name}" if parent else one_line(node)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
