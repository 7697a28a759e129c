"""Reads what a candidate left in files, bounded and without trust: its code and its newest samples."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import open_regular
from engine.archive.folder import RunFolder

CODE_LIMIT = 1 << 18
SAMPLES_TAIL = 1 << 17
"""Bytes read of each; more is not looked at."""


@dataclass(frozen=True)
class Sample:
    """One completion of a training batch."""

    step: int
    task: str
    problem: str
    prompt: str
    completion: str
    reward: float | None
    parts: Mapping[str, float]
    correct: bool
    valid: bool
    truncated: bool
    advantage: float | None


@dataclass(frozen=True)
class CandidateFiles:
    """What lies in a candidate's files now; None or empty where there is nothing readable."""

    code: str | None = None
    samples: tuple[Sample, ...] = ()


def read_candidate_files(folder: RunFolder, node: str, trial: str | None) -> CandidateFiles:
    """Read a candidate's code and the newest samples of one of its trials, newest first."""
    code = _read(folder.candidate(node).algorithm, CODE_LIMIT, tail=False)
    lines = _read(folder.trial(trial).samples, SAMPLES_TAIL, tail=True) if trial else None
    return CandidateFiles(
        None if code is None else code.decode(errors="replace"),
        tuple(_samples(lines.split(b"\n"))) if lines else (),
    )


def _read(path: Path, limit: int, *, tail: bool) -> bytes | None:
    try:
        with open(open_regular(path), "rb") as file:
            if tail:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - limit))
            return file.read(limit)
    except OSError:
        return None


def _samples(lines: list[bytes]) -> list[Sample]:
    """The samples of complete lines, whole groups together in the order of the file, newest group first."""
    groups: dict[tuple[int, str], list[Sample]] = {}
    for line in lines:
        try:
            sample = _sample(orjson.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        groups.setdefault((sample.step, sample.problem), []).append(sample)
    return [sample for group in reversed(groups.values()) for sample in group]


def _sample(value: dict[str, Any]) -> Sample:
    return Sample(
        step=int(value["step"]),
        task=str(value["task"]),
        problem=str(value["problem"]),
        prompt=str(value["prompt"]),
        completion=str(value["completion"]),
        reward=_number(value["reward"]),
        parts={str(k): v for k, v in value["parts"].items() if _number(v) is not None},
        correct=bool(value["correct"]),
        valid=bool(value["valid"]),
        truncated=bool(value["truncated"]),
        advantage=_number(value["advantage"]),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
