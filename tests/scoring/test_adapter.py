"""Whatever a candidate's process leaves as an adapter: scored if it is the profile's, else refused with one cause."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine.errors import PoiseError
from engine.scoring.adapter import HEADER_LIMIT, WEIGHTS, adapter_sha256, read_weights
from engine.scoring.scorer import run_job
from tests.scoring.conftest import Adapter

EXPECTED = {"a": ("F32", (2, 3)), "b": ("F32", (4,))}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}
Header = dict[str, Any]


def read_header(path: Path) -> tuple[Header, bytes]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write(path: Path, header: Header | str, numbers: bytes) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An adapter of two small tensors, as the library writes it."""
    save_file(TENSORS, tmp_path / WEIGHTS, metadata={"format": "pt"})
    return tmp_path


def test_what_the_library_writes_is_read_whole(small: Path) -> None:
    assert read_weights(small, EXPECTED) == (small / WEIGHTS).read_bytes()


def _lie(change: Callable[[Header], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        header, numbers = read_header(folder / WEIGHTS)
        change(header)
        write(folder / WEIGHTS, header, numbers)

    return damage


def _save(**more: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: save_file({**TENSORS, **more}, folder / WEIGHTS)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes())) and None


def _linked(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder / "elsewhere")


def _pipe(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def _named_twice(folder: Path) -> None:
    header, numbers = read_header(folder / WEIGHTS)
    text = json.dumps(header)
    write(folder / WEIGHTS, f'{text[:-1]}, "a": {json.dumps(header["a"])}}}', numbers)


def _sparse(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(1 << 40)


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(TENSORS))


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "no adapter_model.safetensors"),
        (_linked, "a link"),
        (_pipe, "no regular file"),
        (_sparse, "has 1099511627776 bytes"),
        (_pickled, "a header of"),
        (_bytes(lambda data: b""), "a header of"),
        (_bytes(lambda data: data[:-1]), "39 bytes of numbers, not 40"),
        (_bytes(lambda data: data + b"\0"), "41 bytes of numbers, not 40"),
        (_bytes(lambda data: struct.pack("<Q", 2**63) + data[8:]), "a header of 9223372036854775808 bytes"),
        (_bytes(lambda data: data[:8] + b"[" * 40 + data[48:]), "no safetensors header"),
        (_save(c=torch.ones(1)), "'c' is no part"),
        (_save(a=torch.ones(3, 2)), "a has shape [3, 2], not [2, 3]"),
        (_save(a=torch.ones(6)), "a has shape [6], not [2, 3]"),
        (_save(b=torch.ones(4, dtype=torch.float64)), "b is of dtype 'F64', not F32"),
        (_save(b=torch.ones(4, dtype=torch.int32)), "b is of dtype 'I32', not F32"),
        (lambda folder: save_file({"a": TENSORS["a"]}, folder / WEIGHTS), "b is missing"),
        (_lie(lambda h: h["b"].update(data_offsets=[0, 16])), "b lies where it cannot"),
        (_lie(lambda h: h["a"].update(data_offsets=[0, 40])), "lies where it cannot"),
        (_lie(lambda h: h["b"].update(data_offsets=[-16, 0])), "lies where it cannot"),
        (_lie(lambda h: h["b"].update(data_offsets=[24.0, 40.0])), "b has no place"),
        (_lie(lambda h: h["b"].update(data_offsets=["24", "40"])), "b has no place"),
        (_lie(lambda h: h["b"].update(shape=[True, 4])), "b has shape"),
        (_lie(lambda h: h["b"].update(shape=[2**62, 4])), "b has shape"),
        (_lie(lambda h: h["b"].update(dtype="\x1b[31mF32")), r"dtype '\x1b[31mF32', not F32"),
        (_lie(lambda h: h.update(b=[])), "no safetensors header"),
        (_named_twice, "no safetensors header"),
    ],
)
def test_a_forged_file_is_refused_before_a_tensor_is_made(
    small: Path, damage: Callable[[Path], None], cause: str
) -> None:
    damage(small)
    with pytest.raises(PoiseError) as caught:
        read_weights(small, EXPECTED)
    assert cause in str(caught.value)
    assert str(caught.value).isprintable()


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 220), value=st.integers(0, 255))
def test_a_byte_changed_anywhere_is_refused_or_changes_a_number_alone(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    folder = tmp_path_factory.mktemp("a")
    save_file(TENSORS, folder / WEIGHTS)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[at % len(data)] = value
    (folder / WEIGHTS).write_bytes(data)
    with suppress(PoiseError):
        read_weights(folder, EXPECTED)
        assert {k: v.shape for k, v in load_file(folder / WEIGHTS).items()} == {k: v.shape for k, v in TENSORS.items()}


def test_a_header_larger_than_any_real_one_is_not_parsed(small: Path) -> None:
    header, numbers = read_header(small / WEIGHTS)
    write(small / WEIGHTS, json.dumps(header) + " " * HEADER_LIMIT, numbers)
    with pytest.raises(PoiseError, match="bytes"):
        read_weights(small, EXPECTED)


def test_a_linked_folder_is_refused_so_that_nobody_is_scored_by_anothers_adapter(small: Path) -> None:
    link = small / "adapter"
    link.symlink_to(small)
    with pytest.raises(PoiseError, match="a link"):
        read_weights(link, EXPECTED)
    assert adapter_sha256(link) is None and adapter_sha256(small) is not None


@pytest.mark.parametrize("name", ["adapter_model.bin", "extra.pt", "deep/state.pkl", "tokenizer_config.json"])
def test_other_files_of_the_folder_are_never_looked_at(job: dict[str, Any], adapter: Adapter, name: str) -> None:
    folder = adapter(0.05)
    honest = run_job({**job, "adapter": str(folder)})["outcomes"]
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Explosive()))
    assert run_job({**job, "adapter": str(folder)})["outcomes"] == honest


