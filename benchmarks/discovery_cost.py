"""What a run spent on finding its best, against training every candidate to its end: the report's own figures.

    poise run --headless --name big --candidates 64 --seed 11
    python -P -m benchmarks.discovery_cost runs/big

Seconds of training and scoring, start-ups included. A whole training costs what those of the same run cost that were
made in one go (confirmations): the median, on the same machine. Confirmations and ablations are counted apart.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.report.costs import cost_of
from engine.report.story import read_story


def measure(folder: RunFolder) -> dict[str, Any]:
    """The parts of the cost, and the share of training all fully."""
    story = read_story(folder)
    cost = cost_of(story)
    wanted = [c for c in story.candidates if c["id"].startswith("c") and c["parent"] is not None]
    ends = [e.time for e in EventReader(folder.events).read(1 << 30) if e.kind == "run.status"]
    return {
        "run": story.run["id"],
        "candidates": len(wanted),
        "root_cached": sum(bool(t.get("cached")) for t in story.trials),
        "at_rungs": dict(sorted(Counter(c["fidelity"] for c in wanted if c["fidelity"]).items())),
        "seconds": {name: value and round(value, 1) for name, value in asdict(cost).items()},
        "verification_seconds": round(sum((c["verification"] or {}).get("seconds") or 0.0 for c in wanted), 1),
        "share": round(cost.discovery / cost.full, 4) if cost.full else None,
        "share_without_root": round((cost.discovery - cost.root) / cost.full, 4) if cost.full else None,
        "wall_seconds": round(max(ends) - story.run["created"], 1) if ends else None,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(json.dumps(measure(RunFolder(parser.parse_args().folder)), indent=2))


if __name__ == "__main__":
    main()
