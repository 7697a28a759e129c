"""Prompts are files that people read: versioned, filled completely, and found by their purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.search import prompts
from engine.search.prompts import prompt

FOLDER = Path(prompts.__file__).parent
NAMES = sorted(p.stem for p in FOLDER.glob("*.md"))


def test_every_purpose_has_its_file() -> None:
    assert {"propose", "repair", "screen", "consistency", "reflect"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_has_a_version_and_says_which_fields_it_takes(name: str) -> None:
    found = prompt(name)
    assert found.version >= 1 and not found.text.startswith("version:")
    fields = found.text.count("$")
    if fields:
        with pytest.raises(KeyError):
            found.fill()
    else:
        assert found.fill() == found.text


def test_a_prompt_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nonsense"):
        prompt("nonsense")


def test_a_value_with_a_dollar_in_it_is_left_as_it_is() -> None:
    assert "costs $5 and $stages" in prompt("repair").fill(problems="costs $5 and $stages")
