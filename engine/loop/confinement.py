"""The sandbox of a run or of one job: the layers this machine has, insisting on a floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError
from engine.generation.choice import uses_vllm
from engine.loop.machine import gpu_names
from engine.profiles.load_model import model_dir
from engine.sandbox.layers import DEFAULT_FLOOR, Sandbox, check_floor
from engine.sandbox.probe import available, hints

WEAK = "none"
"""The floor of those who said --allow-weak-sandbox."""


def floor_of(request: Mapping[str, Any]) -> str:
    """The floor that a request asks for."""
    return WEAK if request.get("allow_weak_sandbox") else DEFAULT_FLOOR


def sandbox_for(
    profile: Mapping[str, Any], floor: str, writable: Iterable[Path], readable: Iterable[Path] = ()
) -> Sandbox:
    """The sandbox that children of these folders get, with every layer that this machine has.

    Args:
        profile: resolved; its model can be read.
        floor: a name of `engine.sandbox.layers.FLOORS`.
        writable: folders that jobs lie in; they are made if need be.
        readable: what else children may read.

    Raises:
        PoiseError: refused (4), the machine has too few layers, for vLLM above all namespaces; no such model.
    """
    layers = available()
    check_floor(layers, floor, hints())
    samplers = uses_vllm(profile)
    if samplers and "namespaces" not in layers and floor != WEAK:
        raise PoiseError(
            "vLLM makes sockets and runs compilers, which candidate code may do in namespaces alone: "
            f'{hints().get("namespaces", "bubblewrap is missing")}; or [generation] engine = "transformers"',
            Exit.REFUSED,
        )
    folders = tuple(path.absolute() for path in writable)  # as jobs name them: links on the way are not there inside
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    seen = (*(path.absolute() for path in readable), model_dir(profile["model"]).absolute())
    tasks = Path(profile["tasks"]["name"])
    answers = (tasks.absolute(),) if tasks.suffix == ".py" else ()
    return Sandbox(layers, folders, seen, gpu_devices(), answers, samplers)


def gpu_devices() -> tuple[Path, ...]:
    """The device files that CUDA needs; none on a machine without an NVIDIA GPU."""
    return tuple(sorted(Path("/dev").glob("nvidia*"))) if gpu_names() else ()
