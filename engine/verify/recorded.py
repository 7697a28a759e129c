"""Batches recorded from a profile's own root (by record.py): what an algorithm meets in that profile, not in theory.

They lie beside the profile, `<profile>_batches.safetensors`: a few generation batches of one training of GRPO, each
with the policy's log-probabilities as the loss saw them in the batch's last update.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.contract import Hyper
from engine.errors import PoiseError
from engine.profiles.load_model import model_dir
from engine.profiles.schema import FOLDER
from engine.verify.case import Case

COMMAND = "python -P -m engine.verify.record --profile {}"

FLAGS = ("correct", "valid", "truncated")
"""Each (B,) bool."""
TOKENS = ("logp", "old_logp", "entropy")
"""Each (B,T) float32; `mask` (B,T) bool goes with them."""
OPTIONAL = ("ref_logp", "sampler_logp")
"""(B,T) float32, where the profile has a reference or a sampler of its own."""


@cache
def recorded(profile_name: str) -> tuple[Case, ...]:
    """The recorded batches of a shipped profile's root, in the order of its training; float32.

    Empty for a profile without a recording. Shared: do not change their tensors.

    Raises:
        PoiseError: the file is damaged.
    """
    path = recording(profile_name)
    return read(path, COMMAND.format(profile_name))[0] if path.is_file() else ()


def recorded_for(profile: Mapping[str, Any]) -> tuple[Case, ...]:
    """The recorded batches of a resolved profile; empty if it has none, or those of its name are another profile's.

    Raises:
        PoiseError: the file is damaged.
    """
    path = recording(profile["name"])
    if not path.is_file() or read(path)[1].get("made_from") != json.loads(json.dumps(made_from(profile))):
        return ()
    return recorded(profile["name"])


def recording(profile_name: str) -> Path:
    """Where a profile's recorded batches are, or would be."""
    return FOLDER / f"{profile_name}_batches.safetensors"


def made_from(profile: Mapping[str, Any]) -> dict[str, Any]:
    """What a recording depends on: the tables of the resolved profile that a training reads, and the model's weights.

    A recording whose own differs is out of date.
    """
    weights = hashlib.sha256()
    for file in sorted(model_dir(profile["model"]).glob("*.safetensors")):
        weights.update(file.read_bytes())
    return {**{table: profile[table] for table in ("model", "tasks", "train")}, "weights": weights.hexdigest()}


def write(path: Path, cases: Sequence[Case], about: Mapping[str, Any]) -> None:
    """Save the batches of one training; they share hyper and part weights, and `about` says where they come from."""
    tensors: dict[str, Tensor] = {}
    for i, case in enumerate(cases):
        named = {name: getattr(case, name) for name in (*FLAGS, *TOKENS, *OPTIONAL, "lengths")}
        named |= {"mask": case.mask.bool(), **{f"parts/{name}": x for name, x in case.parts.items()}}
        tensors |= {f"{i}/{name}": x.contiguous().clone() for name, x in named.items() if x is not None}
    moments = [{"name": c.name, "step": c.step, "progress": c.progress, "on_policy": c.on_policy} for c in cases]
    shared = {"hyper": asdict(cases[0].hyper), "part_weights": dict(cases[0].part_weights), "moments": moments}
    save_file(tensors, path, {key: json.dumps(value) for key, value in {**about, **shared}.items()})
    path.chmod(0o644)  # safetensors leaves it to its owner alone


def read(path: Path, remedy: str = "make it again") -> tuple[tuple[Case, ...], dict[str, Any]]:
    """The batches of a file, and what it says about itself.

    Raises:
        PoiseError: it is damaged; `remedy` is the command that makes it anew.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        cases = tuple(_case(i, about, tensors) for i in range(len(about["moments"])))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as e:
        said = f"no {e} in it" if isinstance(e, KeyError) else str(e).splitlines()[0]
        raise PoiseError(f"the recorded batches in {path} are damaged ({said}): {remedy}") from None
    return cases, about


def _case(i: int, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Case:
    moment, part_weights = about["moments"][i], about["part_weights"]
    mine = {name.partition("/")[2]: x for name, x in tensors.items() if name.startswith(f"{i}/")}
    case = Case(
        name=moment["name"],
        hyper=Hyper(**about["hyper"]),
        parts={name: mine[f"parts/{name}"] for name in part_weights},
        part_weights=part_weights,
        lengths=mine["lengths"],
        mask=mine["mask"].long(),
        **{name: mine[name] for name in (*FLAGS, *TOKENS)},
        **{name: mine[name] for name in OPTIONAL if name in mine},
        on_policy=moment["on_policy"],
        step=moment["step"],
        progress=moment["progress"],
    )
    _check(case)
    return case


def _check(case: Case) -> None:
    """Shapes, types and finite numbers, or a ValueError; NaN is for reward parts that do not apply."""
    rows, width, size = len(case.correct), case.mask.shape[-1], case.hyper.group_size
    if rows == 0 or rows % size:
        raise ValueError(f"{case.name}: {rows} rows are no groups of {size}")
    tokens = {name: x for name in (*TOKENS, *OPTIONAL, "mask") if (x := getattr(case, name)) is not None}
    parts = {f"parts/{name}": x for name, x in case.parts.items()}
    for name, x in {**{n: getattr(case, n) for n in FLAGS}, **tokens, **parts, "lengths": case.lengths}.items():
        shape = (rows, width) if name in tokens else (rows,)
        if x.shape != shape:
            raise ValueError(f"{case.name}: {name} has the shape {tuple(x.shape)}, not {shape}")
        if x.dtype != (torch.bool if name in FLAGS else torch.long if name == "mask" else torch.float32):
            raise ValueError(f"{case.name}: {name} is {x.dtype}")
        if name not in parts and not torch.isfinite(x).all():
            raise ValueError(f"{case.name}: {name} is not finite")
