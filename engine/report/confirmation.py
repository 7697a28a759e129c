"""Confirmation: what was trained again with fresh seeds on fresh problems, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.archive.store import Document
from engine.report.blocks import Block, Cell, Heading, Table, Text, Tone
from engine.report.story import Story
from engine.report.words import called, interval, name_of, plural
from engine.stats.ledger import FAMILY
from engine.untrusted import one_line


def confirmation(story: Story) -> list[Block]:
    """The section's blocks."""
    studies = [s for s in story.studies if s.get("kind") == "confirm"]
    if not studies and not any(c.get("confirmed") for c in story.candidates):
        how = f": `poise confirm {story.run['id']} NODE` does it" if story.has_rungs else ""
        return [Text(f"Nothing was tried a second time yet, so nothing is confirmed{how}.", "muted")]
    blocks: list[Block] = [
        Text(
            "A candidate and the root are trained again, with seeds that the search never used, and scored on "
            "problems of a split that it never touched. The looks and the error allowed at each were fixed before "
            "the first training (alpha spending); an interval has the level of its look, so that it leaves out 0 "
            "exactly where the look decides. The whole run may call something confirmed by mistake with a chance of "
            f"{FAMILY:g}, shared among everything that is ever tried to be confirmed."
        )
    ]
    for study in studies:
        blocks += _study(story, study)
    spent = sum(float(a) for s in studies for a in (s.get("alpha") or {}).values())
    blocks.append(Text(f"Of the error allowed, {FAMILY:g}, {spent:.4g} is taken, {max(0.0, FAMILY - spent):.4g} left."))
    not_confirmed = [
        c for c in story.candidates if (v := (c.get("confirmed") or {}).get("verdict")) and v != "confirmed"
    ]
    if not_confirmed:
        names = "; ".join(f"{called(c)}: {one_line(c['confirmed']['verdict'], 60)}" for c in not_confirmed)
        blocks.append(Text(f"Not confirmed: {names}.", "strong"))
    return blocks


def looks_words(looks: Sequence[Any]) -> str:
    """The looks of a verdict or a plan: seeds, and where it is known p of what was asked."""
    said = []
    for look in looks:
        if not isinstance(look, Mapping):
            said.append(str(look))
            continue
        p, nominal = look.get("p"), look.get("nominal", look.get("level"))
        asked = f", asked {nominal:.2g}" if isinstance(nominal, float) else ""
        said.append(f"{look.get('seeds', '?')}" + (f" (p {p:.2g}{asked})" if isinstance(p, int | float) else ""))
    return ", ".join(said) or "–"


def power_words(confirmed: Mapping[str, Any]) -> str:
    """The chance that these trainings would have shown a true gain: of the size seen, and the size shown in 80 %."""
    power = confirmed.get("power") or {}
    said = [f"{power['value']:.0%} at {power['at']:+.1f}"] if (power.get("at") or 0.0) > 0 else []
    said += [f"80% at {power['detectable']:+.1f}"] if power.get("detectable") is not None else []
    return ", ".join(said) or "–"


def _study(story: Story, study: Document) -> list[Block]:
    done = [t for t in story.trials if t.get("study") == study["id"]]
    ended = sum(t["status"] in ("scored", "failed", "stopped") for t in done)
    said = (
        f"By {one_line(study.get('by') or 'somebody')}, {one_line(study.get('status') or '')}: up to "
        f"{plural(study.get('seeds') or 0, 'fresh seed')} for each of {plural(len(study.get('arms') or []), 'arm')}, "
        f"looks planned at {looks_words(study.get('looks') or [])} seeds; {plural(ended, 'training')} of {len(done)} "
        "ended."
    )
    if study.get("cause"):
        said += f" {one_line(study['cause'], 300)}"
    rows: list[list[Cell | str]] = []
    for node in study.get("nodes") or []:
        candidate = story.by_id.get(node)
        if candidate is None:
            continue
        verdict = _verdict(study, candidate)
        alpha = (study.get("alpha") or {}).get(node)
        asked = "–" if alpha is None else f"{alpha:.3g}"
        gain, why = candidate["gain"], one_line((study.get("dropped") or {}).get(node) or "", 60)
        if not verdict:
            rows.append(
                [
                    node,
                    name_of(candidate),
                    interval(gain),
                    "–",
                    "–",
                    asked,
                    "–",
                    "–",
                    Cell(f"none: {why}" if why else "none yet", "muted"),
                ]
            )
            continue
        p = verdict.get("p")
        rows.append([
            node, name_of(candidate), interval(gain), interval(verdict, "gain"),
            "–" if p is None else f"{p:.2g}", asked,
            f"{verdict.get('seeds', '–')} / {verdict.get('root_seeds', '–')}", power_words(verdict),
            Cell(one_line(verdict.get("verdict") or "", 60), _tone(verdict)),
        ])  # fmt: skip
    head = [
        "id",
        "name",
        "gain in the search",
        "gain confirmed",
        "p",
        "alpha",
        "seeds / root",
        "power for a true gain",
        "verdict",
    ]
    lines = [
        Text(f"{node}: {one_line(line, 500)}", "muted")
        for node in study.get("nodes") or []
        if node in story.by_id and (line := _line(_verdict(study, story.by_id[node])))
    ]
    return [Heading(f"Study {one_line(study['id'], 40)}"), Text(said), Table(head, "llllrrlwl", rows), *lines]


def _verdict(study: Mapping[str, Any], candidate: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a study says of a candidate: its verdict, else the last of its looks so far; empty before the first."""
    found: Mapping[str, Any] = candidate.get("confirmed") or {}
    looks = (study.get("judged") or {}).get(candidate["id"]) or []
    if found.get("study") == study["id"]:
        return found
    return {**looks[-1], "root_seeds": looks[-1].get("seeds"), "looks": looks} if looks else {}


def _line(confirmed: Mapping[str, Any]) -> str:
    said = str(confirmed.get("line") or "")
    boot = confirmed.get("bootstrap") or {}
    if boot.get("low") is not None:
        said += f". Crossed bootstrap over seeds and problems (secondary): {boot['low']:+.1f} to {boot['high']:+.1f}"
    if len(confirmed.get("looks") or []) > 1:
        said += f". Looks at {looks_words(confirmed['looks'])} seeds"
    return said


def _tone(confirmed: Mapping[str, Any]) -> Tone:
    if confirmed.get("verdict") == "confirmed":
        return "better"
    return "worse" if confirmed.get("verdict") == "not confirmed" else "unsure"