class Explosive:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_the_adapters_own_config_decides_nothing(job: dict[str, Any], adapter: Adapter) -> None:
    folder = adapter(0.05)
    honest = run_job({**job, "adapter": str(folder)})["outcomes"]
    config = folder / "adapter_config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "lora_alpha": 8000, "base_model_name_or_path": "/x"})
    )
    assert run_job({**job, "adapter": str(folder)})["outcomes"] == honest
    config.unlink()
    assert run_job({**job, "adapter": str(folder)})["outcomes"] == honest


def test_an_adapter_of_another_rank_than_the_profiles_is_refused(job: dict[str, Any], adapter: Adapter) -> None:
    folder = adapter(0.05)
    job["profile"]["model"]["lora_r"] = 8
    with pytest.raises(PoiseError, match=r"has shape \[4, \d+\], not \[8, \d+\]"):
        run_job({**job, "adapter": str(folder)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_numbers_that_are_not_finite_or_do_not_stay_so_are_refused(
    job: dict[str, Any], adapter: Adapter, value: float
) -> None:
    folder = adapter(0.05)
    weights = load_file(folder / WEIGHTS)
    for tensor in weights.values():
        tensor.fill_(value)
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(PoiseError, match="not finite"):
        run_job({**job, "adapter": str(folder)})


def test_weights_too_large_to_compute_with_are_refused(job: dict[str, Any], adapter: Adapter) -> None:
    folder = adapter(0.05)
    weights = load_file(folder / WEIGHTS)
    for tensor in weights.values():
        tensor.fill_(1e18)
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(PoiseError, match="not finite"):
        run_job({**job, "adapter": str(folder)})


def test_nothing_is_scored_with_a_base_that_has_changed(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.archive.files import folder_sha256
    from engine.profiles.load_model import model_dir
    from engine.scoring import scorer

    base = tmp_path / "base"
    shutil.copytree(model_dir({"name": "tiny"}), base)
    job["profile"]["model"]["name"] = str(base)
    job["base_sha256"] = folder_sha256(base)
    assert run_job(job)["overall"] > 0

    def meddle(*given: Any) -> Any:
        (base / "tokenizer.json").write_text((base / "tokenizer.json").read_text() + " ")
        return sample(*given)

    sample = scorer.sample
    monkeypatch.setattr(scorer, "sample", meddle)
    with pytest.raises(PoiseError, match="not what they were when this scoring began"):
        run_job(job)
    with pytest.raises(PoiseError, match="not what they were when the run began"):
        run_job(job)
