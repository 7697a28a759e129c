"""The prompts: one readable file a purpose, versioned; what changes from call to call stands as `$name` in them.

A file begins with `version: N`. Change the words, and raise N: it goes into the record of every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template


@dataclass(frozen=True)
class Prompt:
    """One file."""

    name: str
    version: int
    text: str

    def fill(self, **fields: str) -> str:
        """The text with its fields in place. Raises KeyError for a field that is missing."""
        return Template(self.text).substitute(fields)


@cache
def prompt(name: str) -> Prompt:
    """A prompt by the name of its file.

    Raises:
        FileNotFoundError: there is none of that name.
        ValueError: its first line is not `version: N`.
    """
    head, _, text = (files(__name__) / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    key, _, number = head.partition(":")
    if key != "version" or not number.strip().isdigit():
        raise ValueError(f"prompts/{name}.md begins with {head!r}: its first line must be `version: N`")
    return Prompt(name, int(number), text.strip())
