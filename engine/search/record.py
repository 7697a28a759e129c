"""A recorded llm.jsonl that answers in place of its models: the same run again, without a network, key or cost.

Exact or not at all: an answer is used for the very question it was given to, with all attempts it took.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from engine.errors import PoiseError
from engine.search.ledger import Identity
from engine.search.models import Models, parse_models
from engine.search.text import one_line

OUTCOME = ("ok", "answer", "error", "tokens_in", "tokens_cached", "tokens_out", "usd", "seconds", "fatal")
"""What a repeated attempt takes from its record."""
AROUND = 30
"""Characters shown before and after the place where two prompts part."""


class NotRecorded(PoiseError):
    """The run asks what the recorded one did not."""


class Recording:
    """The attempts of a recorded run, by the question they were made for.

    Args:
        path: a llm.jsonl; never written to. A torn or damaged line is passed over, and counted.

    Raises:
        PoiseError: it cannot be read, or holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self._at: dict[Identity, list[int]] = defaultdict(list)
        self._arms: dict[str, None] = {}
        try:
            self._read()
        except OSError as e:
            raise PoiseError(f"{path} cannot be read: {e.strerror}") from None
        if not self._at:
            raise PoiseError(f"{path} holds no recorded call: name the llm.jsonl of a run that has asked a model")

    @property
    def arms(self) -> tuple[str, ...]:
        """What the recorded run chose from, as its run.toml says, else in the order in which they were first asked."""
        with suppress(OSError, tomllib.TOMLDecodeError, KeyError, PoiseError, AttributeError):
            said = parse_models(tomllib.loads((self.path.parent / "run.toml").read_text(encoding="utf-8"))["llm"])
            if said.record is None:
                return said.arms
        return tuple(self._arms)

    def attempts(self, identity: Identity) -> list[dict[str, Any]]:
        """What became of a question, attempt by attempt; empty for one that was never asked."""
        found = []
        with self.path.open("rb") as file:
            for start in self._at.get(identity, ()):
                file.seek(start)
                record = orjson.loads(file.readline())
                found.append({key: record[key] for key in OUTCOME if key in record} | {"replayed": True})
        return found

    def missing(self, identity: Identity, messages: Sequence[Mapping[str, str]]) -> NotRecorded:
        """The error that says which call is not there, and how it differs from the one that is."""
        others = [other for other in self._at if asdict(other) | {"prompt": ""} == asdict(identity) | {"prompt": ""}]
        call = f"the {identity.purpose} call {identity.turn} of decision seed {identity.seed} to {identity.model}"
        if not others:
            same = [o for o in self._at if o.seed == identity.seed]
            why = "the recorded run has no such call"
            why += (
                "" if same else ": it has no call of this decision at all, so it had another --seed or ended before it"
            )
        else:
            why = f"it was recorded with another prompt{self._parting(others[0], messages)}"
        if self.damaged:
            why += f"; {self.damaged} lines of the file cannot be read"
        return NotRecorded(
            f"{self.path} has no answer to {call}: {why}; a replay needs the same options, profile and version"
        )

    def _parting(self, other: Identity, messages: Sequence[Mapping[str, str]]) -> str:
        with self.path.open("rb") as file:
            for start in self._at[other]:
                file.seek(start)
                then = "\n".join(m["content"] for m in orjson.loads(file.readline()).get("messages", ()))
                if then:
                    now = "\n".join(m["content"] for m in messages)
                    at = next(
                        (i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now))
                    )
                    was, is_now = (one_line(text[max(at - AROUND, 0) : at + AROUND]) for text in (then, now))
                    return f", which had {was!r} where now is {is_now!r}"
        return ""

    def _read(self) -> None:
        with self.path.open("rb") as file:
            start = 0
            for line in file:
                try:
                    record = orjson.loads(line)
                    identity = Identity.read(record)
                    float(record["usd"]), bool(record["ok"])
                except (ValueError, KeyError, TypeError):
                    identity = None
                if identity is None:
                    self.damaged += 1
                else:
                    self._at[identity].append(start)
                    self._arms.setdefault(record.get("arm", identity.model))
                start += len(line)


def opened(models: Models) -> tuple[Models, Recording | None]:
    """The models that a run chooses from, and the recording that answers for them if there is one.

    Raises:
        PoiseError: the recording cannot be used.
    """
    if models.record is None:
        return models, None
    recording = Recording(models.record)
    return Models(recording.arms, models.record), recording
