"""The commands of the control socket, typed: what a client may send, checked before anything is done."""

from __future__ import annotations

import pwd
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import Exit, PoiseError
from engine.loop.study_plan import FEWEST_SEEDS, MOST_SEEDS

Name = Literal[
    "ping",
    "status",
    "pause",
    "resume",
    "prune",
    "restore",
    "pin",
    "unpin",
    "promote",
    "confirm",
    "ablate",
    "stop",
    "direct",
    "weights",
    "inject",
]
NODE_ONLY = ("prune", "restore", "pin", "unpin", "promote", "confirm", "ablate")
"""Commands to a candidate; `pause` and `resume` go to one or to the run, the others to the run."""


class Command(BaseModel):
    """One command.

    Attributes:
        node: id or unique name of a candidate.
        by: which client sends it.
        text: a directive, or an idea in words.
        code: an algorithm file.
        weights: of parent selection, by name.
        seeds: of each arm of a study.
        id: of this sending; a second command of the same id is not obeyed again but gets the first one's answer.
        uid: the user at the other end of the socket, vouched for by the kernel.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    command: Name
    node: str | None = Field(None, max_length=200)
    text: str | None = Field(None, max_length=4000)
    code: str | None = Field(None, max_length=1 << 16)
    weights: dict[str, float] = Field(default_factory=dict, max_length=16)
    seeds: int | None = Field(None, ge=FEWEST_SEEDS, le=MOST_SEEDS)
    by: str = Field("user", max_length=64)
    id: str | None = Field(None, max_length=64)
    uid: int | None = None

    @property
    def who(self) -> dict[str, Any]:
        """What a record of it says of its sender and sending."""
        return {"by": self.by, "user": _user_name(self.uid), "id": self.id}


def read_command(command: str, fields: dict[str, Any]) -> Command:
    """A command as it came.

    Raises:
        PoiseError: wrong usage (2): no such command, or fields it cannot have.
    """
    if command not in get_args(Name):
        raise PoiseError(f"unknown command {command!r}", Exit.USAGE)
    try:
        made = Command.model_validate({**fields, "command": command})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PoiseError(f"{command}: {where}: {first['msg']}", Exit.USAGE) from None
    if command in NODE_ONLY and not made.node:
        raise PoiseError(f"{command} needs a node", Exit.USAGE)
    if command == "direct" and made.text is None:
        raise PoiseError("direct needs a text", Exit.USAGE)
    if command == "inject" and (made.text is None) == (made.code is None):
        raise PoiseError("inject needs an algorithm file or an idea in words", Exit.USAGE)
    return made


def _user_name(uid: int | None) -> str | None:
    if uid is None:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
