"""What a run spent on finding its best, against training every candidate to its end: seconds of its own processes.

    poise run --headless --name big --candidates 64 --seed 7
    python -P -m benchmarks.discovery_cost runs/big

A whole training costs here what those of the same run cost that were made in one go (confirmations): the median of
training and scoring, start-ups included, on the same machine. Confirmations and ablations are counted apart.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from engine.loop.book import root_id

PARTS = ("root", "search: training", "search: scoring", "finalists", "control", "confirm", "ablate")


def measure(folder: RunFolder) -> dict[str, Any]:
    """Seconds by what they were for, and the share of training all fully."""
    archive = read_archive(folder.archive)
    candidates, trials, run = archive.candidates(), archive.trials(), archive.run()
    spent: dict[str, float] = dict.fromkeys(
        ("root", "search: training", "search: scoring", "finalists", "control"), 0.0
    )
    spent |= {"confirm": 0.0, "ablate": 0.0}
    one_go = []
    for t in trials:
        train, score = t["cost"]["train_seconds"], t["cost"]["score_seconds"]
        if t["purpose"] in ("confirm", "ablate"):
            spent[t["purpose"]] += train + score
            if t["status"] == "scored":
                one_go.append(train + score)
        elif t["candidate"] == root_id():
            spent["root"] += train + score
        elif t["purpose"] == "control":
            spent["control"] += train + score
        elif t["status"] == "scored" and not t["id"].endswith("-0"):
            spent["finalists"] += train + score
        else:
            spent["search: training"] += train
            spent["search: scoring"] += score
    wanted = [c for c in candidates if c["id"].startswith("c") and c["id"] != root_id()]
    trained = [c for c in wanted if any(t["candidate"] == c["id"] for t in trials)]
    verified = sum((c["verification"] or {}).get("seconds") or 0.0 for c in wanted)
    whole = median(one_go) if one_go else None
    found = sum(spent[k] for k in ("root", "search: training", "search: scoring", "finalists"))
    ends = [e.time for e in EventReader(folder.events).read(1 << 30) if e.kind == "run.status"]
    return {
        "run": run["id"],
        "candidates": len(wanted),
        "trained": len(trained),
        "root_cached": sum(bool(t.get("cached")) for t in trials),
        "at_rungs": dict(sorted(Counter(c["fidelity"] for c in trained).items())),
        "seconds": {k: round(v, 1) for k, v in spent.items()},
        "verification_seconds": round(verified, 1),
        "one_whole_training": None if whole is None else round(whole, 2),
        "all_fully": None if whole is None else round(whole * len(trained), 1),
        "share": None if whole is None else round(found / (whole * len(trained)), 4),
        "share_without_root": None if whole is None else round((found - spent["root"]) / (whole * len(trained)), 4),
        "wall_seconds": round(max(ends) - run["created"], 1) if ends else None,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print(json.dumps(measure(RunFolder(parser.parse_args().folder)), indent=2))


if __name__ == "__main__":
    main()
