"""Where questions come from: a local JSONL file, or a data set of the hub at a pinned revision.

A hub's data set is fetched once and kept as JSONL in `poise/data` of the XDG data folder; then no network is needed.
"""

from __future__ import annotations

import ast
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError
from engine.tasks.math_answers import last_box

_REVISION = re.compile(r"[0-9a-f]{40}")
QUESTION = ("problem", "question")
ANSWER = ("answer", "final_answer", "solution")
"""Fields that are looked for, in this order; of a solution the last box is the answer."""


@dataclass(frozen=True)
class Hub:
    """A data set of the hub.

    Attributes:
        name: owner and name.
        revision: the commit, 40 hexadecimal digits: what a branch says today it may not say tomorrow.
        split: of the data set.
        config: of the data set, where it has several.
    """

    name: str
    revision: str
    split: str
    config: str | None = None


@dataclass(frozen=True)
class Row:
    """One question.

    Attributes:
        question: as it is asked.
        gold: the answer; where there are several ways to give it, one a line.
        level: the difficulty, None where the source has none.
    """

    question: str
    gold: str
    level: int | None


def read_jsonl(path: Path) -> list[Row]:
    """The questions of a file: a JSON object a line, with a question (`problem` or `question`) and an answer (`answer`,
    `final_answer`, or the last box of `solution`); `level` is a number or "Level 5".

    Raises:
        PoiseError: there is no such file (3), or a line of it is unusable; it is named.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise PoiseError(f"no data file {path}: check the path", Exit.NOT_FOUND) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PoiseError(f"cannot read the data file {path}: {error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(read_row(json.loads(line)))
            except ValueError as error:
                raise PoiseError(f"{path}, line {number}: {error}") from None
    if not rows:
        raise PoiseError(f"the data file {path} is empty")
    return rows


def read_hub(source: Hub) -> list[Row]:
    """The questions of a data set of the hub, from this machine's copy where there is one.

    Raises:
        PoiseError: it is not here and cannot be fetched, or a row of it is unusable.
    """
    path = kept(source)
    if not path.is_file():
        _fetch(source, path)
    return read_jsonl(path)


def kept(source: Hub) -> Path:
    """Where this machine keeps a data set of the hub."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    words = [source.name, *([source.config] if source.config else []), source.split, source.revision[:12]]
    return base / "poise" / "data" / ("--".join(words).replace("/", "--") + ".jsonl")


def _fetch(source: Hub, path: Path) -> None:
    if not _REVISION.fullmatch(source.revision):
        raise PoiseError(
            f"revision of {source.name} is {source.revision!r}: give the 40 hexadecimal digits of a commit"
        )
    # Asked here: the libraries look at it once, when they are imported, and otherwise try for half a minute.
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise _not_here(source, path, "HF_HUB_OFFLINE is set")
    from datasets import load_dataset

    try:
        rows = load_dataset(source.name, source.config, split=source.split, revision=source.revision)
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise _not_here(source, path, "the hub is not reached" if _is_network(error) else told) from None
    wanted = (*QUESTION, *ANSWER, "level")
    text = "".join(
        json.dumps({key: row[key] for key in wanted if key in row}, ensure_ascii=False, default=str) + "\n"
        for row in rows
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)


def _not_here(source: Hub, path: Path, why: str) -> PoiseError:
    return PoiseError(
        f"the data set {source.name} at {source.revision[:12]} is not on this machine and cannot be fetched "
        f"({why}): give a local file, or put one at {path}"
    )


def _is_network(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is one of the network."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ConnectionError | TimeoutError) or "Connect" in type(error).__name__:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def read_row(row: Any) -> Row:
    """A row of a source.

    Raises:
        ValueError: it has no question or no answer.
    """
    if not isinstance(row, Mapping):
        raise ValueError("not a JSON object")
    question = next((row[key] for key in QUESTION if isinstance(row.get(key), str) and row[key].strip()), None)
    if question is None:
        raise ValueError(f"no question: one of {', '.join(QUESTION)} must be a text")
    golds: list[str] = []
    for key in ANSWER:
        if row.get(key) is not None:
            golds = list(_golds(row[key], key))
            break
    if not golds:
        raise ValueError(f"no answer in one of {', '.join(ANSWER)}")
    digits = re.search(r"\d+", str(row.get("level") or ""))
    return Row(question.strip(), "\n".join(dict.fromkeys(golds)), int(digits[0]) if digits else None)


def _golds(value: Any, field: str) -> Iterator[str]:
    """Every way to give an answer, each on one line."""
    if isinstance(value, str) and field == "solution":
        value = last_box(value)
    elif isinstance(value, str) and value.startswith("[") and value.rstrip().endswith("]"):
        value = _listed(value)
    if isinstance(value, str) and "####" in value:  # GSM8K gives the way there before the answer
        value = value.rpartition("####")[2]
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, list | tuple):
        for one in value:
            yield from _golds(one, "")
    elif isinstance(value, float) and value.is_integer():
        yield str(int(value))
    elif text := " ".join(str(value).split()):
        yield text


def _listed(text: str) -> Any:
    """A list that was written as Python text, or the text itself: an interval looks like one."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else text
