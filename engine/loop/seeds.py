"""Every seed of a run, derived from the run's own seed.

The evaluation seeds are an HMAC under a key that only the engine holds: equal for all candidates of a rung, unknown to
candidate code. The training seed is equal for all candidates too, so that they see the same prompts in the same order;
candidate code is told that one, so the key is slow to derive: each guess of the run's seed costs it COST.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

COST = {"n": 1 << 15, "r": 8, "p": 1}
"""Of one derivation by scrypt: about 80 ms of a core, and 32 MB."""


@lru_cache(maxsize=64)
def run_key(seed: int) -> bytes:
    """The run's secret, by scrypt (RFC 7914); what it protects against is in docs/security.md."""
    return hashlib.scrypt(str(seed).encode(), salt=b"poise run key", **COST, maxmem=1 << 26, dklen=32)


def train_seed(seed: int, purpose: str, index: int) -> int:
    """Seed of the index-th training for a purpose, below 2**31."""
    return _derive(seed, f"train:{purpose}:{index}")


def score_seed(seed: int, split: str, rung: float, fresh: int = 0) -> int:
    """Seed of problems and sampling when scoring on a split at a rung, below 2**31.

    Args:
        fresh: 0 is what all candidates are scored with; 1 are other problems, for scores that are hard to believe.
    """
    return _derive(seed, f"score:{split}:{rung:g}" + (f":{fresh}" if fresh else ""))


def decision_seed(seed: int, k: int) -> int:
    """Seed of decision k: parent selection and proposal, below 2**31."""
    return _derive(seed, f"decide:{k}")


def control_seed(seed: int, index: int) -> int:
    """Seed of the control arm's proposal `index`, below 2**31."""
    return _derive(seed, f"control:{index}")


def _derive(seed: int, label: str) -> int:
    digest = hmac.new(run_key(seed), label.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:4], "big") >> 1
