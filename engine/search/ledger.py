"""The money that language models cost: every attempt in llm.jsonl, set aside on disk before it is made.

llm.jsonl alone says what was spent, and holds every answer, so that none is paid for twice. Beside it, while calls are
under way, llm.reserved.json holds what they may cost: a crash between a call and its record is charged at that price.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from engine.archive.files import write_json
from engine.archive.journal import NO_SPACE
from engine.errors import Exit, PoiseError
from engine.loop.budget import Account
from engine.search.text import redact

if TYPE_CHECKING:
    from engine.search.record import Recording

FULL_SECONDS = 1.0
"""How often a call that waits for room on the disk looks again."""
LOST = "the engine ended while it waited for the answer"
TOLD = ("purpose", "model", "tokens_in", "tokens_out", "usd", "seconds", "ok")
"""What an `llm.call` event tells of an attempt."""


@dataclass(frozen=True)
class Identity:
    """Which answer is asked for: the same question of the same decision is the same call, before and after a crash."""

    purpose: str
    model: str
    seed: int
    """Of the decision."""
    turn: int
    """Which answer of this decision, from 1."""
    prompt: str
    """sha256 of the messages."""

    @classmethod
    def of(cls, purpose: str, model: str, seed: int, turn: int, messages: Sequence[Mapping[str, str]]) -> Identity:
        """The identity of a conversation."""
        said = orjson.dumps([[m["role"], m["content"]] for m in messages])
        return cls(purpose, model, seed, turn, hashlib.sha256(said).hexdigest())

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Identity | None:
        """What a line of llm.jsonl answers; None for one without an identity."""
        try:
            return cls(*(record[key] for key in ("purpose", "model", "seed", "turn", "prompt")))
        except KeyError:
            return None


class Ledger:
    """Every call on record, and the money: what is spent, what running calls may yet cost.

    Args:
        path: the run's llm.jsonl; a torn last line is cut off.
        limit_usd: never to be exceeded; None is no limit.
        spent_usd: what the archive knows to be spent; the records may know of more.
        on_call: told of every attempt: the data of an `llm.call` event, and what all calls together have cost.
        recording: what answers in place of the models, at the price that was paid then.
    """

    def __init__(
        self,
        path: Path,
        limit_usd: float | None = None,
        spent_usd: float = 0.0,
        on_call: Callable[[dict[str, Any], float], None] | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.path = path
        self.recording = recording
        self._open_calls = path.with_name("llm.reserved.json")
        self._on_call = on_call
        self._answers: dict[Identity, int] = {}
        """Where in the file the answer to a question stands."""
        self._by_decision: dict[int, float] = defaultdict(float)
        self._waiting: dict[str, dict[str, Any]] = {}
        """The records of calls under way, as they would be charged."""
        self._changed = asyncio.Event()
        self._on_disk: set[str] = set()
        """The keys of those that are set aside on disk."""
        self._unwritten: list[tuple[str, Mapping[str, Any]]] = []
        """Settled attempts that found no room on the disk."""
        self.damaged = 0
        """Complete lines of the file that cannot be read."""
        self._account = Account(limit_usd)
        self._read()
        self._account.spent = max(self._account.spent, spent_usd)
        self._charge_lost()

    @property
    def spent_usd(self) -> float:
        """What all calls of the run have cost."""
        return self._account.spent

    @property
    def reserved_usd(self) -> float:
        """What calls under way may cost yet."""
        return sum(self._account.reserved.values())

    def spent_on(self, seed: int) -> float:
        """What the calls of one decision have cost."""
        return self._by_decision.get(seed, 0.0)

    def recorded(self, identity: Identity) -> dict[str, Any] | None:
        """The record of an answer to this very question, if one came."""
        start = self._answers.get(identity)
        if start is None:
            return None
        with self.path.open("rb") as file:
            file.seek(start)
            record: dict[str, Any] = orjson.loads(file.readline())
        return record

    async def reserve(self, key: str, record: Mapping[str, Any]) -> None:
        """Set aside the most a call can cost, on disk. Waits for what other calls have set aside, if need be, and for
        room on the disk.

        Args:
            key: of this attempt, never used before.
            record: what is charged if nobody is left to settle it; `usd` is the most it can cost.

        Raises:
            PoiseError: refused (4): the limit would be passed whatever those other calls cost.
        """
        usd = float(record["usd"])
        # As long as others may cost less than they set aside, it is too early to refuse.
        while not self._account.fits(usd) and self._account.fits(usd, alone=True):
            self._changed.clear()
            await self._changed.wait()
        if not self._account.fits(usd):
            raise PoiseError(
                f"the language model's budget of ${self._account.limit:.2f} allows no further call: "
                f"${self.spent_usd:.2f} is spent and one call may cost ${usd:.2f}; `poise resume` it with more --usd",
                Exit.REFUSED,
            )
        self._account.reserve(key, usd)
        if usd:
            self._waiting[key] = {**record, "messages": []}
            try:
                while not self._written():  # noqa: ASYNC110  (nobody tells when a disk has room again)
                    await asyncio.sleep(FULL_SECONDS)
            except BaseException:
                del self._waiting[key]
                self._account.release(key)
                raise

    def settle(self, key: str, record: Mapping[str, Any]) -> None:
        """Turn a reservation into what was spent, and write the attempt down.

        On a full disk the record waits in memory for the next call; should the engine end before, what was set aside
        on disk is charged.
        """
        self._account.settle(key, float(record["usd"]))
        self._changed.set()
        self._unwritten.append((key, record))
        self._written()
        self._tell(record)

    def _written(self) -> bool:
        """Write all that is not on disk yet: settled records first, then what is set aside. False if it is full."""
        try:
            while self._unwritten:
                key, record = self._unwritten[0]
                self._append(key, record)
                del self._unwritten[0]
                self._waiting.pop(key, None)
            if self._waiting.keys() != self._on_disk:
                write_json(self._open_calls, _redacted(self._waiting))
                self._on_disk = set(self._waiting)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            return False
        return True

    def _append(self, key: str, record: Mapping[str, Any]) -> None:
        line = json.dumps(_redacted({"id": key, "time": time.time(), **record}), ensure_ascii=False).encode() + b"\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            start = os.fstat(handle).st_size
            try:
                if os.write(handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, start)
                raise
        finally:
            os.close(handle)
        self._remember(start, record)

    def _read(self) -> None:
        for start, record in self._records():
            self._account.spent += record["usd"]
            self._remember(start, record)

    def _remember(self, start: int, record: Mapping[str, Any]) -> None:
        identity = Identity.read(record)
        if identity is None:
            return
        self._by_decision[identity.seed] += float(record["usd"])
        if record.get("ok"):
            self._answers[identity] = start

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every record and where it begins; cuts a torn end off, so that nothing is appended to it."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            start = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(start)
                    return
                try:
                    record = orjson.loads(line)
                    float(record["usd"])
                    yield start, record
                except (ValueError, KeyError, TypeError):
                    self.damaged += 1
                start += len(line)

    def _charge_lost(self) -> None:
        """Charge calls that were under way when an engine ended and left no record."""
        try:
            waiting: dict[str, dict[str, Any]] = orjson.loads(self._open_calls.read_bytes())
        except (FileNotFoundError, ValueError):
            return
        if not waiting:
            return
        self._on_disk = set(waiting)
        settled = {str(record.get("id")) for _, record in self._records()}
        for key in self._account.charge_lost({k: r["usd"] for k, r in waiting.items()}, settled):
            self._unwritten.append((key, {**waiting[key], "error": LOST}))
            self._tell(waiting[key])
        self._written()

    def _tell(self, record: Mapping[str, Any]) -> None:
        if self._on_call is not None:
            self._on_call({key: record[key] for key in TOLD}, self.spent_usd)


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_redacted(v) for v in value]
    return redact(value) if isinstance(value, str) else value
