"""The protocol hash: scores with different hashes are never compared."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.generation.choice import uses_vllm, vllm_version

VERSIONED = ("torch", "transformers", "trl", "peft")
"""Packages whose version may change a number."""


def protocol_hash(profile: dict[str, Any], model_files: Path, device: str) -> str:
    """16 hex digits that stand for everything a score depends on besides the algorithm and the seeds.

    Args:
        profile: the resolved profile; its name, description, search and limits do not matter. Who samples does, and
            vLLM's version; a profile that says nothing of it keeps the hash it always had.
        model_files: the base model's folder; its weights are hashed.
        device: `cpu` or the GPU's name.
    """
    weights = hashlib.sha256()
    for path in sorted(model_files.glob("*.safetensors")):
        weights.update(path.read_bytes())
    versions = {name: version(name) for name in VERSIONED}
    if uses_vllm(profile):
        versions["vllm"] = vllm_version() or "none"
    facts = {
        "profile": {k: profile[k] for k in ("model", "tasks", "train", "score", "generation") if k in profile},
        "weights": weights.hexdigest(),
        "versions": versions,
        "machine": platform.machine(),
        "device": device,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
