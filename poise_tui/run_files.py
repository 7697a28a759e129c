"""Reads what a run has left in files, bounded and without trust; for the application, in a thread."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.archive.files import open_regular
from engine.archive.folder import RunFolder

CODE_LIMIT = PAGE_LIMIT = 1 << 18
SAMPLES_PART = 1 << 19
LOG_TAIL = 1 << 16
CALLS_TAIL = 1 << 23
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
class Call:
    """One question to a model and its answer."""

    purpose: str
    model: str
    messages: tuple[tuple[str, str], ...]
    """(role, text)."""
    answer: str | None
    error: str | None
    usd: float
    seconds: float
    tokens: tuple[int, int]
    """In, out."""


def read_code(folder: RunFolder, node: str) -> str | None:
    """A candidate's algorithm; None if there is none to read."""
    code = _read(folder.candidate(node).algorithm, CODE_LIMIT, tail=False)
    return None if code is None else code.decode(errors="replace")


def read_samples(folder: RunFolder, trial: str | None) -> tuple[Sample, ...]:
    """The samples of a training, newest first; of a long one, those of its beginning and its end."""
    if trial is None:
        return ()
    path = folder.trial(trial).samples
    whole = _read(path, 2 * SAMPLES_PART, tail=False) or b""
    lines = whole.split(b"\n")
    if len(whole) == 2 * SAMPLES_PART:
        lines = whole[:SAMPLES_PART].split(b"\n")[:-1] + (_read(path, SAMPLES_PART, tail=True) or b"").split(b"\n")[1:]
    return tuple(_samples(lines))


def read_log(folder: RunFolder, trial: str | None) -> str | None:
    """The end of what a training printed; None if it printed nothing."""
    log = _read(folder.trial(trial).log, LOG_TAIL, tail=True) if trial else None
    return None if not log else log.decode(errors="replace")


def read_exchange(folder: RunFolder, node: str, seed: int | None) -> tuple[Call, ...]:
    """What models were asked for a candidate, and what they answered, in order; of a long run, the newest of it.

    Args:
        seed: the run's. Calls carry the seed of their decision, which is derived from it.
    """
    if seed is None or not node[1:].isdecimal() or node[0] not in "cr":
        return ()
    from engine.loop.seeds import control_seed, decision_seed

    wanted = (control_seed if node[0] == "r" else decision_seed)(seed, int(node[1:]))
    found = []
    for line in (_read(folder.llm, CALLS_TAIL, tail=True) or b"").split(b"\n"):
        try:
            record = orjson.loads(line)
            if record["seed"] == wanted:
                found.append(_call(record))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(found)


def read_knowledge(folder: RunFolder) -> str | None:
    """The knowledge page of a run; None if there is none."""
    page = _read(folder.knowledge, PAGE_LIMIT, tail=False)
    return None if page is None else page.decode(errors="replace")


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


def _call(record: dict[str, Any]) -> Call:
    return Call(
        purpose=str(record["purpose"]),
        model=str(record["model"]),
        messages=tuple((str(m["role"]), str(m["content"])) for m in record["messages"]),
        answer=None if record["answer"] is None else str(record["answer"]),
        error=None if record.get("error") is None else str(record["error"]),
        usd=float(record["usd"]),
        seconds=float(record["seconds"]),
        tokens=(int(record["tokens_in"]), int(record["tokens_out"])),
    )
