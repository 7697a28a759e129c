"""What the documents tell a reader to type is understood by the program."""

import re
from pathlib import Path

import click
import pytest

from poise_tui.cli import MODULES, Commands, poise
from tests.docs.commands import DOCUMENTS, Typed, typed

EVERY = [t for document in DOCUMENTS for t in typed(document) if t.words[1:] and t.words[1] != "(client)"]
STANDS_FOR = {"N": "3", "S": "3", "H": "3", "NUMBER": "3", "NODE": "c003", "RUN": "first", "TEXT": "shorter"}
"""Words in capitals; others are names of files."""


def concrete(words: tuple[str, ...]) -> list[str]:
    """A command with something in the place of what the reader chooses: options that may be left out are given."""
    text = [re.sub(r"^\[|\]$", "", word) for word in words]
    text = text[: text.index("|")] if "|" in text else text
    return [STANDS_FOR.get(word, word.split("|")[0]) for word in text]


@pytest.mark.parametrize("told", EVERY, ids=str)
def test_a_command_of_the_documents_is_understood(told: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, *given = concrete(told.words[1:])
    for word in given:
        if re.fullmatch(r"[\w.-]+\.(py|toml)", word):
            (tmp_path / word).write_text("")
    if name.startswith("-"):
        return
    assert isinstance(poise, Commands)
    command = poise.get_command(click.Context(poise), name)
    assert command is not None, f"no command {name}"
    command.make_context(name, given)


def test_every_command_is_told_of() -> None:
    assert {t.words[1] for t in EVERY} >= set(MODULES)
