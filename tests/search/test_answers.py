"""A model's answer is used whole or refused with reasons it can act on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.lint import MAX_SOURCE
from engine.search.answers import LONGEST_ANSWER, BadAnswer, read_algorithm, read_answer, with_name
from tests.search.samples import answer_text, choice

GOOD = json.loads(answer_text("Good-GRPO", "ClipHigher"))
CODE = GOOD["code"]
CALL = "algorithm = Algorithm("


def with_code(code: str) -> str:
    return json.dumps({**GOOD, "code": code})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=2)}\n```",
        f"Here is my proposal:\n\n{json.dumps(GOOD)}\n\nGood luck {{you}}!",
        f"<think>{{maybe}}</think>{json.dumps(GOOD)}",
        json.dumps({**GOOD, "extra": [1, 2]}),
    ],
    ids=["bare", "fence", "prose around", "braces before", "extra keys"],
)
def test_a_good_answer_is_found_wherever_it_stands(text: str) -> None:
    answer = read_answer(text)
    assert (answer.name, answer.mechanisms) == ("Good-GRPO", (choice("ClipHigher"),))
    assert answer.code == CODE and answer.hypothesis == GOOD["hypothesis"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON object"),
        ("I cannot help with that.", "no JSON object"),
        (json.dumps(GOOD)[:-40], "no JSON object"),
        ("[1, 2, 3]", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("{" * 3_000, "no JSON object"),
        (json.dumps({**GOOD, "code": None}), "code:"),
        (json.dumps({k: GOOD[k] for k in ("name", "code")}), "hypothesis: Field required"),
        (json.dumps({**GOOD, "hypothesis": "short"}), "hypothesis:"),
        (json.dumps({**GOOD, "code": "x" * (MAX_SOURCE + 1)}), "code:"),
        ("x" * (LONGEST_ANSWER + 1), "the limit is"),
        (with_code(CODE + "\ndef broken(:\n"), "syntax error"),
        (with_code("import os\n" + CODE), "import of os is not allowed"),
        (with_code("from engine.search import llm\n" + CODE), "import of engine.search is not allowed"),
        (with_code(CODE.replace("        clipped", "        eval('1')\n        clipped")), "eval() is not allowed"),
        (with_code(CODE.split(CALL)[0]), "`algorithm`"),
        (with_code(CODE.split(CALL)[0] + "algorithm = make()\n"), "`algorithm` must be assigned a call"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=())\n'), "at least one"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=MECHANISMS)\n'), "written out as a tuple"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(Nothing(),))\n'), "Nothing is not a subclass"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(width=1),))\n'), "no constant width"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(low=f()),))\n'), "plain number"),
        (
            with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(), ClipHigher()))\n'),
            "listed twice",
        ),
        (with_code(CODE.replace('"Good-GRPO"', '"<b>"')), "name must be"),
        (with_code(CODE.replace("def surrogate", "def surrogat")), "ClipHigher hooks no stage"),
    ],
)
def test_a_bad_answer_is_refused_with_a_reason(text: str, told: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        read_answer(text)
    assert told in str(caught.value)
    assert all(p and "\n" not in p and len(p) < 500 for p in caught.value.problems)


def test_two_replacers_of_a_stage_are_refused_before_anything_runs() -> None:
    two = CODE.replace("class ClipHigher", "class Second").split(CALL)[0].split("class Second")[1]
    code = CODE.split(CALL)[0] + "\n\nclass Second" + two + CALL + 'name="X", mechanisms=(ClipHigher(), Second()))\n'
    with pytest.raises(BadAnswer, match="both replace the stage surrogate"):
        read_answer(with_code(code))


def test_control_characters_and_escape_sequences_do_not_get_through() -> None:
    dirty = {
        **GOOD,
        "hypothesis": "\x1b[31mred\x1b[0m \x00text\u202e that\u200b is long enough",
        "code": CODE + "# \x07\x1b]0;title\x07\n",
    }
    answer = read_answer(json.dumps(dirty))
    assert answer.hypothesis == "red text that is long enough"
    assert not any(ord(c) < 32 and c != "\n" for c in answer.code)


def test_positional_constants_and_defaults_are_read() -> None:
    code = CODE.replace("ClipHigher(low=0.2, high=0.28)", "ClipHigher(0.1)")
    assert read_algorithm(code)[1] == (choice("ClipHigher", low=0.1),)


@given(st.text())
def test_any_text_is_an_answer_or_a_bad_answer(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_answer(text)


@pytest.mark.parametrize(
    "assignment", ['Algorithm("Öld", (ClipHigher(),))', 'Algorithm(mechanisms=(ClipHigher(),), name="Öld")']
)
def test_renaming_changes_the_name_and_nothing_else(assignment: str) -> None:
    code = CODE.split(CALL)[0] + f"algorithm = {assignment}  # ö\n"
    assert with_name(code, "New-GRPO") == code.replace("Öld", "New-GRPO")
