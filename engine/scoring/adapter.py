"""A candidate's adapter, read for what it is: bytes that an untrusted process wrote.

One file counts, `adapter_model.safetensors`. It is opened without following links, measured, read once, and its header
checked by hand before any tensor is made: names, shapes and dtypes must be those of the profile's own LoRA adapter,
every number finite. What else lies in the folder, the adapter's own config included, is never looked at; nothing
unpickles.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.archive.files import open_regular
from engine.errors import PoiseError
from engine.process.child import one_line

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
HEADER_LIMIT = 4 << 20
"""Bytes of a header; the adapter of a model with 80 layers has about a tenth of it."""
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number, by the name that safetensors gives its dtype."""

Expected = Mapping[str, tuple[str, tuple[int, ...]]]
"""By tensor name: dtype as safetensors calls it, and shape."""


def adapter_sha256(folder: Path) -> str | None:
    """The sha256 of an adapter's weights; None where there is no regular file of them."""
    try:
        with open(_open(folder), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def read_weights(folder: Path, expected: Expected) -> bytes:
    """The bytes of an adapter's weights file, once its header says exactly what is expected.

    Raises:
        PoiseError: what is wrong with it, in one line.
    """
    payload = sum(SIZES[dtype] * prod(shape) for dtype, shape in expected.values())
    try:
        with open(_open(folder), "rb") as file:
            size, most = os.fstat(file.fileno()).st_size, 8 + HEADER_LIMIT + payload
            if size > most:
                raise PoiseError(f"the adapter in {folder} has {size} bytes: this profile's has at most {most}")
            data = file.read(most + 1)
    except FileNotFoundError:
        raise PoiseError(f"no {WEIGHTS} in {folder}: only safetensors adapters are scored") from None
    except OSError as error:
        linked = error.errno in (None, errno.ELOOP)
        why = "it is a link, or no regular file" if linked else one_line(str(error.strerror))
        raise PoiseError(f"the adapter in {folder} is refused: {why}") from None
    problem = _problem(data, expected, payload)
    if problem is not None:
        raise PoiseError(f"the adapter in {folder} is refused: {one_line(problem)}")
    return data


def merge_adapter(model: PreTrainedModel, folder: Path, profile_model: Mapping[str, Any]) -> PreTrainedModel:
    """The base with a LoRA adapter merged into its weights (generation is then as fast as the base's).

    Args:
        model: the base; it is changed.
        folder: the adapter's.
        profile_model: the profile's table `[model]`, which alone says what an adapter is.

    Raises:
        PoiseError: the adapter is not the one that this profile's training makes, or holds no usable numbers.
    """
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load

    from engine.profiles.load_model import lora_settings

    adapted: Any = get_peft_model(model, LoraConfig(**lora_settings(profile_model)))
    own: dict[str, Tensor] = get_peft_model_state_dict(adapted)
    expected = {name: (_dtype(tensor), tuple(tensor.shape)) for name, tensor in own.items()}
    weights = load(read_weights(folder, expected))
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise PoiseError(f"the adapter in {folder} is refused: {name} holds numbers that are not finite")
    set_peft_model_state_dict(adapted, weights)
    merged: PreTrainedModel = adapted.merge_and_unload()
    if not all(torch.isfinite(parameter).all() for parameter in merged.parameters()):
        raise PoiseError(f"the adapter in {folder} is refused: merged into the base its numbers are not finite")
    merged.train(False)
    return merged


def _dtype(tensor: Tensor) -> str:
    import torch

    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    return names[tensor.dtype]


def _open(folder: Path) -> int:
    """The weights file, open for reading; neither it nor its folder may be a link. Raises OSError."""
    if folder.is_symlink():
        raise OSError(f"{folder} is a link")
    return open_regular(folder / WEIGHTS)


def _problem(data: bytes, expected: Expected, payload: int) -> str | None:
    """What is wrong with a safetensors file (https://github.com/huggingface/safetensors, "Format"); None if nothing."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(HEADER_LIMIT, len(data) - 8):
        return f"a header of {length} bytes in a file of {len(data)}"
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_no_name_twice)
        header.pop("__metadata__", None)
        tensors = {name: (e["dtype"], tuple(e["shape"]), *e["data_offsets"]) for name, e in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "its header is no safetensors header"
    for name in expected:
        if name not in tensors:
            return f"{name} is missing"
    for name, (dtype, shape, *offsets) in tensors.items():
        if name not in expected:
            return f"{name[:100]!r} is no part of this profile's adapter"
        wanted_dtype, wanted_shape = expected[name]
        if dtype != wanted_dtype:
            return f"{name} is of dtype {str(dtype)[:20]!r}, not {wanted_dtype}"
        if shape != wanted_shape or not all(type(size) is int for size in shape):
            return f"{name} has shape {str(list(shape))[:60]}, not {list(wanted_shape)}"
        if len(offsets) != 2 or not all(type(at) is int for at in offsets):
            return f"{name} has no place in the file"
    at = 0
    for name, (dtype, shape, first, end) in sorted(tensors.items(), key=lambda item: item[1][2]):
        if first != at or end - first != SIZES[dtype] * prod(shape):
            return f"{name} lies where it cannot, at {first} to {end}"
        at = end
    numbers = len(data) - 8 - length
    return None if numbers == payload == at else f"{numbers} bytes of numbers, not {payload}"


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name comes twice")
    return made
