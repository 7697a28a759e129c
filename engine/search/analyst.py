"""Reflection: what a candidate's training and scores say about its mechanisms, in words and numbers.

`reflect` is rule-based and always works. `write_reflection` asks a language model with the same facts, and
falls back on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.algorithms.catalogue import catalogue
from engine.errors import PoiseError
from engine.search.answers import BadAnswer, ReflectionAnswer, read_model
from engine.search.contrast import findings, overall_difference, paid, partings
from engine.search.curves import Curves
from engine.search.evidence import Evidence
from engine.search.findings import Finding
from engine.search.gains import changes
from engine.search.llm import Ledger, complete
from engine.search.prompts import prompt
from engine.search.record import NotRecorded
from engine.search.symptoms import Symptom, plain, symptoms
from engine.search.text import clean, one_line, quoted

LONGEST = 6_000
"""Characters of a reflection."""
MOST_PARTINGS = 6
"""Curves that a reflection tells of."""


@dataclass(frozen=True)
class Case:
    """Everything a reflection is written from."""

    candidate: Evidence
    parent: Evidence | None
    curves: Curves | None
    """None when it never trained."""
    parent_curves: Curves | None = None


@dataclass(frozen=True)
class Reflection:
    """The text of reflection.md, who wrote it, and what that cost."""

    text: str
    by: str
    """`rules` or the model's name."""
    usd: float = 0.0
    findings: tuple[Finding, ...] = ()
    """What it claims, in a form that can be counted."""


def reflect(case: Case) -> str:
    """The rule-based reflection, markdown with the headings Verdict, Evidence, Reading and Suggestion."""
    c = case.candidate
    found = symptoms(case.curves)
    sections = {
        "Verdict": _verdict(case),
        "Evidence": "\n".join(f"- {line}" for line in _evidence(case)),
        "Reading": _reading(case, found),
        "Suggestion": _suggestion(case, found),
    }
    return _markdown(f"# {c.name} ({c.id})", sections)


async def write_reflection(case: Case, *, model: str, seed: int, ledger: Ledger, timeout: float = 120.0) -> Reflection:
    """The reflection by `model`, or by rules when that is the composer, fails, or may cost no more."""
    text = reflect(case)
    learnt = findings_of(case)
    if model.startswith("poise/"):
        return Reflection(text, "rules", findings=learnt)
    try:
        reply = await complete(
            model,
            reflection_messages(case),
            purpose="reflect",
            schema=ReflectionAnswer.model_json_schema(),
            timeout=timeout,
            seed=seed,
            ledger=ledger,
        )
        try:
            answer = read_model(reply.text, ReflectionAnswer)
        except BadAnswer as e:
            return Reflection(_fallen_back(text, model, str(e)), "rules", reply.usd, learnt)
    except NotRecorded:
        raise  # a replay is exact, or it ends
    except PoiseError as e:
        return Reflection(_fallen_back(text, model, str(e)), "rules", findings=learnt)
    share = LONGEST // 5
    sections = {
        "Verdict": _prose(answer.verdict, share),
        "Evidence": "\n".join(f"- {line}" for line in _evidence(case)),
        "Reading": _prose(answer.reading, share),
        "Suggestion": _prose(answer.suggestion, share),
    }
    learnt = findings_of(case, answer.suggestion, answer.never)
    return Reflection(_markdown(f"# {case.candidate.name} ({case.candidate.id})", sections), model, reply.usd, learnt)


