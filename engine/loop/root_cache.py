"""The root's trainings of earlier runs, kept for later ones: a run of the same protocol and seed need not repeat them.

One file a key beside the runs, `<runs>/.roots/<key>.json`: the scores at every rung. The key is a hash of all that they
depend on, so that a hit is bit for bit what would be trained again (on a processor).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.archive.files import read_limited, write_json
from engine.loop.rungs import Rung
from engine.loop.seeds import score_seed, train_seed

KEPT = ("overall", "benchmarks", "rung", "rungs", "adapter_sha256")
MOST_BYTES = 1 << 20


def key_of(trial: Mapping[str, Any], rungs: Sequence[Rung], seed: int, code: str) -> str:
    """What a training of the root and its scores depend on, as 32 hex digits.

    Args:
        trial: its document: the protocol's hash and the training's seed count.
        rungs: of the run; the protocol does not know them.
        seed: of the run: training problems and those of every scoring come from it.
        code: the root's file.
    """
    facts = {
        "protocol": trial["protocol"],
        "seed": trial["seed"],
        "rungs": [[r.updates, dict(r.score), score_seed(seed, trial["split"], r.fraction)] for r in rungs],
        "pool": train_seed(seed, "pool", 0),
        "code": hashlib.sha256(code.encode()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def recall(folder: Path, key: str) -> dict[str, Any] | None:
    """Fields of a scored trial that was kept under this key; None if there is none that can be read."""
    try:
        kept = json.loads(read_limited(folder / f"{key}.json", MOST_BYTES))
        return {name: kept[name] for name in KEPT} if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(folder: Path, key: str, trial: Mapping[str, Any]) -> None:
    """Keep a scored trial for later runs; where that cannot be written it is not kept."""
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        write_json(
            folder / f"{key}.json", {"key": key, "from": trial["id"], **{name: trial.get(name) for name in KEPT}}
        )
