"""What a new candidate's document says."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from engine.archive.store import Document


def candidate_document(
    node: str,
    name: str,
    code: str,
    proposal: dict[str, Any],
    provenance: dict[str, Any],
    *,
    parent: Document | None = None,
    decision: dict[str, Any] | None = None,
    arm: str = "search",
    sandbox: str = "",
) -> Document:
    """A candidate that was just proposed, as docs/architecture.md has it; its status is `queued`.

    Args:
        node: its id.
        name: what people call it.
        code: its file.
        proposal: hypothesis, mechanisms and what else the proposal says.
        provenance: who made it.
        parent: the document of the candidate it changes.
        decision: what its decision saw, see `engine.search.select.Selection.document`.
        arm: `search` or `control`.
        sandbox: the level that holds its code.
    """
    return {
        "id": node,
        "name": name,
        "parent": parent["id"] if parent else None,
        "depth": parent["depth"] + 1 if parent else 0,
        "arm": arm,
        "status": "queued",
        "cause": None,
        "proposal": {"hypothesis": "", "mechanisms": [], **proposal},
        "ideas": [],
        "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
        "verification": None,
        "overall": None,
        "benchmarks": {},
        "fidelity": 0.0,
        "rungs": [],
        "gain": None,
        "promotions": [],
        "result": None,
        "seeds": [],
        "reflection": None,
        "findings": [],
        "attribution": None,
        "confirmed": None,
        "cost": {"train_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "provenance": provenance,
        "sandbox": sandbox,
        "created": time.time(),
        "finished": None,
        "flags": [],
        "pinned": False,
        "decision": decision,
    }
