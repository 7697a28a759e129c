"""What the tree says of a candidate at the right where it has the screen to itself: cost, rung, learning curve."""

import math

from poise_tui.format import Glyphs, duration
from poise_tui.snapshot import Candidate

SPARKS = 16
"""Columns of the learning curve."""
EXTRA = SPARKS + 18
"""Columns of all of it."""
MOST = 8
"""Values that are looked at for a character."""
FROM = 100
"""Columns of the pane from which there is room for that."""


def extra(candidate: Candidate, glyphs: Glyphs) -> str:
    """Learning curve of the reward, how far its score goes, seeds, training time: always `EXTRA` columns."""
    at = "" if candidate.overall is None else "whole" if candidate.updates is None else f"@{candidate.updates}"
    seeds = f"x{len(candidate.seeds)}" if len(candidate.seeds) > 1 else ""
    cost = duration(candidate.seconds) if candidate.seconds else ""
    return f"{spark(candidate, glyphs)} {at:>6}{seeds:>4}{cost:>7}"


def spark(candidate: Candidate, glyphs: Glyphs) -> str:
    """The mean reward over a training, from its lowest to its highest, in `SPARKS` characters."""
    trial = candidate.running_trial or candidate.main_trial
    if trial is None or not trial.curve.count:
        return " " * SPARKS
    values = trial.curve.values("reward")
    done = max(1, min(SPARKS, round(SPARKS * trial.step / max(1, trial.steps))))
    means = []
    for column in range(done):
        start, end = len(values) * column // done, len(values) * (column + 1) // done
        part = values[start : max(start + 1, end) : max(1, (end - start) // MOST)]
        known = [value for value in part if not math.isnan(value)]
        means.append(sum(known) / len(known) if known else math.nan)
    there = [mean for mean in means if not math.isnan(mean)]
    low, high = min(there, default=0.0), max(there, default=0.0)
    marks = "".join(" " if math.isnan(mean) else glyphs.spark(mean - low, high - low) for mean in means)
    return f"{marks:<{SPARKS}}"
