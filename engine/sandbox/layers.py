"""The layers' names, and which of them a child is put into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError

LAYERS: Mapping[str, str] = {
    "environment": "no keys: an allow-list of variables, a HOME of its own",
    "namespaces": "bubblewrap: no network, own processes, /tmp and /dev/shm, of the disk only Python, model and job",
    "limits": "memory, processor time, files and their sizes; no core dumps, no capabilities, no way to gain any",
    "landlock": "the kernel's file rules: the job's own folder can be written, what the job needs can be read, no TCP",
    "seccomp": "no sockets, no new processes, no ptrace, mounts, kernel interfaces, signals to others",
}
"""In the order in which they are put on, with what each is for."""

FLOORS: Mapping[str, tuple[frozenset[str], ...]] = {
    "full": (frozenset(LAYERS),),
    "standard": (
        frozenset({"environment", "limits", "seccomp", "landlock"}),
        frozenset({"environment", "limits", "seccomp", "namespaces"}),
    ),
    "none": (frozenset(),),
}
"""What the engine insists on: any of these sets of layers is enough."""
DEFAULT_FLOOR = "standard"
_PATHS = ("writable", "readable", "devices", "answers")


@dataclass(frozen=True)
class Sandbox:
    """What children are put into.

    Attributes:
        layers: names of `LAYERS`.
        writable: folders that jobs may lie in; each child can write its own job's folder alone.
        readable: what children may read beside Python, this package and the files that their job names.
        devices: device files of the GPU, empty without one.
        answers: the file of the tasks; by Landlock, only jobs that score can read it.
        samplers: jobs that train or score hold vLLM, which listens on the loopback and runs compilers: they may.
    """

    layers: frozenset[str] = frozenset(LAYERS)
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    answers: tuple[Path, ...] = ()
    samplers: bool = False

    def __post_init__(self) -> None:
        if unknown := self.layers - LAYERS.keys():
            raise ValueError(f"no such layer of the sandbox: {', '.join(sorted(unknown))}")

    def without(self, *names: str) -> Sandbox:
        """The same without some layers."""
        return replace(self, layers=self.layers - set(names))

    def samples(self, kind: str) -> bool:
        """Whether jobs of this kind hold vLLM."""
        return self.samplers and kind in ("train", "score")

    def document(self) -> dict[str, Any]:
        """As JSON, for the fork server."""
        return {
            "layers": sorted(self.layers),
            "samplers": self.samplers,
            **{key: [str(path) for path in getattr(self, key)] for key in _PATHS},
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Sandbox:
        """The reverse of `document`."""
        paths = {key: tuple(map(Path, document[key])) for key in _PATHS}
        return cls(frozenset(document["layers"]), samplers=document["samplers"], **paths)


def level(layers: frozenset[str]) -> str:
    """The layers in two or three words, as every candidate's record has it."""
    missing = [name for name in LAYERS if name not in layers]
    if not missing:
        return "full"
    return "none" if not layers else f"without {', '.join(missing)}"


def check_floor(layers: frozenset[str], floor: str, hints: Mapping[str, str]) -> None:
    """Insist on a floor.

    Args:
        layers: those there are.
        floor: a name of `FLOORS`.
        hints: for each missing layer, how to get it.

    Raises:
        PoiseError: refused (4), the layers are not enough; wrong usage (2), no such floor.
    """
    if floor not in FLOORS:
        raise PoiseError(f"no such sandbox floor: {floor}; there are {', '.join(FLOORS)}", Exit.USAGE)
    if any(enough <= layers for enough in FLOORS[floor]):
        return
    nearest = min(FLOORS[floor], key=lambda enough: len(enough - layers))
    missing = [name for name in LAYERS if name in nearest - layers]
    told = "; ".join(f"{name}: {hints.get(name, 'not there')}" for name in missing)
    raise PoiseError(
        f"the sandbox is too weak for candidate code: {told}. `poise doctor` explains; "
        "--allow-weak-sandbox runs it all the same",
        Exit.REFUSED,
    )
