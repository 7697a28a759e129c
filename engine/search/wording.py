"""Names and hypotheses of composed algorithms, in words a reader can check against the archive."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from engine.algorithms.catalogue import Entry, MechanismChoice
from engine.search.gains import Gain

LONGEST_NAME = 34


def algorithm_name(mechanisms: Sequence[MechanismChoice], taken: Collection[str]) -> str:
    """A readable unique name: `NoStd-ClipHigher-GRPO`, by initials if that is too long (`NS-CH-TM-GRPO`)."""
    body = "-".join(m.name for m in mechanisms)
    if len(body) + len("-GRPO") > LONGEST_NAME:
        body = "-".join(initials(m.name) for m in mechanisms)
    return unique_name(f"{body}-GRPO" if body else "GRPO", taken)


def unique_name(name: str, taken: Collection[str]) -> str:
    """The name itself, or with `-v2`, `-v3`... before its ending, if it is taken."""
    stem, ending = (name[: -len("-GRPO")], "-GRPO") if name.endswith("-GRPO") else (name, "")
    candidate, version = name, 1
    while candidate in taken:
        version += 1
        candidate = f"{stem}-v{version}{ending}"
    return candidate


def initials(name: str) -> str:
    """`ClipHigher` -> `CH`."""
    return "".join(re.findall(r"[A-Z0-9]", name)) or name[:3].upper()


def idea(entry: Entry) -> str:
    """The mechanism's docstring without its last full stop, first letter lowered."""
    text = entry.doc.rstrip(". ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def hypothesis(
    parent: str,
    parent_overall: float | None,
    added: Sequence[tuple[MechanismChoice, Entry]],
    removed: Sequence[str],
    tuned: Sequence[tuple[MechanismChoice, MechanismChoice]],
    gains: Mapping[str, Gain],
    donor: str | None,
    asked: bool,
) -> str:
    """What the change is, why it should work, what the archive knows of it, and what would refute it.

    Args:
        parent: name of the candidate that is changed.
        added: new mechanisms.
        removed: names of those that go.
        tuned: (before, after) of those that get other constants.
        gains: the archive's record.
        donor: name of the other parent of a crossover.
        asked: whether the directive or the parent's reflection asks for this change.
    """
    sentences = []
    for choice, entry in added:
        source = f" from {donor}" if donor else ""
        stages = " and ".join(entry.stages)
        sentences.append(f"{choice.name}{source} is added to {parent} at {stages}: {idea(entry)}.")
    sentences += [f"{name} is taken out of {parent}, to see whether it carries its weight." for name in removed]
    for before, after in tuned:
        old, new = before.params, after.params
        moved = [f"{k} from {old.get(k)} to {v}" for k, v in new.items() if old.get(k) != v]
        sentences.append(f"{after.name} of {parent} gets {', '.join(moved)}.")
    if asked:
        sentences.append(f"The directive or the reflection on {parent} asks for it.")
    sentences.append(_evidence([*(c.name for c, _ in added), *removed, *(a.key for _, a in tuned)], gains))
    goal = f"above {parent_overall:.1f}" if parent_overall is not None else "over its parent's"
    sentences.append(f"If this is right, Overall rises {goal}; if it does not, the change is no help here.")
    return " ".join(sentences)


def _evidence(keys: Sequence[str], gains: Mapping[str, Gain]) -> str:
    known = []
    for key in keys:
        gain = gains.get(key, Gain())
        if gain.trials:
            times = "once" if gain.trials == 1 else f"{gain.trials} times"
            known.append(f"{key} was tried {times}: {gain.mean:+.1f} points on average, {gain.shrunk:+.1f} shrunk")
        if gain.failures:
            known.append(f"{key} failed {'once' if gain.failures == 1 else f'{gain.failures} times'}")
    return f"So far {', '.join(known)}." if known else "The archive has no evidence on it yet."
