"""What `--llm` says: models that take turns (`a,b`), models that stand in for one another (`a|b`), or a recording.

Only the words are read here, so that a mistake costs nothing: no litellm, no network, no key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Exit, PoiseError

COMPOSER = "poise/composer"
"""The keyless proposer."""
RECORD = "record:"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.:@+~-]+)+")
"""`provider/model`, as litellm has them: `openrouter/qwen/qwen3-coder:free` is one."""


@dataclass(frozen=True)
class Models:
    """A specification that was understood."""

    arms: tuple[str, ...]
    """What a decision chooses from: a model, or a chain `a|b` in which b is asked where a gives no answer."""
    record: Path | None = None
    """A recorded llm.jsonl that answers instead; which models it holds is in there."""

    @property
    def spec(self) -> str:
        """The same in one way of writing, its path absolute: what run.toml keeps."""
        return f"{RECORD}{self.record}" if self.record is not None else ",".join(self.arms)


def chain_of(arm: str) -> tuple[str, ...]:
    """The models of an arm, in the order in which they are asked."""
    return tuple(arm.split("|"))


def parse_models(spec: str) -> Models:
    """Read what `--llm` was given.

    Raises:
        PoiseError: usage (2), it cannot be meant; not found (3), there is no such recording.
    """
    if spec.strip().startswith(RECORD):
        return Models((), _recording(spec.strip().removeprefix(RECORD)))
    arms = tuple("|".join(_name(part) for part in arm.split("|")) for arm in spec.split(","))
    for arm in arms:
        chain = chain_of(arm)
        if COMPOSER in chain[:-1]:
            after = chain[chain.index(COMPOSER) + 1]
            raise _wrong(f"{COMPOSER} always answers, so {after} behind it would never be asked: name it last")
        if len(set(chain)) < len(chain):
            raise _wrong(f"{arm} names a model twice")
        if arms.count(arm) > 1:
            raise _wrong(f"{arm} is named twice")
    return Models(arms)


def _name(part: str) -> str:
    name = part.strip()
    if not name:
        raise _wrong("a name is missing: models are provider/model, `a,b` take turns, `a|b` asks b where a fails")
    if name.startswith(RECORD):
        raise _wrong(f"{RECORD}PATH stands alone: a recording answers for all models it holds")
    if not NAME.fullmatch(name):
        raise _wrong(f"{name!r} is no model: write provider/model, such as openai/gpt-5, ollama/qwen3 or {COMPOSER}")
    if name.startswith("poise/") and name != COMPOSER:
        raise _wrong(f"{name} does not exist: the one of this program's own is {COMPOSER}")
    return name


def _recording(place: str) -> Path:
    if not place:
        raise _wrong(f"{RECORD} needs a path: a run's folder, or its llm.jsonl")
    path = Path(place).expanduser().absolute()
    file = path / "llm.jsonl" if path.is_dir() else path
    if not file.is_file():
        raise PoiseError(
            f"--llm {RECORD}{place}: {file} does not exist; name a run's folder or its llm.jsonl", Exit.NOT_FOUND
        )
    return file


def _wrong(what: str) -> PoiseError:
    return PoiseError(f"--llm: {what}", Exit.USAGE)
