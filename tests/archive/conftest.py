"""A small run as the engine would leave it."""

from pathlib import Path
from typing import Any

import pytest

from engine.archive.folder import RunFolder, create_run
from engine.archive.store import Archive, Change


def candidate(number: int, **fields: Any) -> dict[str, Any]:
    """A candidate document, as docs/architecture.md describes it."""
    return {
        "id": f"c{number:03d}",
        "name": f"node {number}",
        "parent": None if number == 0 else "c000",
        "depth": min(number, 1),
        "status": "scored",
        "cause": None,
        "proposal": {
            "hypothesis": "a | b\nc",
            "mechanisms": [{"name": "ClipHigher", "params": {"high": 0.28}}],
        },
        "code_sha256": "00",
        "verification": None,
        "overall": 30.0 + number,
        "benchmarks": {"copy": {"metric": "avg@4", "value": 50.0, "n": 64, "ci": [40.0, 60.0]}},
        "fidelity": 1.0,
        "seeds": [7],
        "reflection": None,
        "attribution": None,
        "confirmed": None,
        "cost": {"train_seconds": 3.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "provenance": {"proposer": "composer", "model": "poise/composer"},
        "sandbox": "limits",
        "created": 1.0,
        "finished": 2.0,
        "pinned": False,
        "decision": {"saw": [], "terms": {}},
    } | fields


def trial(candidate: str, purpose: str, number: int, **fields: Any) -> dict[str, Any]:
    """A trial document, as docs/architecture.md describes it."""
    return {
        "id": f"{candidate}-{purpose}-{number}",
        "candidate": candidate,
        "purpose": purpose,
        "seed": 100 + number,
        "off": [],
        "rung": 1.0,
        "split": "development",
        "overall": 30.0 + 2 * number,
        "benchmarks": {},
        "protocol": "p1",
        "cost": {"train_seconds": 3.0, "score_seconds": 1.0, "gpu_seconds": 0.0},
        "status": "scored",
    } | fields


RUN = {
    "id": "demo",
    "profile": "tiny",
    "status": "finished",
    "created": 1.0,
    "seed": 1,
    "directive": None,
    "budget": {"candidates": 2, "hours": None, "usd": None},
    "spent": {"wall_seconds": 9.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
    "workers": 2,
    "lag": 1,
    "protocol": "p1",
    "llm": "poise/composer",
    "sandbox": "limits",
}


def change(table: Any, document: dict[str, Any]) -> Change:
    return Change(table, document["id"], document)


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    return create_run(tmp_path, "demo")


@pytest.fixture
def finished_run(run_folder: RunFolder) -> RunFolder:
    archive = Archive.open(run_folder.archive)
    changes = [change("run", RUN), change("candidates", candidate(0)), change("candidates", candidate(1))]
    failed = candidate(2, status="failed", cause="NaN in the loss", overall=None, benchmarks={}, cost={})
    changes.append(change("candidates", failed))
    changes += [change("trials", trial("c000", "baseline", i)) for i in range(3)]
    changes.append(change("trials", trial("c001", "search", 0)))
    changes.append(change("trials", trial("c000", "baseline", 3, status="failed", overall=None)))
    archive.commit(changes, [])
    archive.close()
    return run_folder
