"""Where the landscape is kept: parquet files of many trainings each; the newest are lines until they fill one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.landscape.design import Entry
from engine.tasks import load_taskset

PARTS = Path(__file__).parent / "parts"
PENDING = "pending.jsonl"
PART_ROWS = 64

SCORE = pa.struct(
    [
        ("split", pa.string()),
        ("updates", pa.int16()),
        ("problems", pa.int16()),
        ("samples", pa.int16()),
        ("overall", pa.float64()),
        ("correct", pa.binary()),  # a bit a completion: tasks in the order of TASKS, then problems, then samples
        ("seconds", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    [
        ("subset", pa.int16()),
        ("seed", pa.int16()),
        ("status", pa.string()),
        ("cause", pa.string()),
        ("protocol", pa.string()),
        ("adapter", pa.string()),  # sha256 of the weights at the end; empty in the first parts
        ("updates", pa.list_(pa.int16())),  # after which the training's seconds were counted
        ("train_seconds", pa.list_(pa.float32())),  # of a core, start-ups included
        ("scores", pa.list_(SCORE)),
        ("curves", pa.list_(pa.struct([("name", pa.string()), ("values", pa.list_(pa.float32()))]))),
    ]
)
TASKS = load_taskset("tiny", None).names


@dataclass(frozen=True)
class Scored:
    """One scoring of one training."""

    split: str
    updates: int
    overall: float
    correct: npt.NDArray[np.uint8]
    """(tasks, problems, samples) of 0 and 1."""
    seconds: float


@dataclass(frozen=True)
class Training:
    """One row."""

    entry: Entry
    status: str
    protocol: str
    adapter: str
    """sha256 of the weights at the end, or nothing: the first parts kept the folder's, which tells where it lay."""
    train_seconds: Mapping[int, float]
    """Of a core, up to and including each update at which it was scored."""
    scores: tuple[Scored, ...]
    curves: Mapping[str, npt.NDArray[np.float32]]

    def at(self, updates: int, split: str = "development") -> Scored:
        """The scoring after so many updates."""
        return next(s for s in self.scores if s.updates == updates and s.split == split)


def pack(outcomes: Mapping[str, Sequence[Sequence[int]]]) -> bytes:
    """A scorer's outcomes as bits."""
    return np.packbits(np.array([outcomes[task] for task in TASKS], dtype=np.uint8).ravel()).tobytes()


def append(row: Mapping[str, Any], folder: Path = PARTS) -> None:
    """Keep one more training; a full part becomes a parquet file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / PENDING).open("a") as file:
        file.write(json.dumps(row, default=lambda data: base64.b64encode(data).decode()) + "\n")
    if len(_pending(folder)) >= PART_ROWS:
        seal(folder)


def seal(folder: Path = PARTS) -> None:
    """Write what is pending as a part."""
    if not (rows := _pending(folder)):
        return
    number = len(list(folder.glob("part-*.parquet")))
    made = folder / ".part"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), made, compression="zstd", compression_level=19)
    made.rename(folder / f"part-{number:03d}.parquet")
    (folder / PENDING).unlink()


def load(folder: Path = PARTS) -> list[Training]:
    """Every training there is, by subset and seed."""
    rows = _pending(folder)
    for part in sorted(folder.glob("part-*.parquet")):
        rows += pq.read_table(part, schema=SCHEMA).to_pylist()
    return sorted((_training(row) for row in rows), key=lambda t: t.entry)


def _pending(folder: Path) -> list[dict[str, Any]]:
    path = folder / PENDING
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for row in rows:
        for score in row["scores"]:
            score["correct"] = base64.b64decode(score["correct"])
    return rows


def _training(row: Mapping[str, Any]) -> Training:
    return Training(
        entry=Entry(row["subset"], row["seed"]),
        status=row["status"],
        protocol=row["protocol"],
        adapter=row["adapter"],
        train_seconds=dict(zip(row["updates"], row["train_seconds"], strict=True)),
        scores=tuple(_scored(score) for score in row["scores"]),
        curves={c["name"]: np.array(c["values"], dtype=np.float32) for c in row["curves"]},
    )


def _scored(score: Mapping[str, Any]) -> Scored:
    shape = (len(TASKS), score["problems"], score["samples"])
    bits = np.unpackbits(np.frombuffer(score["correct"], dtype=np.uint8), count=int(np.prod(shape)))
    return Scored(score["split"], score["updates"], score["overall"], bits.reshape(shape), score["seconds"])