def findings_of(case: Case, advice: str | None = None, never: str | None = None) -> tuple[Finding, ...]:
    """What the figures say of the changed mechanisms, see `engine.search.contrast.findings`.

    Args:
        case: the facts.
        advice: what to try next in a model's words; else the rules' suggestion.
        never: what not to try again in a model's words; only beside a finding that is no success.
    """
    told = one_line(advice or _suggestion(case, symptoms(case.curves)), LONGEST // 20)
    first, *rest = findings(case.candidate, case.parent, case.curves, case.parent_curves, told) or (None,)
    if first is None:
        return ()
    if never and first.hypothesis != "confirmed":
        first = replace(first, never=one_line(never, LONGEST // 20))
    return (first, *(f for f in rest if f is not None))


def reflection_messages(case: Case) -> list[dict[str, str]]:
    """The messages that ask for a reflection: the facts, and the rule-based text as a first reading."""
    c, parent = case.candidate, case.parent
    system = prompt("reflect").fill(library=", ".join(catalogue()))
    user = "\n\n".join(
        [
            f"Candidate {c.name} ({c.id}), child of {parent.name if parent else 'nothing: it is the root'}.",
            f"Hypothesis: {quoted(one_line(c.hypothesis, 1500), 1500)}",
            f"Mechanisms: {c.key or 'none'}. Parent's: {(parent.key or 'none') if parent else 'none'}.",
            f"A first reading by rules:\n{quoted(reflect(case), LONGEST)}",
            _curve_table(case),
        ]
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _verdict(case: Case) -> str:
    c, parent = case.candidate, case.parent
    if c.overall is None:
        return f"{c.status.capitalize()}: {one_line(c.cause or 'no cause was recorded')}"
    if parent is None:
        return f"The root scores {c.overall:.2f}."
    difference = overall_difference(c, parent)
    if difference is None:
        return f"Scores {c.overall:.2f}; its parent {parent.name} has no score to compare with."
    gain, margin = difference
    word = "Better than" if gain > margin else "Worse than" if -gain > margin else "Not told apart from"
    return (
        f"{word} its parent {parent.name}: Overall {c.overall:.2f} against {parent.overall:.2f}, "
        f"{gain:+.2f} ± {margin:.2f} (95 % over problems; the noise between seeds comes on top)."
    )


def _evidence(case: Case) -> list[str]:
    lines = []
    c, parent = case.candidate, case.parent
    for task, b in c.benchmarks.items():
        before = parent.benchmarks.get(task) if parent else None
        against = f", parent {before.value:.1f} [{before.low:.1f}, {before.high:.1f}]" if before else ""
        lines.append(f"{task} ({b.metric}): {b.value:.1f} [{b.low:.1f}, {b.high:.1f}]{against}")
    if case.curves is not None and case.curves.updates:
        shown = [f"{plain(name)} {t}" for name, t in case.curves.trends.items() if t is not None]
        lines.append(f"curves over {case.curves.updates} updates, first to last quarter: {', '.join(shown)}")
        if case.curves.spikes:
            lines.append(f"gradient spikes at updates {', '.join(map(str, case.curves.spikes[:8]))}")
    elif c.overall is None:
        lines.append("it never trained: there are no curves")
    return lines or ["no curves were recorded"]


def _reading(case: Case, found: Sequence[Symptom]) -> str:
    c, parent, curves = case.candidate, case.parent, case.curves
    lines = []
    if parent is not None:
        added, removed, tuned = changes(parent.mechanisms, c.mechanisms)
        for choice in added:
            entry = catalogue().get(choice.name)
            stages = f" at {' and '.join(entry.stages)}" if entry else ""
            lines.append(f"- new here: {choice.key}{stages}")
        lines += [f"- gone: {choice.key}" for choice in removed] + [f"- other constants: {m.key}" for m in tuned]
    if curves is not None:
        lines += [f"- {s.name} ({s.figures(curves)}): {s.meaning}" for s in found]
        lines += [f"- {p.sentence()}" for p in partings(curves, case.parent_curves)[:MOST_PARTINGS]]
    if parent is not None:
        lines += [
            f"- {task} {'paid' if d > 0 else 'lost'}: {d:+.1f} ± {m:.1f} against the parent's"
            for task, d, m in paid(c, parent)
        ]
    if c.overall is None:
        lines.append(f"- {_failure_reading(c)}")
    return "\n".join(lines) or "- nothing in the curves stands out"


def _failure_reading(c: Evidence) -> str:
    cause = (c.cause or "").lower()
    if re.search(r"nan|inf\b|finite|diverg", cause):
        return "numbers stopped being finite: a divisor or a ratio is not bounded"
    if "inert" in cause:
        return "a mechanism changes nothing: another one takes away what it acts on"
    if re.search(r"time|deadline|wall", cause):
        return "it took too long: the cost of a step, not the idea, was judged"
    if re.search(r"memory|killed|oom", cause):
        return "it ran out of memory"
    if c.status == "duplicate":
        return "it does the same as a candidate that is already known, whatever its name says"
    return "the idea was not tested: the file did not get as far as a score"


def _suggestion(case: Case, found: Sequence[Symptom]) -> str:
    have = {m.name for m in case.candidate.mechanisms}
    before = case.parent.name if case.parent else "the root"
    if case.candidate.overall is None:
        added = changes(case.parent.mechanisms if case.parent else (), case.candidate.mechanisms)[0]
        names = ", ".join(m.name for m in added) or "the change"
        return f"Build on {before} instead, without {names} in this form."
    lines = []
    for symptom in found:
        remedies = [r for r in symptom.remedies if r in catalogue() and r not in have]
        if remedies:
            lines.append(f"Against '{symptom.name}': {' or '.join(remedies[:3])}.")
    difference = overall_difference(case.candidate, case.parent) if case.parent else None
    if difference is not None and difference[0] < -difference[1]:
        lines.insert(0, f"Go back to {before}, or undo one change at a time.")
    return " ".join(lines[:4]) or "Repeat with another seed before building on it, or change another stage."


def _curve_table(case: Case) -> str:
    if case.curves is None:
        return "There are no curves."
    rows = ["curve: first to last quarter (parent's)"]
    for name, trend in case.curves.trends.items():
        before = case.parent_curves.trends.get(name) if case.parent_curves else None
        rows.append(f"{name}: {trend or 'none'} ({before or 'none'})")
    return "\n".join(rows)


def _prose(text: str, limit: int) -> str:
    """A model's words without headings: the headings are ours, and other code finds sections by them."""
    return re.sub(r"^#+\s*", "", quoted(text, limit).strip(), flags=re.MULTILINE)


def _fallen_back(text: str, model: str, why: str) -> str:
    return clean(f"{text.rstrip()}\n\n*Written by rules: {model} gave no usable reflection ({one_line(why, 200)}).*\n")


def _markdown(title: str, sections: dict[str, str]) -> str:
    body = "\n\n".join(f"## {heading}\n{text}" for heading, text in sections.items())
    return clean(f"{title}\n\n{body}\n", LONGEST)
