"""When a training has diverged: what no later update is going to mend, told from its own metrics.

Bounds on single updates, and collapses that last: a window of updates in which nothing can be learnt any more. Each is
compared with the training's own first batch, so that a hard task is no collapse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

BOUNDS = {"loss": 1e6, "grad_norm": math.inf, "kl": 1e3}
"""At these absolute values a training has diverged, NaN included; a KL of 1,000 nats a token is far beyond any use."""
WINDOW = 8
"""Updates in a row that a collapse must have lasted."""
FADED = 0.02
"""Share of the first batch's entropy below which a policy says one thing only."""
HARDLY_RIGHT = 0.02
"""Share of correct completions below which nothing is left to sharpen."""


def diverged(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a training should end now, in one line; None if it may go on.

    Args:
        rows: its metrics so far, one an update, as in metrics.jsonl.
    """
    if not rows:
        return None
    step = rows[-1]["step"]
    for key, bound in BOUNDS.items():
        value = rows[-1].get(key)
        if value is not None and not abs(value) < bound:
            return f"{key} is {value:g} at update {step}"
    if len(rows) <= WINDOW:
        return None
    first, window = rows[0], rows[-WINDOW:]
    for key, told in (("invalid", "every completion was invalid"), ("truncated", "every completion was cut off")):
        if all(row.get(key) == 1.0 for row in window) and first.get(key) != 1.0:
            return f"{told} in the {WINDOW} updates up to {step}"
    before, right = first.get("correct") or 0.0, [row.get("correct") for row in window]
    if before > HARDLY_RIGHT and all(value == 0.0 for value in right):
        return f"not one correct completion in the {WINDOW} updates up to {step}, {before:.0%} at the start"
    flat = [row.get("entropy") for row in window]
    start = first.get("entropy") or 0.0
    silent = all(value is not None and value < HARDLY_RIGHT for value in right)
    if silent and start > 0 and all(value is not None and value < FADED * start for value in flat):
        return f"entropy has collapsed to under {FADED:.0%} of its start in the {WINDOW} updates up to {step}"
    return None
