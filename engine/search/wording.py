"""Names and hypotheses of composed algorithms, in words a reader can check against the archive."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.algorithms.catalogue import Entry, MechanismChoice
from engine.search.evidence import Evidence
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


@dataclass(frozen=True)
class Change:
    """What a composed algorithm changes of its parent, and why."""

    parent: Evidence
    added: Sequence[tuple[MechanismChoice, Entry]]
    removed: Sequence[str]
    """Names of the mechanisms that go."""
    tuned: Sequence[tuple[MechanismChoice, MechanismChoice]]
    """(before, after) of those that get other constants."""
    gains: Mapping[str, Gain]
    """The archive's record."""
    donor: str | None = None
    """The other parent of a crossover, or the idea that is taken up."""
    reasons: Sequence[str] = ()
    """What else speaks for it, a sentence each."""

    @property
    def keys(self) -> list[str]:
        """Of what it touches, as `gains` has them."""
        return [*(c.name for c, _ in self.added), *self.removed, *(after.key for _, after in self.tuned)]


def hypothesis(change: Change) -> str:
    """What the change is, why it should work, what the archive knows of it, and what would refute it."""
    parent = change.parent
    sentences = []
    for choice, entry in change.added:
        source = f" from {change.donor}" if change.donor else ""
        stages = " and ".join(entry.stages)
        sentences.append(f"{choice.name}{source} is added to {parent.name} at {stages}: {idea(entry)}.")
    sentences += [f"{n} is taken out of {parent.name}, to see whether it carries its weight." for n in change.removed]
    for before, after in change.tuned:
        old, new = before.params, after.params
        moved = [f"{k} from {old.get(k)} to {v}" for k, v in new.items() if old.get(k) != v]
        source = f", as in {change.donor}" if change.donor else ""
        sentences.append(f"{after.name} of {parent.name} gets {', '.join(moved)}{source}.")
    sentences += change.reasons
    sentences.append(_evidence(change.keys, change.gains))
    goal = f"above {parent.overall:.1f}" if parent.overall is not None else "over its parent's"
    sentences.append(f"If this is right, Overall rises {goal}; if it does not, the change is no help here.")
    return " ".join(sentences)


def bottleneck(change: Change, direction: str) -> str:
    """What the change goes against, in a sentence."""
    kind, _, words = direction.partition(":")
    parent = change.parent
    if kind == "repair" and "suffers from" in words:
        return words.strip().removesuffix(" Cure it.")
    if kind == "simplify":
        return f"{parent.name} has {len(parent.mechanisms)} mechanisms, and which of them carry it is not known."
    if kind == "invent" and (stage := re.search(r"`(\w+)`", words)) is not None:
        return f"The stage {stage.group(1)} has hardly been changed so far, {parent.name} included."
    if change.donor:
        return f"{parent.name} lacks what {change.donor} has."
    if change.tuned and not change.added:
        return f"The constants of {parent.name} may not be the best for this setting."
    stages = sorted({stage for _, entry in change.added for stage in entry.stages})
    return f"What {parent.name} does at {' and '.join(stages)} may hold it back." if stages else "Needless parts."


def risks(change: Change) -> list[str]:
    """What may go wrong, as far as the archive or the change itself says."""
    found = []
    for key in change.keys:
        gain = change.gains.get(key, Gain())
        if gain.failures:
            found.append(f"{key} failed {_times(gain.failures)} before.")
        elif gain.trials and gain.mean < 0 and key not in change.removed:
            found.append(f"{key} lost {-gain.mean:.1f} points on average so far.")
    if len(change.keys) > 1:
        found.append("Several things change at once: which of them acted only switching them off can tell.")
    if not any(key in change.gains for key in change.keys):
        found.append("Nothing is known of it here: it may well do nothing for these tasks.")
    return found


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _evidence(keys: Sequence[str], gains: Mapping[str, Gain]) -> str:
    known = []
    for key in keys:
        gain = gains.get(key, Gain())
        if gain.trials:
            known.append(
                f"{key} was tried {_times(gain.trials)}: {gain.mean:+.1f} points on average, {gain.shrunk:+.1f} shrunk"
            )
        if gain.failures:
            known.append(f"{key} failed {_times(gain.failures)}")
    return f"So far {', '.join(known)}." if known else "The archive has no evidence on it yet."
